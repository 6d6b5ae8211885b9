"""What a page shows as files: its tables as CSV, its charts as SVG and PNG."""
from collections.abc import Mapping
from functools import partial

import pandas as pd
import streamlit as st

from explorer.charts import export


def offer(name: str, tables: Mapping[str, pd.DataFrame], charts: Mapping[str, dict]) -> None:
    """A button that opens the list of files; each is made when it is asked for. name begins their names."""
    with st.popover("Export", icon=":material/download:"):
        st.caption("Figures alone, on white, as vector graphics (SVG) or PNG; tables as CSV. The page's address is its "
                   "permanent link.")
        for title, spec in charts.items():
            st.markdown(f"**{title}**")
            svg, png = st.columns(2)
            with svg:
                _file("SVG", partial(export.svg, spec), f"{name} {title}.svg", "image/svg+xml")
            with png:
                _file("PNG", partial(export.png, spec), f"{name} {title}.png", "image/png")
        for title, table in tables.items():
            _file(f"CSV: {title}", partial(table.to_csv, index=False), f"{name} {title}.csv", "text/csv")


def _file(label: str, make: partial, file: str, mime: str) -> None:
    file = file.lower().replace(" ", "-").replace(":", "-")
    st.download_button(label, make, file, mime, on_click="ignore", key=f"export {file}", width="stretch")
