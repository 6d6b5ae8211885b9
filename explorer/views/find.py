"""The page of the search: which neurons fire on these words, this label, this pattern?"""
import pandas as pd
import streamlit as st

from explorer import cached
from explorer.search import CANDIDATES, SCREENED, WAYS
from explorer.specs import InputError
from explorer.views import address
from explorer.views.exports import export_list, table_files
from explorer.views.links import go
from explorer.views.messages import problem
from explorer.views.opening import Opened, opening, split_choice

NAMES = {"words": "Words", "label": "A label", "pattern": "A pattern"}
HELP = {"words": "Word forms between spaces; case does not matter.",
        "pattern": "A regular expression that the whole word fits, such as .*ing or [A-Z].* (capitalised)."}
EXAMPLE = {"words": "not never no", "pattern": ".*ing"}


def show() -> None:
    """Draw the page for the query in the address."""
    page = opening("this page finds the neurons that fire on words you name")
    if page is not None:
        _body(page)


@st.fragment
def _body(page: Opened) -> None:
    """The query and what it finds: another one leaves the rest of the page as it is."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = st.segmented_control("Which neurons fire on", WAYS, required=True, format_func=NAMES.__getitem__,
                                   **address.one_of("by", WAYS, "label")) or "label"
        query = _query(page, way)
        split = split_choice()
    try:
        table, n = cached.found(page.root, page.study.key, page.pair, split, way, query)
    except InputError as error:
        problem("Nothing to search for yet" if not query.strip() else "This search finds nothing", str(error))
        return
    st.markdown(
        f"**{n:,} of the {len(cached.words(page.root, page.study.key, split)):,} words match.** Neurons by how well "
        "their activation tells these words from the rest, in the checkpoint where it does so best. A click on a row "
        "opens the neuron.")
    _results(table)
    with export_list():
        table_files(page.neurons, "found neurons", table, **{way: query}, split=split)


def _query(page: Opened, way: str) -> str:
    if way == "label":
        labels = page.labels
        return st.selectbox("Label", labels, width=270, **address.one_of("label", labels, labels[0])) or labels[0]
    return st.text_input(NAMES[way], help=HELP[way], placeholder=EXAMPLE[way], width=270, **address.text(way))


def _results(table: pd.DataFrame) -> None:
    number = st.column_config.NumberColumn
    shown = table.assign(ap_change=table.ap_change.round(3) + 0.0)  # which makes -0.0 of less than is shown 0.0
    picked = st.dataframe(
        shown, hide_index=True, height=560, key="found", on_select="rerun", selection_mode="single-cell",
        column_order=["neuron", "on_matches", "ap_before", "ap_after", "ap_change", "auc_before", "auc_after"],
        column_config={
            "neuron": st.column_config.TextColumn("Neuron"),
            "on_matches": st.column_config.TextColumn("On these words"),
            "ap_before": st.column_config.ProgressColumn("● Average precision", min_value=0, max_value=1,
                                                         format="%.3f", help="Pre-trained"),
            "ap_after": st.column_config.ProgressColumn("◆ Average precision", min_value=0, max_value=1,
                                                        format="%.3f", help="Fine-tuned"),
            "ap_change": number("Change", format="%+.3f", help="Of average precision: fine-tuned minus pre-trained"),
            "auc_before": number("● AUC", format="%.3f"), "auc_after": number("◆ AUC", format="%.3f"),
        })
    st.caption(f"● pre-trained, ◆ fine-tuned. All neurons of all layers are screened by the distance of means, on at "
               f"most {SCREENED:,} words that match and as many others; {CANDIDATES} of each checkpoint are then "
               "measured on all words.")
    if picked.selection.cells:
        go("neuron", neuron=table.neuron[picked.selection.cells[0][0]])
