"""Jobs in real processes: run, shared, cancelled, killed, resumed."""
import dataclasses
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from explorer import jobs
from explorer.corpus import CorpusRequest
from explorer.runs import FinetuneRequest
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import StudyRequest, finished, load
from explorer.work import RunRequest
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
    assert jobs.submit(store, long_request) != first
    jobs.cancel(store, jobs.jobs(store)[0].id)


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


def test_bad_input_is_the_message_of_a_failed_job(store: Store, request_: StudyRequest) -> None:
    bad = dataclasses.replace(request_, base="/no/such/folder")
    job = wait(store, jobs.submit(store, bad), over)
    assert job.state == "failed"
    assert "/no/such/folder" in job.message


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
import sys
from pathlib import Path
from explorer.jobs import submit
from explorer.store import Store
from explorer.downloads import DownloadRequest
for i in range(5):
    submit(Store(Path(sys.argv[1])), DownloadRequest(f"absent-{int(sys.argv[2]) * 5 + i}"))
"""


def test_twenty_submissions_from_four_processes_are_each_done_once(store: Store, tmp_path: Path) -> None:
    """Downloads that nobody offers: they end at once, and their logs tell that they were tried."""
    root = Path(jobs.__file__).resolve().parents[1]
    with store.lock("slot"):  # none begins before all are there
        asking = [subprocess.Popen([sys.executable, "-c", SUBMIT, str(store.root), str(i)], cwd=root) for i in range(4)]
        assert [process.wait() for process in asking] == [0] * 4
        found = jobs.jobs(store)
        assert sorted(job.request["name"] for job in found) == sorted(f"absent-{i}" for i in range(20))
        assert all(job.state == "queued" for job in found)
    ended = [wait(store, job.id, over) for job in reversed(found)]
    assert all("KeyError: 'absent-" in job.message for job in ended)
    starts = [job.started for job in ended]
    assert starts == sorted(starts)  # in the order in which they came
    assert all(one.updated <= other.started for one, other in itertools.pairwise(ended))  # one at a time
