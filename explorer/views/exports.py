"""What a page shows as files: its tables as CSV and JSON with what made them, its charts as SVG and PNG."""
import re
from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.charts import export
from explorer.neurons.analysis import Neurons
from explorer.neurons.export import as_csv, as_json, origin
from explorer.specs import digest

LONGEST = 50  # characters of the settings in a file's name: a sentence is among them


def export_list() -> DeltaGenerator:
    """A button that opens the list of files that is drawn in it; each is made when it is asked for."""
    found = st.popover("Export", icon=":material/download:")
    found.caption("Figures alone, on white, as vector graphics (SVG) or PNG; tables as CSV and JSON, with what made "
                  "them. The page's address is its permanent link.")
    return found


def table_files(neurons: Neurons, title: str, table: pd.DataFrame, **settings: object) -> None:
    """A table as CSV and JSON, with what made it: the study, the pair of checkpoints and the table's own settings."""
    made_of = origin(neurons, title, **settings)
    _files(title, file_name(made_of, settings), {
        "csv": (partial(as_csv, table, made_of), "text/csv"),
        "json": (partial(as_json, table, made_of), "application/json")}, ":material/download:")


def chart_files(neurons: Neurons, title: str, spec: dict, **settings: object) -> None:
    """A chart as SVG and PNG; settings as for a table."""
    made_of = origin(neurons, title, **settings, chart=digest(spec))
    _files(title, file_name(made_of, settings), {
        "svg": (partial(export.svg, spec), "image/svg+xml"), "png": (partial(export.png, spec), "image/png")},
        ":material/image:")


def file_name(made_of: dict, settings: dict) -> str:
    """The settings and the title in words, and a digest of all that made the file: others have other names."""
    asked = _words(" ".join(f"{name} {value}" for name, value in settings.items() if value != ""))[:LONGEST]
    return _words(f"{asked} {made_of['table']} {digest(made_of)[:8]}")


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def _files(title: str, name: str, kinds: dict[str, tuple[Callable[[], str | bytes], str]], icon: str) -> None:
    with st.container(horizontal=True):
        for ending, (make, mime) in kinds.items():
            st.download_button(f"{title.capitalize()} as {ending.upper()}", make, f"{name}.{ending}", mime, icon=icon,
                               key=f"export {name} {ending}", on_click="ignore", type="tertiary")
