"""The page of one neuron: its card before and after fine-tuning, and any two neurons against each other."""
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from explorer import cached
from explorer.card import WHEN, Card
from explorer.charts.audit import METHODS
from explorer.charts.neuron import scatter
from explorer.charts.sentence import MARKS
from explorer.neuron import SAMPLED, Neuron, activation
from explorer.neurons.analysis import NeuronsRequest
from explorer.views import address
from explorer.views.exports import chart_files, export_list, table_files
from explorer.views.links import go, link
from explorer.views.opening import Opened, neuron_choice, opening, split_choice
from explorer.views.progress import begun, start_now

HEIGHT = 320  # pixels of a table
LINES = 68  # pixels of a row: three lines of context; Streamlit wraps text in rows above 64


def show() -> None:
    """Draw the page of the neuron in the address."""
    page = opening("this page shows what any of its neurons fires on")
    if page is not None:
        _body(page)


@st.fragment
def _body(page: Opened) -> None:
    """The card: another neuron leaves the rest of the page as it is."""
    controls, below = st.container(horizontal=True, vertical_alignment="bottom"), st.container()
    with controls:
        neuron = neuron_choice(page, "Neuron (layer and number)", "neuron", page.best_neuron, below)
        split = split_choice()
    if neuron is None:
        return
    stored = page.neurons.has("rankings")
    card, charts = cached.neuron_card(page.root, page.study.key, page.pair, split, neuron, stored)
    with controls:
        link("In a sentence", "sentence", ":material/short_text:", neuron=neuron)
        _export(page, split, card, charts)
    _figures(card)
    _unranked(page, card)
    left, right = st.columns(2, gap="large")
    left.vega_lite_chart(spec=charts[0], key="by label")
    right.vega_lite_chart(spec=charts[1], key="weights")
    left, right = st.columns(2, gap="large")
    left.vega_lite_chart(spec=charts[2], key="histogram")
    with right:
        _alike(card)
    _in_context(card, neuron, split)
    st.divider()
    _compare(page, neuron, split)


def _figures(card: Card) -> None:
    """What there is to say of it in figures and its places in the rankings, before and after."""
    rows = [{
        "checkpoint": f"{MARKS[when]} {when}", "mean": figures.mean, "variance": figures.variance,
        "silent": 100 * figures.sparsity, "outlier": "yes" if figures.outlier else "no",
        **{method: f"{ranks[method]:,}" if method in ranks else "–" for method in METHODS},
        "best": f"{best[1]:,} ({best[0]})", "itself": "",
    } for when, figures, ranks, best in zip(WHEN, card.figures, card.ranks, card.best, strict=True)]
    rows[1]["itself"] = f"{card.correlation:+.2f}".replace("-", "−")
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, key="figures",
        column_order=["checkpoint", "mean", "variance", "silent", "outlier", "itself", "lca", "best",
                      *(method for method in METHODS if method != "lca")],
        column_config={
            "checkpoint": text("Checkpoint", width=104), "mean": number("Mean", format="%.3f"),
            "variance": number("Variance", format="%.4f"),
            "silent": number("Silent", format="%.1f %%", help="Words at which |activation| is under a tenth of the "
                                                              "neuron's largest (sparsity)."),
            "outlier": text("Outlier", help="Its mean over the training words lies over 6 standard deviations of the "
                                            "layer's activations from the layer's mean."),
            "itself": text("Correlation", alignment="right", help="Pearson's, of the neuron after fine-tuning with "
                                                                  "itself before, on these words."),
            "best": text("LCA, best label", alignment="right", help="The label that ranks it highest."),
            **{method: text(name, alignment="right", help=f"Its place in the layer's ranking by {name}; 1: the first.")
               for method, name in METHODS.items()},
        })


def _unranked(page: Opened, card: Card) -> None:
    """Which rankings are not there, and how to get them."""
    missing = [name for method, name in METHODS.items() if not all(method in ranks for ranks in card.ranks)]
    if missing:
        asked = NeuronsRequest(page.study.key, page.pair[1], ("rankings",))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Its place by {', '.join(missing)} takes an analysis of all neurons, some minutes.",
                       width="content")
            if st.button("Rank them", icon=":material/play_arrow:", type="tertiary",
                         disabled=begun(cached.store(), asked)):
                start_now(cached.store(), asked)  # the page, not the fragment alone, shows the job and what it found


def _alike(card: Card) -> None:
    st.markdown(f"**Most alike** by correlation on up to {SAMPLED:,} of these words, among all layers of both "
                "checkpoints. A click shows the two below.")
    for column, when, table in zip(st.columns(2), WHEN, card.alike, strict=True):
        shown = pd.DataFrame({"neuron": table.checkpoint.map(MARKS) + " " + table.neuron, "r": table.correlation})
        key = f"alike {when} {card.neuron}"
        column.dataframe(
            shown, hide_index=True, height=HEIGHT - 40, key=key, on_select=partial(_compared, key, when, table),
            selection_mode="single-cell", column_config={
                "neuron": st.column_config.TextColumn(f"To {MARKS[when]} {when}", width=112),
                "r": st.column_config.NumberColumn("r", format="%+.2f", width=60)})


def _compared(key: str, when: str, table: pd.DataFrame) -> None:
    """A row of the most alike was clicked: the scatter shows it."""
    cells = st.session_state[key].selection.cells
    if cells:
        row = table.iloc[cells[0][0]]
        for name, value in (("with", row.neuron), ("x", when), ("y", row.checkpoint)):
            address.put(name, value)


@st.fragment
def _in_context(card: Card, neuron: Neuron, split: str) -> None:
    """The words at one end of its activations, in their context."""
    tables = {"Highest activations": card.highest, "Lowest activations": card.lowest}
    with st.container(horizontal=True, vertical_alignment="center"):
        title = st.segmented_control("Words with its", list(tables), required=True, label_visibility="collapsed",
                                     **address.one_of("end", list(tables), "Highest activations"))
        st.markdown("Each word form once, at its strongest occurrence. A click on a row opens its sentence.")
    for when, table in zip(WHEN, tables[title or "Highest activations"], strict=True):
        _top_words(f"{title}, {when}", when, table, neuron, split)


def _top_words(title: str, when: str, table: pd.DataFrame, neuron: Neuron, split: str) -> None:
    """A table of words in context; a click on a row opens the sentence."""
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    picked: Any = st.dataframe(
        table, hide_index=True, height=HEIGHT, row_height=LINES, key=f"{title} {neuron} {split}", on_select="rerun",
        selection_mode="single-cell", column_order=["activation", "left", "word", "right", "label", "times", "mean"],
        column_config={
            "activation": number(f"{MARKS[when]} {when}", format="%+.2f", width=104, help="Activation at this word."),
            "left": text("Before", alignment="right", width=250), "word": text("Word", width=100),
            "right": text("After", width=250), "label": text("Label", width=64),
            "times": number("Times", width=52, format="localized", help="Occurrences of the word form."),
            "mean": number("Mean", width=64, format="%+.3f", help="Over all its occurrences."),
        })
    if picked.selection.cells:
        row = table.iloc[picked.selection.cells[0][0]]
        go("sentence", sentence=row.sentence, split=split, neuron=neuron, text=None, mark=row.position)


def _compare(page: Opened, neuron: Neuron, split: str) -> None:
    """Two neurons, of either checkpoint, on one scatter."""
    st.subheader("Compare two neurons", anchor=False)
    controls, below = st.container(horizontal=True, vertical_alignment="bottom"), st.container()
    with controls:
        x_when = _side("Across: this neuron,", "x", WHEN[0])
        other = neuron_choice(page, "Up: neuron", "with", str(neuron), below)
        y_when = _side("of the checkpoint", "y", WHEN[1])
        if other is not None:
            link("Its card", "neuron", ":material/pin_drop:", neuron=other)
    if other is None:
        return
    names = dict(zip(WHEN, page.pair, strict=True))
    frame = cached.words(page.root, page.study.key, split)[["sentence", "word", "label"]].assign(
        x=activation(page.evidence, names[x_when], split, neuron),
        y=activation(page.evidence, names[y_when], split, other))
    spec = scatter(frame, f"{neuron} {x_when}", f"{other} {y_when}").to_dict()
    st.vega_lite_chart(spec=spec, key="scatter")
    asked = {"split": split, "x": f"{neuron} {x_when}", "y": f"{other} {y_when}"}
    with export_list():
        chart_files(page.neurons, "scatter", spec, **asked)
        table_files(page.neurons, "scatter", frame, **asked)


def _side(label: str, name: str, default: str) -> str:
    return st.segmented_control(label, WHEN, required=True, **address.one_of(name, WHEN, default)) or default


def _export(page: Opened, split: str, card: Card, charts: list[dict]) -> None:
    asked = {"neuron": str(card.neuron), "split": split}
    tables = {"labels": card.labels, "histogram": card.bins}
    for when, high, low, alike in zip(WHEN, card.highest, card.lowest, card.alike, strict=True):
        tables |= {f"highest {when}": high, f"lowest {when}": low, f"alike {when}": alike}
    with export_list():
        for title, spec in zip(("by label", "weights", "histogram"), charts, strict=True):
            chart_files(page.neurons, title, spec, **asked)
        for title, table in tables.items():
            table_files(page.neurons, title, table, **asked)
