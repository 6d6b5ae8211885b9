"""The Layers page: accuracy of both checkpoints by layer and by number of neurons, and its shift."""
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer import cached
from explorer.study import Study
from explorer.views.studies import compared, opened

TABLE_HEIGHT = 262  # pixels: it ends where the charts on its left do


def show() -> None:
    """Draw the page for the study that is open."""
    store = cached.store()
    heading = st.container(horizontal=True)
    with heading:
        study = opened(store)
    if study is None:
        _welcome()
        return
    with heading:
        finetuned = compared(study)
    _draw(store.root, study, finetuned)
    _about(study)


def _welcome() -> None:
    st.title("What does fine-tuning do to linguistic knowledge?", anchor=False)
    st.markdown(
        "Probes, linear classifiers on a model's neurons, show in which layers and in how few neurons a model knows "
        "a linguistic property, before fine-tuning and after. No study is open. In the sidebar:\n\n"
        "1. choose a **pre-trained model** and a **checkpoint** that was fine-tuned from it;\n"
        "2. choose a **corpus** whose words have labels, and the **property** to look for;\n"
        "3. press **Run study**. How far it is shows here, and its charts when it is done.")


def _draw(root: Path, study: Study, finetuned: str) -> None:
    """Charts follow the sliders by themselves: they are outside the fragment that runs when a slider is released."""
    position = st.container()
    by_layer, delta, by_k = cached.layer_charts(root, study.key, finetuned)
    left, right = st.columns(2, gap="large")
    left.vega_lite_chart(spec=by_layer, key="by_layer")
    left.vega_lite_chart(spec=delta, key="delta")
    right.vega_lite_chart(spec=by_k, key="by_k")
    right.markdown("**Accuracy by label** at this layer and k, most changed first")
    labels = right.empty()
    with position:
        _position(root, study.key, finetuned, labels)


@st.fragment
def _position(root: Path, key: str, finetuned: str, labels: DeltaGenerator) -> None:
    """Both sliders and the figures at their position."""
    grid = cached.grid(root, key, finetuned)
    last, ks = int(grid.layer.max()), sorted(grid.k.unique().tolist())
    left, right = st.columns(2, gap="large")
    layer = left.slider("Layer (0: embeddings)", 0, last, last, key="layer", bind="query-params")
    k = right.select_slider(f"Top-k neurons of the layer's {ks[-1]}", ks, ks[-1], key="k", bind="query-params")
    here = grid[(grid.layer == layer) & (grid.k == k)].iloc[0]
    _headline(here)
    rows = cached.labels(root, key, finetuned)
    _by_label(labels, rows[(rows.layer == layer) & (rows.k == k)])


def _headline(here: pd.Series) -> None:
    """The four figures at the chosen layer and k, each with its 95 % interval."""
    before, after, delta, words = st.columns(4)
    with before.container(key="before"):
        _metric("● Pre-trained", f"{here.before:.1f} %", _interval(here.before_low, here.before_high, ""))
    with after.container(key="after"):
        _metric("◆ Fine-tuned", f"{here.after:.1f} %", _interval(here.after_low, here.after_high, ""))
    with delta:
        _metric("Delta (points)", _signed(here.delta), _interval(here.delta_low, here.delta_high, "+"))
    with words:
        _metric("Test words", f"{here.n:,.0f}", f"layer {here.layer:.0f}, top {here.k:.0f}")


def _metric(label: str, value: str, note: str) -> None:
    st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


def _interval(low: float, high: float, sign: str) -> str:
    return f"95 %: {low:{sign}.1f} to {high:{sign}.1f}".replace("-", "−")


def _signed(points: float) -> str:
    """With its sign, and a true minus; what rounds to nothing has none."""
    return "0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−")


def _by_label(slot: DeltaGenerator, rows: pd.DataFrame) -> None:
    def number(title: str, width: int, format: str) -> Any:
        return st.column_config.NumberColumn(title, width=width, format=format)

    slot.dataframe(
        rows.sort_values("delta", key=abs, ascending=False), hide_index=True, height=TABLE_HEIGHT, key="labels",
        column_order=["label", "before", "after", "delta", "n"], column_config={
            "label": st.column_config.TextColumn("Label", width=80),
            "before": number("Pre-trained", 88, "%.1f %%"), "after": number("Fine-tuned", 88, "%.1f %%"),
            "delta": number("Delta (pts)", 84, "%+.1f"), "n": number("Words", 60, "localized"),
        })


def _about(study: Study) -> None:
    """What the study is of, and what its reader should know."""
    request, corpus = study.request, study.request.corpus
    facts = {
        "Pre-trained": request.base, "Fine-tuned": ", ".join(request.finetuned), "Property": corpus.property,
        "Training": corpus.train, "Dev": corpus.dev or "cut from training",
        "Test": corpus.test or "cut from training", "Pooling": request.pooling,
        "Sample": f"{corpus.limit} sentences per split" if corpus.limit else "all sentences",
        "Probe": f"L2 {request.probe.l2:g}, L1 {request.probe.l1:g}",
    }
    with st.container(key="notes"), st.expander("About this study"):
        st.text("\n".join([*(f"{name}: {fact}" for name, fact in facts.items()), *study.notes]))
