"""Jobs at work: how far they are and how they ended, from their files, so that a reload loses nothing."""
import streamlit as st

from explorer import jobs
from explorer.neurons.analysis import NeuronsRequest
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import StudyRequest, title
from explorer.views.messages import problem

POLL = 1.0  # seconds
AGAIN: dict[str, type[StudyRequest] | type[NeuronsRequest]] = {"study": StudyRequest, "neurons": NeuronsRequest}


def start(store: Store, request: jobs.Request) -> None:
    """Submit a job and name it in the address."""
    try:
        st.query_params["job"] = jobs.submit(store, request)
    except InputError as error:
        problem("The job could not be started", str(error))


def show(store: Store) -> None:
    """The jobs at work, and how the one that the address names has ended; when it is done, its study opens."""
    active = [job.id for job in jobs.jobs(store) if job.active]
    if active:
        _watch(store, active)
    named = st.query_params.get("job")
    if named and named not in active:
        try:
            _ended(store, jobs.status(store, named))
        except InputError as error:
            problem("The job in this link is not here", str(error))
            st.button("Dismiss", on_click=_dismiss)


@st.fragment(run_every=POLL)
def _watch(store: Store, ids: list[str]) -> None:
    found = [jobs.status(store, job_id) for job_id in ids]
    if not all(job.active for job in found):
        st.rerun()
    for job in found:
        with st.container(border=True):
            _at_work(store, job)


def _at_work(store: Store, job: jobs.Job) -> None:
    text, button = st.columns([5, 1], vertical_alignment="center")
    with text:
        st.markdown(f"**{_state(job)}**")
        st.text(_title(job))
    if button.button("Cancel", key=f"cancel {job.id}", width="stretch"):
        jobs.cancel(store, job.id)
        st.toast("Cancelling: the job stops at its next step, and what it has finished is kept.")
    st.progress(job.done / job.total if job.total else 0.0)
    st.text(job.what or "It starts once its process is up and its turn has come.")


def _state(job: jobs.Job) -> str:
    if job.state == "queued":
        return "Waiting"
    left = job.seconds_left
    return "Running" if left is None else f"Running, {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _ended(store: Store, job: jobs.Job) -> None:
    if job.state == "done":
        _dismiss()
        if job.kind == "study":
            st.query_params["study"] = job.result
        st.rerun()
    if job.state == "failed":
        problem("The job failed", job.message)
    else:
        st.info("**Cancelled.** What was finished is kept: run it again and it goes on from there.",
                icon=":material/cancel:")
    again, dismiss, _ = st.columns([1, 1, 4])
    if job.kind in AGAIN and again.button("Run again", type="primary", width="stretch"):
        start(store, AGAIN[job.kind].from_dict(job.request))
        st.rerun()
    dismiss.button("Dismiss", on_click=_dismiss, width="stretch")
    if job.log_tail:
        with st.expander("End of the job's log"):
            st.code(job.log_tail, language=None, wrap_lines=True)


def _title(job: jobs.Job) -> str:
    if job.kind == "neurons":
        return f"Neurons: {', '.join(job.request['parts'])}"
    return title(StudyRequest.from_dict(job.request)) if job.kind == "study" else job.kind


def _dismiss() -> None:
    st.query_params.pop("job", None)
