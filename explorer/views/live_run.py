"""A run at work: loss, dev score and layers as they come. Its files tell; a reload or a second viewer sees the same."""
from pathlib import Path

import streamlit as st

from explorer import cached, jobs
from explorer.charts import runs as charts
from explorer.history import History, losses, read_run
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import short_name
from explorer.views.messages import problem

POLL = 1.5  # seconds


def show(store: Store) -> bool:
    """The run that the address names, else one at work, else the one that this tab saw at work or whose study is open.

    False where there is none.
    """
    found = [job for job in jobs.jobs(store) if job.kind == "run"]
    named = [job for job in found if job.id == st.query_params.get("job")]
    active = [job for job in found if job.active][::-1]  # the one at work, then those that wait
    seen = [job for job in found if job.id == st.session_state.get("seen run")]
    over = [job for job in found if job.result and job.result == st.query_params.get("study")]
    job = next(iter([*named, *active, *seen, *over]), None)
    if job is None:
        return False
    st.session_state["seen run"] = job.id
    st.subheader("The run at work" if job.active else "The run", anchor=False)
    st.text(short_name(job.request["finetune"]["out"]))
    (_watch if job.active else _draw)(store, job.id)
    return True


@st.fragment(run_every=POLL)
def _watch(store: Store, job_id: str) -> None:
    _draw(store, job_id)


def _draw(store: Store, job_id: str) -> None:
    """Left the task, right the layers."""
    job = jobs.status(store, job_id)
    folder = Path(job.request["finetune"]["out"])
    try:
        known = read_run(folder) if list(folder.glob("checkpoint-*")) else None
        trained = losses(folder)
    except InputError as error:
        problem("The run's folder cannot be read", str(error))
        return
    left, right = st.columns(2, gap="large")
    with left:
        _task(known, trained, job.active)
    with right:
        _layers(store, job, known)


def _task(known: History | None, trained: tuple[tuple[int, float], ...], active: bool) -> None:
    if known is None:
        st.caption("The first checkpoint, the pre-trained weights with a new head, is on its way." if active else
                   "It ended before its first checkpoint.")
        return
    points = [(point.step, point.dev_loss) for point in known.points if point.dev_loss is not None]
    st.vega_lite_chart(spec=charts.losses(trained, points, known.steps).to_dict(), key="live_loss")
    if any(point.dev_score is not None for point in known.points):
        st.vega_lite_chart(spec=charts.scores(known).to_dict(), key="live_score")


def _layers(store: Store, job: jobs.Job, known: History | None) -> None:
    """The study so far: its last column is the checkpoint that landed last."""
    if not job.result:
        if job.active:
            st.caption("Layers show here once the first checkpoint is probed.")
        return
    st.vega_lite_chart(spec=cached.growing(store.root, job.result), key="live_layers")
    probed = len(cached.load(store.root, job.result).finetuned)
    st.caption(f"{probed} of {_due(job, known)} checkpoints probed." + (
        " Slide along them on the Trajectory page." if job.state == "done" else ""))


def _due(job: jobs.Job, known: History | None) -> int:
    """How many checkpoints the whole run keeps; at few steps, some fractions fall together."""
    fractions = job.request["finetune"]["fractions"]
    return len({round(part * known.steps) for part in fractions}) if known and known.steps else len(fractions)
