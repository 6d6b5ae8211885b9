"""The Layers page: accuracy of both checkpoints by layer and by top-k neurons, at the sliders' position."""
import dataclasses

import pandas as pd
import streamlit as st

from explorer import cached, charts
from explorer.study import Study, short_name
from explorer.views import live
from explorer.views.progress import show_jobs


def show() -> None:
    """The whole page."""
    show_jobs()
    key = st.session_state.get("study")
    if key is None:
        _welcome()
        return
    study = cached.study(key)
    st.title("What fine-tuning changes, layer by layer", anchor=False)
    finetuned = _checkpoint(study)
    _explore(study, finetuned)
    _notes(study, finetuned)


def _welcome() -> None:
    st.title("What does fine-tuning do to linguistic knowledge?", anchor=False)
    st.info(
        "There is no study yet. In the sidebar, name a pre-trained model, a checkpoint fine-tuned from it and a "
        "corpus, and press **Run study**. It runs beside this page; what it finds appears here.",
        icon=":material/arrow_back:",
    )


def _checkpoint(study: Study) -> str:
    """The fine-tuned checkpoint in view; a choice where the study has several."""
    if len(study.finetuned) == 1:
        return study.finetuned[0]
    return st.segmented_control(
        "Fine-tuned checkpoint", study.finetuned, default=study.finetuned[-1], format_func=short_name, required=True,
        key="checkpoint", bind="query-params",
    )


@st.fragment
def _explore(study: Study, finetuned: str) -> None:
    """Sliders, and everything that they move."""
    wide = cached.grid(study.key, finetuned)
    ks, last = sorted(wide.k.unique().tolist()), int(wide.layer.max())
    live.mirror()
    left, right = st.columns(2, gap="large")
    layer = left.slider("Layer (0: embeddings)", 0, last, last, key="layer", bind="query-params")
    k = right.select_slider("Top-k neurons of the layer", ks, ks[-1], key="k", bind="query-params",
                            format_func=lambda k: f"{k:,}" + (" (all)" if k == ks[-1] else ""))
    st.altair_chart(charts.readout(wide), key="readout")
    _headline(wide[(wide.layer == layer) & (wide.k == k)].iloc[0], _n_words(study))
    with left:
        st.altair_chart(charts.accuracy_by_layer(wide), key="by-layer")
        st.altair_chart(charts.delta_by_layer(wide), key="delta-by-layer")
    with right:
        st.altair_chart(charts.accuracy_by_k(wide), key="by-k")
        _labels(study, finetuned, layer, k)


def _headline(row: pd.Series, words: int) -> None:
    before, after, delta, n = st.columns(4)
    before.metric("Pre-trained accuracy", f"{row[charts.BEFORE]:.1%}", border=True)
    after.metric("Fine-tuned accuracy", f"{row[charts.AFTER]:.1%}", border=True)
    delta.metric("Delta (points)", f"{100 * row.delta:+.1f}", border=True,
                 help=f"95 % interval {100 * row.low:+.1f} to {100 * row.high:+.1f}, bootstrap over test sentences")
    n.metric("Test words", f"{words:,}", border=True)


def _labels(study: Study, finetuned: str, layer: int, k: int) -> None:
    """Accuracy of every label at the chosen place, the most changed first."""
    st.markdown(f"**Labels at layer {layer}, top {k:,}**, the most changed first")
    st.dataframe(
        charts.labels(study.table, study.base, finetuned, layer, k), hide_index=True, height=270, key="labels",
        column_config={
            "label": st.column_config.TextColumn("label", pinned=True),
            charts.BEFORE: st.column_config.NumberColumn(f"{charts.BEFORE} (%)", format="%.1f"),
            charts.AFTER: st.column_config.NumberColumn(f"{charts.AFTER} (%)", format="%.1f"),
            "delta": st.column_config.NumberColumn("delta (points)", format="%+.1f"),
            "n": st.column_config.NumberColumn("test words", format="localized"),
        },
    )


def _n_words(study: Study) -> int:
    return int(study.table.query("split == 'test' and label == '' and metric == 'accuracy'").n.iloc[0])


def _notes(study: Study, finetuned: str) -> None:
    """What the figures are of, and what was left out of them."""
    for note in study.notes:
        st.text(note)
    with st.expander("About this study"):
        st.json({"shown": finetuned, "created": study.created, **dataclasses.asdict(study.request)})
