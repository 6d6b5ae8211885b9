"""The page of errors: words whose label the probes lose, or gain, with fine-tuning."""
from typing import Any

import pandas as pd
import streamlit as st

from explorer import cached
from explorer.charts.errors import TITLES
from explorer.errors import BOTH_WRONG, GAINED, LOST, confusion
from explorer.neuron import with_context
from explorer.views import address
from explorer.views.exports import chart_files, export_list, table_files
from explorer.views.links import go
from explorer.views.opening import Opened, opening

KINDS = {LOST: "Lost", GAINED: "Gained", BOTH_WRONG: "Wrong in both"}
ROWS = 1000  # of the table at most
ANY = "any label"


def show() -> None:
    """Draw the page at the layer and k in the address."""
    page = opening("this page lists the words whose label fine-tuning loses")
    if page is not None:
        _body(page)


@st.fragment
def _body(page: Opened) -> None:
    """The sliders and what they move."""
    left, right = st.columns(2, gap="large")
    ks, last = list(page.study.spec.k), page.n_layers - 1
    layer = left.slider("Layer (0: embeddings)", 0, last, **address.one_of("layer", range(last + 1), last))
    k = right.select_slider(f"Top-k neurons of the layer's {ks[-1]}", ks, **address.one_of("k", ks, ks[-1]))
    frame = cached.predictions(page.root, page.study.key, page.pair, "test", layer, k)
    with st.container(key="halves"):
        table, matrix = st.columns([11, 9], gap="medium")
    with table:
        rows, chosen = _filtered(page, frame)
        _table(rows)
    with matrix:
        which = st.segmented_control("Confusion matrix", list(TITLES), required=True, format_func=TITLES.__getitem__,
                                     **address.one_of("matrix", list(TITLES), "difference")) or "difference"
        spec = cached.confusion(page.root, page.study.key, page.pair, "test", layer, k, which)
        st.vega_lite_chart(spec=spec, key="confusion")
    _export(page, layer, k, frame, rows, chosen)


def _filtered(page: Opened, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str | int]]:
    """The words of the chosen kind, label and form, in context, the surest of the errors first; and the choice."""
    counts = frame.kind.value_counts()
    kind = st.segmented_control(
        "Words that the probe", list(KINDS), required=True, **address.one_of("kind", list(KINDS), LOST),
        help="Lost: right before fine-tuning, wrong after. Gained: the reverse.",
        format_func=lambda name: f"{KINDS[name]}: {counts.get(name, 0):,}") or LOST
    with st.container(horizontal=True):
        labels = [ANY, *page.labels]
        label = st.selectbox("Gold label", labels, width=200, **address.one_of("gold", labels, ANY))
        word = st.text_input("Word contains", placeholder="any", width=200, **address.text("holds")).strip()
    words = cached.words(page.root, page.study.key, "test")
    rows = frame[(frame.kind == kind) & ((frame.gold == label) | (label == ANY))]
    if word:
        rows = rows[words.word.iloc[rows.index].str.contains(word, case=False, regex=False).to_numpy()]
    rows = rows.sort_values("confidence_before" if kind == LOST else "confidence_after", ascending=False)
    rows = rows.join(words[["sentence", "position", "word"]])
    rows = with_context(rows.head(ROWS), page.evidence.words("test")).reset_index(drop=True)
    return rows, {"kind": kind, "gold": label, "holds": word, "most": ROWS}


def _export(page: Opened, layer: int, k: int, frame: pd.DataFrame, rows: pd.DataFrame,
            chosen: dict[str, str | int]) -> None:
    asked = {"layer": layer, "k": k, "split": "test"}
    words = rows.rename(columns={"before": "predicted_before", "after": "predicted_after"})
    counts = confusion(frame).rename(columns={"before": "words_before", "after": "words_after"})
    with export_list():
        for name, title in TITLES.items():
            spec = cached.confusion(page.root, page.study.key, page.pair, "test", layer, k, name)
            chart_files(page.neurons, f"confusion {title}", spec, **asked)
        table_files(page.neurons, "words", words, **asked, **chosen)
        table_files(page.neurons, "confusion", counts, **asked)


def _table(rows: pd.DataFrame) -> None:
    text = st.column_config.TextColumn

    label = 58 if rows.gold.str.len().max() <= 6 else 96  # pixels

    def sure(mark: str) -> Any:
        return st.column_config.NumberColumn(f"{mark} %", format="%.0f", width=44, help="Confidence")

    if rows.empty:
        st.caption("No words match.")
        return
    first = "The first " if len(rows) == ROWS else ""
    words = "1 word" if len(rows) == 1 else f"{len(rows):,} words"
    st.caption(f"{first}{words}, the surest first. A click on one opens its sentence. ● pre-trained, "
               "◆ fine-tuned: predicted label and confidence.")
    shown = rows.assign(confidence_before=100 * rows.confidence_before, confidence_after=100 * rows.confidence_after)
    picked = st.dataframe(
        shown, hide_index=True, height=560, key="errors", on_select="rerun", selection_mode="single-cell",
        column_order=["left", "word", "right", "gold", "before", "confidence_before", "after", "confidence_after"],
        column_config={
            "left": text("Before", alignment="right", width=180), "word": text("Word", width=76),
            "right": text("After", width=180), "gold": text("Gold", width=label), "before": text("●", width=label),
            "confidence_before": sure("●"), "after": text("◆", width=label), "confidence_after": sure("◆"),
        })
    if picked.selection.cells:
        row = rows.iloc[picked.selection.cells[0][0]]
        go("sentence", sentence=row.sentence, split=None, text=None, mark=row.position)
