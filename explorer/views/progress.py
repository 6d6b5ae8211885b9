"""Jobs on the page: how far they are, how to stop them, what to do when one went wrong."""
import streamlit as st

from explorer import cached, jobs
from explorer.jobs import Job
from explorer.study import StudyRequest, title

STATES = {"queued": "Waiting for its turn", "running": "Running"}


def show_jobs() -> None:
    """The jobs at work, or how the last one ended if it ended badly."""
    found = jobs.jobs(cached.store())
    active = [job.id for job in found if job.active]
    if active:
        _watch(active)
    elif found and found[0].state in ("failed", "cancelled") and found[0].id != st.session_state.get("dismissed"):
        _ended_badly(found[0])


@st.fragment(run_every=1.0)
def _watch(ids: list[str]) -> None:
    """Repaint by itself; the rest of the page runs again once a job has ended."""
    for job in (jobs.status(cached.store(), job_id) for job_id in ids):
        if job.active:
            _at_work(job)
            continue
        if job.state == "done" and job.id == st.query_params.get("job"):
            del st.query_params["job"]
            st.session_state["finished"] = job.result
        st.rerun()


def _at_work(job: Job) -> None:
    with st.container(border=True):
        text, button = st.columns([6, 1], vertical_alignment="center")
        text.markdown(f"**{STATES[job.state]}**")
        text.text(_name(job))
        button.button("Cancel", key=f"cancel {job.id}", on_click=jobs.cancel, args=(cached.store(), job.id),
                      width="stretch")
        st.progress(job.done / max(job.total, 1), text=_escaped(", ".join(filter(None, [job.what, _left(job)])) or "…"))


def _ended_badly(job: Job) -> None:
    with st.container(border=True):
        if job.state == "cancelled":
            st.warning("Cancelled. What was computed is kept: run it again and it goes on from there.")
        else:
            st.error("The last study failed:")
            st.text(job.message)
        st.text(_name(job))
        again, dismiss, _ = st.columns([1, 1, 4])
        again.button("Run again", key="again", on_click=_again, args=(job,), width="stretch", type="primary")
        dismiss.button("Dismiss", key="dismiss", on_click=_dismiss, args=(job,), width="stretch")
        if job.log_tail:
            with st.expander("End of its log"):
                st.code(job.log_tail, language=None)


def _again(job: Job) -> None:
    start(StudyRequest.from_dict(job.request))


def _dismiss(job: Job) -> None:
    st.session_state["dismissed"] = job.id


def start(request: StudyRequest) -> None:
    """Submit a study; the address remembers whose page waits for it."""
    st.query_params["job"] = jobs.submit(cached.store(), request)


def _name(job: Job) -> str:
    return title(StudyRequest.from_dict(job.request)) if job.kind == "study" else job.kind


def _left(job: Job) -> str:
    seconds = job.seconds_left
    if seconds is None:
        return ""
    return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {max(seconds, 1):.0f} s left"


def _escaped(text: str) -> str:
    """Text from files and folders, safe where Streamlit takes Markdown."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-.!|<>$:~^" else char for char in text)
