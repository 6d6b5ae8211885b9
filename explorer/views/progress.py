"""Jobs at work: how far they are and how they ended, from their files, so that a reload loses nothing."""
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from explorer import jobs
from explorer.downloads import DOWNLOADS
from explorer.evidence import RestoreRequest
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import StudyRequest, short_name, title
from explorer.tasks import task_name
from explorer.untrained import UntrainedRequest
from explorer.views.messages import problem

POLL = 1.0  # seconds
SHOWN = 2  # jobs above every page, the oldest first
NAMES = {"study": "study", "run": "run", "finetune": "fine-tuning", "download": "download",
         "neurons": "analysis of neurons", "scorecard": "scorecard", "untrained": "random weights",
         "restore": "recomputation of a study's data"}
OF_STUDIES = ("study", "run", "restore")  # kinds whose study opens when they are done


def start(store: Store, request: jobs.Request) -> None:
    """The callback of a button: submit a job and name it in the address."""
    _named_in_address(jobs.submit, store, request)


def start_now(store: Store, request: jobs.Request) -> None:
    """The same, and draw the page anew, unless the job could not be started, which a box then says."""
    if _named_in_address(jobs.submit, store, request):
        st.rerun()


def _named_in_address(submit: Callable[[Store, Any], str], store: Store, what: object) -> bool:
    try:
        st.query_params["job"] = submit(store, what)
    except InputError as error:
        problem("The job could not be started", str(error))
        return False
    return True


def begun(store: Store, request: jobs.Request) -> bool:
    """Whether a job for just this is at work: the button that starts it then waits."""
    wanted = json.loads(json.dumps(dataclasses.asdict(request)))
    return any(job.active and not job.cancelling and job.request == wanted for job in jobs.jobs(store))


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
    for job in found[-SHOWN:][::-1]:
        with st.container(border=True):
            at_work(store, job)
    if len(found) > SHOWN:
        st.caption(f"{len(found) - SHOWN} more are waiting: see the Jobs page.")


def at_work(store: Store, job: jobs.Job) -> None:
    """How far a job is, and the button that stops it."""
    text, button = st.columns([5, 1], vertical_alignment="center")
    with text:
        st.markdown(f"**{NAMES[job.kind].capitalize()}: {_state(job).lower()}**")
        st.text(named(job))
    if button.button("Cancel", key=f"cancel {job.id}", width="stretch", disabled=job.cancelling):
        jobs.cancel(store, job.id)
        st.toast("Cancelling: the job stops at its next step, and what it has finished is kept.")
    st.progress(job.done / job.total if job.total else 0.0)
    waits = "It starts once its process is up and its turn has come."
    st.text(job.what or (waits if job.state == "queued" else "Its first step is under way."))


def _state(job: jobs.Job) -> str:
    if job.cancelling:
        return "Stopping at its next step"
    if job.state == "queued":
        return "Waiting"
    left = job.seconds_left
    return "Running" if left is None else f"Running, {duration(left)} left"


def duration(seconds: float) -> str:
    """So many seconds in words."""
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _ended(store: Store, job: jobs.Job) -> None:
    if job.state == "done":
        _dismiss()
        if job.kind in OF_STUDIES:
            st.query_params["study"] = job.result
        st.rerun()
    if job.state == "failed":
        problem(f"The {NAMES[job.kind]} failed", job.message)
    else:
        st.info("**Cancelled.** Finished work is kept; *Resume* continues from there.",
                icon=":material/cancel:")
    again, dismiss, _ = st.columns([1, 1, 4])
    if again.button("Resume", type="primary", width="stretch"):
        go_on(store, job)
    dismiss.button("Dismiss", on_click=_dismiss, width="stretch")
    log(store, job)


def log(store: Store, job: jobs.Job) -> None:
    """The end of what it wrote, folded."""
    if tail := jobs.log_tail(store, job.id):
        with st.expander("End of its log"):
            st.code(tail, language=None, wrap_lines=True)


def go_on(store: Store, job: jobs.Job) -> None:
    """Start it once more and name that in the address."""
    if _named_in_address(jobs.again, store, job):
        st.rerun()


def named(job: jobs.Job) -> str:
    """One line that tells what a job is of."""
    if job.kind == "study":
        return title(StudyRequest.from_dict(job.request))
    if job.kind == "restore":
        return title(RestoreRequest.from_dict(job.request).study)
    if job.kind == "untrained":
        return title(UntrainedRequest.from_dict(job.request).of)
    if job.kind == "download":
        return DOWNLOADS[job.request["name"]].title
    if job.kind == "neurons":
        return f"{short_name(job.request['finetuned'])}: {', '.join(job.request['parts'])}"
    if job.kind == "scorecard":
        return f"probes on all layers together, for {len(job.request['studies'])} of the finished studies"
    tune = job.request["finetune"] if job.kind == "run" else job.request
    return f"{short_name(tune['model'])} · {task_name(tune['task'], tune['data'])} · {short_name(tune['out'])}"


def _dismiss() -> None:
    st.query_params.pop("job", None)
