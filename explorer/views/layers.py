"""The Layers page: accuracy of both checkpoints by layer and by number of neurons, and its shift."""
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer import cached, untrained
from explorer.charts.measures import MEASURES, Measure
from explorer.store import Store
from explorer.study import Study
from explorer.views import by_label, trust
from explorer.views.figures import live
from explorer.views.progress import start
from explorer.views.studies import caution, compared, finished, opened, slid

Figures = tuple[Path, str, str, str, bool, tuple[str, str] | None]
"""Arguments of cached.grid: what the charts and the figures are of."""

LIVE_ROWS = 4000  # of a run that each chart may hold, 170 bytes each; beyond, they follow its slider on release
BY_LABEL = {  # what the table of labels tells, the metric and in words
    "Recall": ("accuracy", "Of the words with this label, those that the probe gets right"),
    "Precision": ("precision", "Of the words that the probe gives this label, those that have it"),
}


def show() -> None:
    """Draw the page for the study that is open."""
    store = cached.store()
    heading = st.container(horizontal=True, vertical_alignment="bottom")
    with heading:
        study = opened(store)
    if study is None:
        _welcome()
        return
    with heading:
        after = compared(study)
    caution(study)
    sliders, box = st.columns([10, 2.5], gap="medium")
    measure = box.selectbox("Metric", cached.measured(store.root, study.key), key="metric", bind="query-params")
    random = untrained.find(study, finished(store))
    charts = st.container()
    if not random:
        _offer_random(store, study)
    together = trust.show(store, study, after)
    with charts:
        _draw(sliders, (store.root, study.key, after, measure, together,
                        random if random and random[1] != after else None), study)
    _about(study)


def _welcome() -> None:
    st.title("What does fine-tuning do to linguistic knowledge?", anchor=False)
    st.markdown(
        "Probes, linear classifiers on a model's neurons, show in which layers and in how few neurons a model knows "
        "a linguistic property, before fine-tuning and after. No study is open. In the sidebar:\n\n"
        "1. choose a **pre-trained model** and a **checkpoint** that was fine-tuned from it;\n"
        "2. choose a **corpus** whose words have labels, and the **property** to look for;\n"
        "3. press **Run study**. How far it is shows here, and its charts when it is done.")


def _offer_random(store: Store, study: Study) -> None:
    """A line with a button that computes the baseline of random weights."""
    with st.container(horizontal=True, vertical_alignment="center", key="random"):
        st.caption("Not compared yet with **random weights**: the same architecture before it has learnt anything.",
                   width="content")
        st.button("Compute them", type="tertiary", icon=":material/casino:", on_click=start,
                  args=(store, untrained.UntrainedRequest(study.request)))


def _draw(sliders: DeltaGenerator, figures: Figures, study: Study) -> None:
    """Charts and figures follow the sliders by themselves: outside the fragment that runs when one is released."""
    root, key, finetuned, measure, *_ = figures
    grid = cached.grid(*figures)
    shown = root, key, _steps(study, finetuned, len(grid)), *figures[3:]
    live(_boxes(MEASURES[measure], "random" in grid), cached.headline(*shown))
    by_layer, delta, by_k = cached.layer_charts(*shown)
    left, right = st.columns(2, gap="large")
    left.vega_lite_chart(spec=by_layer, key="by_layer")
    left.vega_lite_chart(spec=delta, key="delta")
    right.vega_lite_chart(spec=by_k, key="by_k")
    with right, st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("**By label**, most changed first", width="content")
        of = st.segmented_control("Of each label", list(BY_LABEL), default="Recall", required=True, key="of",
                                  bind="query-params", label_visibility="collapsed") or "Recall"
    labels = right.empty()
    with sliders:
        _position(figures, labels, of)


def _steps(study: Study, finetuned: str, rows: int) -> tuple[tuple[int, str], ...]:
    """What the charts hold: all steps of the run that the slider of steps moves along, if they are not too many."""
    along = next((run.points for run in slid(study) if finetuned in [point.checkpoint for point in run.points]), ())
    if rows * len(along) > LIVE_ROWS:
        return ((0, finetuned),)
    return tuple((point.step, point.checkpoint) for point in along) or ((0, finetuned),)


@st.fragment
def _position(figures: Figures, labels: DeltaGenerator, of: str) -> None:
    """Both sliders and the labels at their position."""
    grid = cached.grid(*figures)
    last, ks = int(grid.layer.max()), sorted(grid.k.unique().tolist())
    left, right = st.columns(2, gap="medium")
    layer = left.slider("Layer (0: embeddings)", 0, last, last, key="layer", bind="query-params")
    k = right.select_slider(f"Top-k neurons of the layer's {ks[-1]}", ks, ks[-1], key="k", bind="query-params")
    rows = cached.labels(*figures[:3], BY_LABEL[of][0])
    by_label.show(labels, rows[(rows.layer == layer) & (rows.k == k)], BY_LABEL[of][1])


def _boxes(of: Measure, random: bool) -> dict[str, str]:
    """Titles of the headline figures, in the order of measures.headline."""
    counted = "Test spans" if of.metric == "span_f1" else {"test": "Test words", "train": "Training words"}[of.split]
    return {"before": "● Pre-trained", "after": "◆ Fine-tuned", "delta": f"Delta ({of.change})",
            **({"random": "Random weights"} if random else {}), "words": counted}


def _about(study: Study) -> None:
    """What the study is of, and what its reader should know."""
    request, corpus = study.request, study.request.corpus
    facts = {
        "Pre-trained": request.base, "Fine-tuned": ", ".join(request.finetuned), "Property": corpus.property,
        "Training": corpus.train, "Dev": corpus.dev or "cut from training",
        "Test": corpus.test or "cut from training", "Pooling": request.pooling,
        "Sample": f"{corpus.limit} sentences per split" if corpus.limit else "all sentences",
        "Probe": f"L2 {request.probe.l2:g}, L1 {request.probe.l1:g}, activations "
                 f"{'standardised' if request.probe.standardise else 'as they are'}, outlier neurons "
                 f"{'left out' if request.probe.drop_outliers else 'included'}",
    }
    with st.container(key="notes"), st.expander("About this study"):
        st.text("\n".join([*(f"{name}: {fact}" for name, fact in facts.items()), *study.notes]))
