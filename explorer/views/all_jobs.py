"""The Jobs page: what was asked of this cache, how far it is or how it ended, its log, and the button that stops it."""
from datetime import datetime

import streamlit as st

from explorer import cached, jobs
from explorer.store import Store
from explorer.views import links
from explorer.views.progress import NAMES, OF_STUDIES, at_work, duration, go_on, log, named

POLL = 1.0  # seconds
SHOWN = 40  # newest
STATES = {
    "queued": ":material/hourglass: Waiting", "running": ":material/play_circle: Running",
    "done": ":material/check_circle: Done", "failed": ":material/error: Failed",
    "cancelled": ":material/cancel: Cancelled",
}


def show() -> None:
    """Jobs at work first, in their order, then the others, the newest first."""
    store = cached.store()
    st.title("Jobs", anchor=False)
    found = jobs.jobs(store)
    if not found:
        st.markdown("No jobs yet. Studies, runs and downloads appear here, no matter who started them.")
        return
    active = [job.id for job in found if job.active]
    if active:
        _at_work(store, active[::-1])
    over = [job for job in found if not job.active]
    for job in over[:SHOWN]:
        _over(store, job)
    if len(over) > SHOWN:
        st.caption(f"{len(over) - SHOWN} older jobs are in {store.root / 'jobs'}.")


@st.fragment(run_every=POLL)
def _at_work(store: Store, ids: list[str]) -> None:
    found = [jobs.status(store, job_id) for job_id in ids]
    if not all(job.active for job in found):
        st.rerun()
    for job in found:
        with st.container(border=True):
            at_work(store, job)
            log(store, job)


def _over(store: Store, job: jobs.Job) -> None:
    """How it ended, and what can be done about it."""
    with st.container(border=True):
        state, what, button = st.columns([2, 6, 2], vertical_alignment="center")
        state.markdown(f"**{STATES[job.state]}**")
        what.text(f"{NAMES[job.kind].capitalize()}: {named(job)}\n{_times(job)}")
        if job.state == "done" and job.kind in OF_STUDIES:
            with button:
                links.link("Open", "layers", ":material/layers:", study=job.result)
        stopped = job.state in ("failed", "cancelled")
        if stopped and button.button("Resume", key=f"again {job.id}", width="stretch", icon=":material/replay:"):
            go_on(store, job)
        if job.message:
            st.text(job.message)
        log(store, job)


def _times(job: jobs.Job) -> str:
    """When it was asked for, and how long it worked."""
    asked = f"{datetime.fromtimestamp(job.created):%Y-%m-%d %H:%M}"
    if job.started is None or job.updated is None:
        return asked
    return f"{asked}, {duration(job.updated - job.started)}"
