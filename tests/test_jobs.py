"""Jobs in real processes: run, shared, cancelled, killed, resumed."""
import dataclasses
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from explorer import jobs
from explorer.corpus import CorpusRequest
from explorer.neurons.analysis import Neurons
from explorer.processes import alive, of_process, slurm_number
from explorer.runs import FinetuneRequest
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import Study, StudyRequest, finished, load, run_study
from explorer.work import RunRequest
from tests import slurm
from tests.tiny import build
from tests.words import write_conllu, write_corpus


@pytest.fixture
def request_(tmp_path: Path) -> StudyRequest:
    base, tuned = build(tmp_path / "base", "bert", seed=0), build(tmp_path / "tuned", "bert", seed=1)
    return StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(tmp_path)), k=(1, 4))


@pytest.fixture
def long_request(request_: StudyRequest, tmp_path: Path) -> StudyRequest:
    """One that is still at work when a test interferes."""
    train = write_conllu(tmp_path / "long.conllu", 20000, 0)
    return dataclasses.replace(request_, corpus=dataclasses.replace(request_.corpus, train=str(train)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def wait(store: Store, job_id: str, until: Callable[[jobs.Job], bool], seconds: float = 90) -> jobs.Job:
    """The job once the condition holds; polls, as a page does."""
    end = time.monotonic() + seconds
    while not until(job := jobs.status(store, job_id)):
        assert time.monotonic() < end, f"still {job}"
        time.sleep(0.1)
    return job


def over(job: jobs.Job) -> bool:
    return not job.active


def test_a_job_ends_with_a_study(store: Store, request_: StudyRequest) -> None:
    job = wait(store, jobs.submit(store, request_), over)
    assert job.state == "done", job
    assert load(store, job.result).request == request_
    assert (job.done, job.total) == (1, 1)


def test_two_who_ask_for_the_same_share_one_job(store: Store, long_request: StudyRequest) -> None:
    first = jobs.submit(store, long_request)
    assert jobs.submit(store, long_request) == first
    jobs.cancel(store, first)
    assert wait(store, first, over).state == "cancelled"
    second = jobs.submit(store, long_request)
    assert second != first
    jobs.cancel(store, second)
    wait(store, second, over)


def test_jobs_take_turns(store: Store, request_: StudyRequest, long_request: StudyRequest) -> None:
    first = jobs.submit(store, long_request)
    wait(store, first, lambda job: job.state == "running")
    second = jobs.submit(store, request_)
    assert jobs.status(store, second).state == "queued"
    jobs.cancel(store, first)
    assert wait(store, second, over).state == "done"


def test_a_killed_job_is_failed_and_can_be_run_again(store: Store, long_request: StudyRequest) -> None:
    job_id = jobs.submit(store, long_request)
    wait(store, job_id, lambda job: job.state == "running" and job.done > 0)
    for process in processes(job_id):
        process.kill()
    job = wait(store, job_id, over, seconds=10)
    assert job.state == "failed"
    assert "killed" in job.message
    again = jobs.submit(store, long_request)
    assert again != job_id
    wait(store, again, lambda job: job.state == "running" and job.done > 0)
    jobs.cancel(store, again)
    assert wait(store, again, over).state == "cancelled"


def test_what_is_asked_again_while_it_stops_is_another_job(store: Store, long_request: StudyRequest) -> None:
    first = jobs.submit(store, long_request)
    wait(store, first, lambda job: job.state == "running" and job.done > 0)
    stopped = psutil.Process(json.loads((store.root / "jobs" / first / "process.json").read_text())["pid"])
    stopped.suspend()  # as if in the middle of a long step
    jobs.cancel(store, first)
    assert jobs.status(store, first).cancelling
    second = jobs.submit(store, long_request)
    assert second != first
    assert jobs.submit(store, long_request) == second
    stopped.resume()
    assert wait(store, first, over).state == "cancelled"
    jobs.cancel(store, second)
    assert wait(store, second, over).state == "cancelled"


def test_bad_input_is_the_message_of_a_failed_job(store: Store, request_: StudyRequest) -> None:
    bad = dataclasses.replace(request_, base="/no/such/folder")
    job = wait(store, jobs.submit(store, bad), over)
    assert job.state == "failed"
    assert "/no/such/folder" in job.message


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_job_that_was_never_started_holds_up_no_other(store: Store, request_: StudyRequest, cancelled: bool) -> None:
    folder = store.root / "jobs" / "20200101-000000-abcdef"
    folder.mkdir(parents=True)
    asked = {"kind": "study", "request": dataclasses.asdict(request_), "created": 0}
    (folder / "request.json").write_text(json.dumps(asked))
    assert jobs.status(store, folder.name).state == "queued"  # it may be starting this moment
    if cancelled:
        jobs.cancel(store, folder.name)
    else:
        os.utime(folder / "request.json", (0, 0))
    job = jobs.status(store, folder.name)
    assert job.state == ("cancelled" if cancelled else "failed")
    assert cancelled or "No process was started" in job.message


def test_a_job_of_a_host_that_is_no_more_can_be_cancelled(store: Store, request_: StudyRequest) -> None:
    folder = store.root / "jobs" / "20200101-000000-abcdef"
    folder.mkdir(parents=True)
    asked = {"kind": "study", "request": dataclasses.asdict(request_), "created": 0}
    (folder / "request.json").write_text(json.dumps(asked))
    (folder / "process.json").write_text(json.dumps({"host": "another", "pid": 1, "started": 0.0}))
    assert jobs.status(store, folder.name).active
    jobs.cancel(store, folder.name)
    assert jobs.status(store, folder.name).state == "cancelled"


@pytest.mark.parametrize(("kind", "done", "left"), [("study", 25, 30.0), ("study", 5, None), ("neurons", 25, None)])
def test_time_left_is_told_once_it_can_be(kind: str, done: int, left: float | None) -> None:
    job = jobs.Job("a", kind, "running", {}, 0.0, done=done, total=100, started=0.0, since=0.0, updated=10.0)
    assert job.seconds_left == left


def test_what_was_done_before_does_not_count_in_the_time_left(
    store: Store, request_: StudyRequest, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job that goes on with another's work: 60 % at its first step, then 20 % in 10 seconds."""
    folder = store.root / "jobs" / "20200101-000000-abcdef"
    folder.mkdir(parents=True)
    asked = {"kind": "study", "request": dataclasses.asdict(request_), "created": 0}
    (folder / "request.json").write_text(json.dumps(asked))
    report = jobs._Report(folder)
    for now, done in ((0.0, None), (5.0, 600), (10.0, 700), (15.0, 800)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        report.written = -1e9  # a step is written down at once
        report.start() if done is None else report(done, 1000, "")
    assert jobs.status(store, folder.name).seconds_left == pytest.approx(10)


def test_a_full_disk_is_said_when_a_job_is_started(store: Store, request_: StudyRequest) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write() then fails, as at a full quota
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(InputError, match="the disk is full"):
            jobs.submit(store, request_)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert jobs.jobs(store) == []


def test_who_has_a_job_is_known_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_process(tmp_path, os.getpid())
    assert alive(tmp_path)
    before = psutil.boot_time()  # from which Linux reckons all times of processes
    monkeypatch.setattr(psutil, "boot_time", lambda: before + 3600)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: before + 3600)
    assert alive(tmp_path)
    written = json.loads((tmp_path / "process.json").read_text())
    (tmp_path / "process.json").write_text(json.dumps(written | {"started": written["started"] - 1}))
    assert not alive(tmp_path)  # another process, of the same number


@pytest.mark.parametrize("name", ["../../etc", "20200101-000000-abcdef", ""])
def test_a_job_that_is_not_there(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="job"):
        jobs.status(store, name)


@pytest.fixture
def run_request(request_: StudyRequest, tmp_path: Path) -> RunRequest:
    """A run of 12 steps with checkpoints at 0, 6 and 12, each probed."""
    rows = "".join(f"a {'cat' if i % 2 else 'dog'} sees\t{i % 2}\n" for i in range(60))
    (tmp_path / "task.tsv").write_text("sentence\tlabel\n" + rows, encoding="utf-8")
    tune = FinetuneRequest(request_.base, "classification", str(tmp_path / "task.tsv"), str(tmp_path / "run"),
                           epochs=4, batch_size=16, fractions=(0, 0.5, 1))
    return RunRequest(tune, dataclasses.replace(request_, finetuned=(), k=(1,)))


def processes(job_id: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"])
            if job_id in " ".join(process.info["cmdline"] or [])]


def test_a_run_is_probed_as_it_goes_killed_and_gone_on_with(store: Store, run_request: RunRequest) -> None:
    job_id = jobs.submit(store, run_request)
    early = wait(store, job_id, lambda job: bool(job.result))
    assert early.active
    assert len(load(store, early.result).finetuned) in (1, 2)
    for process in processes(job_id):
        process.kill()
    failed = wait(store, job_id, over, seconds=10)
    assert (failed.state, failed.result) == ("failed", early.result)
    done = wait(store, jobs.again(store, failed), over)
    assert done.state == "done", done
    assert [Path(name).name for name in load(store, done.result).finetuned] == [
        "checkpoint-0", "checkpoint-6", "checkpoint-12"]
    assert [summary.key for summary in finished(store)] == [done.result]  # what it grew from is not listed


SUBMIT = """
import json, sys
from pathlib import Path
from explorer.jobs import submit
from explorer.neurons.analysis import NeuronsRequest
from explorer.store import Store
root, study, *names = sys.argv[1:]
print(json.dumps({name: submit(Store(Path(root)), NeuronsRequest(study, name, ("moves",))) for name in names}))
"""


@pytest.fixture
def twenty(store: Store, tmp_path: Path) -> Study:
    """A study of twenty fine-tuned checkpoints: the neurons of each can be followed in a job that needs no torch."""
    base, *tuned = [str(build(tmp_path / f"model-{seed}", "bert", seed=seed)) for seed in range(21)]
    return run_study(StudyRequest(base, tuple(tuned), CorpusRequest(**write_corpus(tmp_path)), k=(1,), control=0,
                                  description=False), store)


def test_twenty_submissions_from_four_processes_are_each_done_once(store: Store, twenty: Study) -> None:
    """Each process asks for five analyses and for two of the next process's, so that eight are asked for twice."""
    root, before = Path(jobs.__file__).resolve().parents[1], set((store.root / "results").iterdir())
    names, asked = twenty.finetuned, []
    with store.lock("slot"):  # none begins before all are there
        asking = [subprocess.Popen([sys.executable, "-c", SUBMIT, str(store.root), twenty.key,
                                    *(names[(5 * i + j) % 20] for j in range(7))],
                                   cwd=root, stdout=subprocess.PIPE, text=True) for i in range(4)]
        for process in asking:
            asked += json.loads(process.communicate()[0]).items()
        found = jobs.jobs(store)
        assert len(asked) == 28
        assert set(asked) == {(job.request["finetuned"], job.id) for job in found}
        assert (len(found), {job.state for job in found}) == (20, {"queued"})
    ended = [wait(store, job.id, over) for job in reversed(found)]
    assert {(job.state, job.result) for job in ended} == {("done", twenty.key)}
    assert all(one.updated <= other.started for one, other in itertools.pairwise(ended))  # in order, one at a time
    for job in ended:
        log, = (store.root / "jobs" / job.id).glob("*_log.out")
        assert log.read_text().count("Job completed successfully") == 1
        neurons = Neurons(store, twenty, job.request["finetuned"])
        tables = {store.root / "results" / f"{neurons.spec(cell).key()}.parquet" for cell in neurons.cells("moves")}
        assert len(tables - before) == 3  # of each layer its own, new, and written while this job was at work
        assert all(job.started <= path.stat().st_mtime <= job.updated for path in tables)
        before |= tables
        moved = neurons.table("moves").query("layer == 2")
        assert moved.correlation.between(-1, 1).all()
    assert set((store.root / "results").iterdir()) == before  # and nothing else


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has SLURM; while a file `busy` is in the folder, its jobs wait."""
    programs, folder = tmp_path / "bin", tmp_path / "cluster"
    programs.mkdir()
    folder.mkdir()
    slurm.install(programs)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("CLUSTER", str(folder))
    return folder


def numbered(store: Store, job_id: str) -> str:
    """The job's number there, once it has one: from then on it is SLURM's word that counts."""
    folder = store.root / "jobs" / job_id
    wait(store, job_id, lambda job: slurm_number(folder) is not None)
    return str(slurm_number(folder))


def test_on_slurm_a_job_waits_and_is_done(cluster: Path, store: Store, request_: StudyRequest) -> None:
    (cluster / "busy").touch()
    job_id = jobs.submit(store, request_)
    number = numbered(store, job_id)
    assert jobs.status(store, job_id).state == "queued"
    assert jobs.submit(store, request_) == job_id
    (cluster / "busy").unlink()
    job = wait(store, job_id, over)
    assert (job.state, job.message) == ("done", "")
    assert load(store, job.result).request == request_
    log = store.root / "jobs" / job_id / f"{number}_0_log.out"
    assert log.read_text().count("Job completed successfully") == 1


def test_on_slurm_a_job_whose_node_is_lost_has_failed(cluster: Path, store: Store, long_request: StudyRequest) -> None:
    job_id = jobs.submit(store, long_request)
    wait(store, job_id, lambda job: job.done > 0)
    for process in slurm.session(cluster, numbered(store, job_id)):
        process.kill()
    job = wait(store, job_id, over, seconds=10)
    assert job.state == "failed"
    assert "ended without a word" in job.message


def test_on_slurm_what_it_refuses_has_failed(cluster: Path, store: Store, request_: StudyRequest) -> None:
    (cluster / "refuses").touch()
    job = wait(store, jobs.submit(store, request_), over)
    assert job.state == "failed"
    assert "invalid partition specified" in jobs.log_tail(store, job.id)


@pytest.mark.parametrize("waits", [True, False])
def test_on_slurm_a_job_is_cancelled(cluster: Path, store: Store, long_request: StudyRequest, waits: bool) -> None:
    if waits:
        (cluster / "busy").touch()
    job_id = jobs.submit(store, long_request)
    number = numbered(store, job_id)
    if not waits:
        wait(store, job_id, lambda job: job.done > 0)
    jobs.cancel(store, job_id)
    assert wait(store, job_id, over).state == "cancelled"
    psutil.wait_procs(slurm.session(cluster, number))
    assert not slurm.session(cluster, number)
