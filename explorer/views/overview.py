"""The Overview page, for a lecture: all models and tasks at a glance, in words too, beside the published study."""
from collections.abc import Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer import cached
from explorer.charts.overview import HEIGHT
from explorer.overview import Pair, corpus_name, pairs, published, summary
from explorer.patterns import NOT_SEEN, RULE, SEEN, Verdict
from explorer.store import Store
from explorer.study import Summary, telling_name
from explorer.untrained import trained
from explorer.views.messages import plain
from explorer.views.studies import finished

COLOURS = {SEEN: "green", NOT_SEEN: "red"}  # others are grey
MOST = 3  # models side by side before the reader chooses others
CITATION = ("Durrani, Sajjad & Dalvi 2021, *How transfer learning impacts linguistic knowledge in deep NLP models?* "
            "([arXiv 2105.15179](https://arxiv.org/abs/2105.15179))")


def show() -> None:
    """Draw the page over all finished studies."""
    store = cached.store()
    studies = [study for study in finished(store) if trained(study.request)]
    heading = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    heading.subheader("What fine-tuning changes, by layer", anchor=False, width="content")
    if not studies:
        st.markdown("No study is finished yet: run some in the sidebar, and they show here side by side.")
        return
    found = _chosen(studies, heading)
    tables = {pair: cached.layer_table(store.root, pair.key, pair.base, pair.finetuned) for pair in found}
    st.markdown(summary(tables))
    _grid(store, found)
    _patterns(published(tables))


def _chosen(studies: Sequence[Summary], boxes: DeltaGenerator) -> list[Pair]:
    """The pairs of the property, the corpus and the models that the reader chooses."""
    labels = list(dict.fromkeys(study.request.corpus.property for study in reversed(studies)))
    label = boxes.selectbox("Property", labels, key="property", bind="query-params", width=160)
    corpora = list(dict.fromkeys(corpus_name(study.request) for study in reversed(studies)
                                 if study.request.corpus.property == label))
    corpus = boxes.selectbox("Corpus", corpora, key="corpus", bind="query-params", width=200)
    found = pairs(studies, label, corpus)
    models = list(dict.fromkeys(pair.base for pair in found))
    if len(models) > MOST:
        models = boxes.multiselect("Models", models, default=models[:MOST], width=420,
                                   format_func=partial(telling_name, names=models))
        found = [pair for pair in found if pair.base in models] or found
    return found


def _grid(store: Store, found: Sequence[Pair]) -> None:
    """A column for each model, a row for each task; a cell is empty, as high as a chart, where there is no study."""
    models, tasks = (list(dict.fromkeys(names)) for names in
                     ([pair.base for pair in found], [pair.task for pair in found]))
    charts = cached.overview_charts(store.root, tuple(found))
    cells = {(pair.base, pair.task): pair for pair in found}
    for column, model in zip(st.columns(len(models), gap="medium"), models, strict=True):
        title, name = next(pair.titles[0] for pair in found if pair.base == model), telling_name(model, models)
        column.markdown(f"**{title}**" if title == name else f"**{title}** :gray[{plain(name)}]")
        for task in tasks:
            if pair := cells.get((model, task)):
                column.vega_lite_chart(spec=charts[pair], key=f"delta {model} {task}")
            else:
                column.container(height=HEIGHT, border=False).caption(f"No finished study of {plain(task)}.")
    st.caption("Delta by layer (0: embeddings): accuracy of the probe on the fine-tuned checkpoint minus that on the "
               "pre-trained one, in points, with its 95 % interval; pale where that contains zero. "
               ":orange[◆] the block that keeps the most.")


def _patterns(found: Sequence[tuple[Verdict, dict[str, Verdict]]]) -> None:
    st.markdown(f"**Beside the published study**, {CITATION}")
    st.caption(RULE)
    for column, (all_of_it, cases) in zip(st.columns(len(found), gap="medium"), found, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f":{COLOURS.get(all_of_it.verdict, 'gray')}-badge[{all_of_it.verdict}]")
            st.markdown(all_of_it.pattern)
            st.caption(all_of_it.because)
            with st.expander("Case by case"):
                st.text("\n\n".join(f"{name}: {case.verdict}. {case.because}" for name, case in cases.items()))
