"""Jobs: work in a process of its own, through submitit, whose state and progress are files.

`root/jobs/<id>/` holds request.json, process.json (who works on it) or slurm.json (its number there), state.json
(written by the job alone), `cancel` once somebody asks for that, and submitit's logs. Whoever can read the folder can
watch, from any process and after any restart.
"""
import dataclasses
import faulthandler
import json
import os
import secrets
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from explorer.files import explained
from explorer.processes import alive, of_process, of_slurm, slurm_number, started, write
from explorer.specs import InputError
from explorer.store import Store
from explorer.work import KINDS, WORK, Request

ACTIVE = ("queued", "running")
WRITE_EVERY = 0.2  # seconds between two writes of the progress file
LOG_LINES = 20
EARLY = 0.1  # of the work: the first steps tell little of the others
LEAP = 0.2  # of the work, at one step: it was done before, by an earlier job or found in the cache
UNLIKE = ("neurons", "scorecard")  # kinds whose steps take unlike times


class Cancelled(Exception):
    """Raised inside a job, from its progress callback, when somebody asked it to stop."""


@dataclass(frozen=True)
class Job:
    """What is known of a job from its files."""

    id: str
    kind: str  # one of work.WORK
    state: str  # 'queued', 'running', 'done', 'failed' or 'cancelled'
    request: dict
    created: float  # seconds since the epoch
    done: int = 0
    total: int = 0
    what: str = ""
    started: float | None = None
    updated: float | None = None
    since: float | None = None  # from when the rate counts, and the share of the work that was done by then
    skipped: float = 0.0
    message: str = ""  # why it failed
    result: str = ""  # a study's key, of a run at work as far as it came; of other jobs, the folder they filled
    cancelling: bool = False  # at work, and asked to stop

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def seconds_left(self) -> float | None:
        """Time left at the rate so far; None while there is too little to go by, or steps take unlike times."""
        if self.state != "running" or self.since is None or self.updated is None or self.kind in UNLIKE:
            return None
        share = self.done / self.total if self.total else 0.0
        done = share - self.skipped
        return (self.updated - self.since) * (1 - share) / done if done >= EARLY else None


def submit(store: Store, request: Request) -> str:
    """Start a job and return its id; a job at work with the same request, not asked to stop, is returned instead."""
    return _submit(store, KINDS[type(request)], json.loads(json.dumps(dataclasses.asdict(request))))


def again(store: Store, job: Job) -> str:
    """Start the same once more: it goes on from where the job stopped; returns the new job's id."""
    return _submit(store, job.kind, job.request)


def _submit(store: Store, kind: str, wanted: dict) -> str:
    job_id = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = _folder(store, job_id)
    with store.lock("jobs"), explained(folder):
        for job in jobs(store):
            if job.active and not job.cancelling and job.kind == kind and job.request == wanted:
                return job.id
        folder.mkdir(parents=True)
        write(folder / "request.json", {"kind": kind, "request": wanted, "created": time.time()})
        # Started from a process in a session of its own: Ctrl-C in the page's terminal must not reach the job.
        launcher = subprocess.Popen(
            [sys.executable, "-m", "explorer.jobs", str(store.root.resolve()), job_id],
            cwd=Path(__file__).resolve().parents[1], start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=(folder / "launcher.log").open("w"),
        )
        of_process(folder, launcher.pid)
    return job_id


def jobs(store: Store) -> list[Job]:
    """Every job, newest first."""
    folders = sorted((store.root / "jobs").glob("*/request.json"), reverse=True)
    return [status(store, path.parent.name) for path in folders]


def status(store: Store, job_id: str) -> Job:
    """The job as its files and its process tell; raises InputError when there is no such job."""
    folder = _folder(store, job_id)
    if not (folder / "request.json").is_file():
        raise InputError(f"job {job_id!r}: there is none of that name in {store.root / 'jobs'}")
    request = json.loads((folder / "request.json").read_text())
    state = _state(folder)
    if state["state"] in ACTIVE and not alive(folder):
        state = _end(folder)
    cancelling = state["state"] in ACTIVE and (folder / "cancel").exists()
    return Job(id=job_id, kind=request["kind"], request=request["request"], created=request["created"],
               cancelling=cancelling, **state)


def cancel(store: Store, job_id: str) -> None:
    """Ask a job to stop; it does at its next step of progress, and what it has finished stays in the cache."""
    folder = _folder(store, job_id)
    (folder / "cancel").touch()
    if not (folder / "state.json").is_file() and (number := slurm_number(folder)):  # it may not start for hours
        subprocess.run(["scancel", number], check=False)


def _folder(store: Store, job_id: str) -> Path:
    if not job_id or not all(c.isalnum() or c == "-" for c in job_id):  # it may come from a link
        raise InputError(f"job {job_id!r}: an id has letters, digits and '-' alone")
    return store.root / "jobs" / job_id


def _state(folder: Path) -> dict:
    """What the job last wrote of itself."""
    path = folder / "state.json"
    return json.loads(path.read_text()) if path.is_file() else {"state": "queued"}


def _end(folder: Path) -> dict:
    """How a job ended whose process is gone, whether it could write that down or not."""
    state = _state(folder)
    if state["state"] not in ACTIVE:
        return state
    if (folder / "cancel").exists():
        return state | {"state": "cancelled"}
    message = ("The job's process ended without a word: it was killed, or memory ran out. "
               "What it finished is kept; run it again to go on from there.") if started(folder) else \
        ("No process was started for the job: memory ran out, or the explorer was stopped at that moment. "
         "Run it again.")
    return state | {"state": "failed", "message": message}


def log_tail(store: Store, job_id: str) -> str:
    """The last lines of what it wrote, of its launcher too."""
    folder, lines = _folder(store, job_id), []
    for path in [folder / "launcher.log", *sorted(folder.glob("*_log.err"))]:
        if path.is_file():
            lines += path.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])


def launch(root: Path, job_id: str) -> None:
    """Hand the job to submitit: a local process, or SLURM where there is one."""
    import submitit

    folder = root / "jobs" / job_id
    executor = submitit.AutoExecutor(folder=folder)
    gpus = _visible_gpus()
    executor.update_parameters(name="explorer", timeout_min=7 * 24 * 60, gpus_per_node=gpus)
    job = executor.submit(perform, root, job_id)
    if executor.cluster == "local":
        of_process(folder, int(job.job_id))
    else:
        of_slurm(folder, job.job_id)


def _visible_gpus() -> int:
    """submitit hides every GPU that is not asked for."""
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return 0
    return min(1, len(listed.stdout.splitlines()))


def perform(root: Path, job_id: str) -> None:
    """The job itself, in its own process: waits for its turn, works, and writes down how it ended."""
    faulthandler.enable()  # a crash of a library leaves its stack in the log
    store, folder = Store(root), root / "jobs" / job_id
    request = json.loads((folder / "request.json").read_text())
    report = _Report(folder)
    try:
        _await_turn(store, job_id, report)
        with store.lock("slot", while_waiting=report.check_cancelled):
            report.start()
            result = WORK[request["kind"]](request["request"], store, report)
        report.end("done", result=result)
    except Cancelled:
        report.end("cancelled")
    except InputError as error:
        report.end("failed", message=str(error))
    except Exception as error:
        traceback.print_exc()
        report.end("failed", message=f"{type(error).__name__}: {error}")
        raise


def _await_turn(store: Store, job_id: str, report: "_Report") -> None:
    """Wait until every older job is over: first come, first served."""
    older = sorted(path.parent.name for path in (store.root / "jobs").glob("*/request.json"))
    for other in older[:older.index(job_id)]:
        while status(store, other).active:
            report.check_cancelled()
            time.sleep(WRITE_EVERY)


class _Report:
    """The progress callback of a job: writes state.json, and stops the job when it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state: dict = {"state": "queued"}
        self.written = self.share = 0.0
        of_process(folder, os.getpid())

    def __call__(self, done: int, total: int, what: str) -> None:
        self.check_cancelled()
        now, share = time.time(), done / total if total else 0.0
        if share - self.share >= LEAP:
            self.state |= {"since": now, "skipped": share}
        self.share = share
        self.state |= {"done": done, "total": total, "what": what, "updated": now}
        if time.monotonic() - self.written > WRITE_EVERY:
            self._write()

    def check_cancelled(self) -> None:
        if (self.folder / "cancel").exists():
            raise Cancelled

    def start(self) -> None:
        now = time.time()
        self.state |= {"state": "running", "started": now, "since": now}
        self._write()

    def publish(self, result: str) -> None:
        """What there is to look at while the job goes on."""
        self.state |= {"result": result}
        self._write()

    def end(self, state: str, **more: str) -> None:
        self.state |= {"state": state, "updated": time.time(), **more}
        self._write()

    def _write(self) -> None:
        write(self.folder / "state.json", self.state)
        self.written = time.monotonic()


if __name__ == "__main__":
    from explorer.jobs import launch as launch_importable  # what submitit pickles must not live in __main__

    launch_importable(Path(sys.argv[1]), sys.argv[2])
