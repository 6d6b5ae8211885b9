"""The Trajectory page: probes at every step of a run, beside what the task has won by then."""
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer import cached
from explorer.history import History, histories
from explorer.study import Study, Summary
from explorer.trajectory import alike
from explorer.views import address, steps
from explorer.views.figures import live
from explorer.views.messages import plain, problem
from explorer.views.studies import finished, opened


def show() -> None:
    """Draw the page for the study that is open."""
    store = cached.store()
    heading = st.container(horizontal=True)
    with heading:
        study = opened(store)
    found = cached.runs(store.root, study.key) if study else []
    if study is None or not found:
        along = [known for known in finished(store)
                 if any(len(run.points) > 1 for run in histories(known.request.finetuned))]
        if along and "study" not in st.query_params:  # what pages open unasked has no run, but another has
            st.query_params["study"] = along[0].key
            st.rerun()
        _without(study, along)
        return
    with heading:
        run = steps.run(found)
    _draw(store.root, study, run)
    _compare(store.root, study)


def _without(study: Study | None, along: list[Summary]) -> None:
    st.title("How knowledge moves while a model learns", anchor=False)
    st.markdown(f"{'No study is open' if study is None else 'The open study has no run in it'}. This page takes a "
                f"study of several checkpoints of one fine-tuning run{', such as' if along else '.'}")
    for known in along:
        st.button(plain(known.title), key=f"open {known.key}", icon=":material/timeline:",
                  on_click=address.put, args=("study", known.key))
    st.markdown("To make one, start a run on the **Fine-tune** page, which probes each checkpoint as it lands; or "
                "choose a run's folder in the sidebar with two or more of its steps; or\n\n"
                "    python -m explorer study --finetuned runs/sst2 ...")


def _draw(root: Path, study: Study, run: History) -> None:
    """Charts and figures follow the sliders by themselves: outside the fragment that runs when one is released."""
    position = st.container()
    live({"step": "Training step", "score": f"Dev {run.metric.replace('_', ' ') or 'score'}",
          "accuracy": "Probe accuracy", "delta": "Delta to the start (points)"},
         cached.run_headline(root, study.key, run.name))
    drawn = cached.run_charts_of(root, study.key, run.name)
    left, right = st.columns(2, gap="large")
    left.vega_lite_chart(spec=drawn["accuracy"], key="run_accuracy")
    right.vega_lite_chart(spec=drawn["delta"], key="run_delta")
    if "score" in drawn:
        left.vega_lite_chart(spec=drawn["score"], key="run_score")
        left.vega_lite_chart(spec=drawn["lines"], key="run_lines")
        right.vega_lite_chart(spec=drawn["path"], key="run_path")
    else:
        left.vega_lite_chart(spec=drawn["lines"], key="run_lines")
        right.info("This run has no recorded dev scores, so there is no path of forgetting against learning. "
                   "Runs of this explorer have them in run.json, a Trainer's in trainer_state.json.")
        if run.unreadable:
            with right:
                problem("The record of this run cannot be read", run.unreadable)
    with position:
        _position(cached.along(root, study.key, run.name))


@st.fragment
def _position(rows: pd.DataFrame) -> None:
    """The sliders, and the button that plays the run."""
    last, ks = int(rows.layer.max()), sorted(rows.k.unique().tolist())
    left, middle, play, right = st.columns([6, 6, 3, 6], gap="medium", vertical_alignment="bottom")
    with left:
        st.slider("Layer (0: embeddings)", 0, last, last, key="layer", bind="query-params")
    with middle:
        steps.step(sorted(rows.step.unique().tolist()))
    play.button("Play", key="play", icon=":material/play_arrow:", width="stretch", help="Step through the run")
    with right:
        st.select_slider(f"Top-k neurons of the layer's {ks[-1]}", ks, ks[-1], key="k", bind="query-params")


def _compare(root: Path, study: Study) -> None:
    """Runs of the same base, probed alike, as small multiples: the one that forgets most comes first."""
    listed = cached.finished(root, (root / "results").stat().st_mtime_ns)
    keys = [summary.key for summary in listed if alike(summary) == alike(study)]
    drawn = cached.compared(root, tuple(keys))
    if len(drawn) < 2:
        return
    st.subheader("Runs compared", anchor=False)
    st.caption("Runs of the same base, probed for the same property on the same corpus with all neurons of a layer, on "
               "one colour scale. First the run that forgets most at its end, on average over layers.")
    columns = st.columns(min(3, len(drawn)), gap="medium")
    for i, chart in enumerate(drawn):
        columns[i % len(columns)].vega_lite_chart(spec=chart, key=f"compared {i}")
