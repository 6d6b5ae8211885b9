"""What jobs do: one function for each kind of request."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from explorer.downloads import DOWNLOADS, DownloadRequest, fetch
from explorer.evidence import Evidence, RestoreRequest
from explorer.neurons.analysis import NeuronsRequest, run_neurons
from explorer.runs import FinetuneRequest, Run
from explorer.scoring import ScorecardRequest, complete
from explorer.store import Store
from explorer.study import StudyRequest, load, run_study
from explorer.untrained import UntrainedRequest


class Report(Protocol):
    """How a job tells of itself."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Progress, as everywhere."""

    def publish(self, result: str) -> None:
        """What there is to look at while the job goes on."""


@dataclass(frozen=True)
class RunRequest:
    """A fine-tuning whose checkpoints are probed as they land."""

    finetune: FinetuneRequest
    study: StudyRequest  # whose fine-tuned checkpoints are those that the run has so far

    @classmethod
    def from_dict(cls, fields: dict) -> RunRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        return cls(FinetuneRequest.from_dict(fields["finetune"]), StudyRequest.from_dict(fields["study"]))


def _study(request: dict, store: Store, report: Report) -> str:
    return run_study(StudyRequest.from_dict(request), store, report).key


def _finetune(request: dict, store: Store, report: Report) -> str:
    from explorer.finetune import finetune

    return str(finetune(FinetuneRequest.from_dict(request), report))


def _run(request: dict, store: Store, report: Report) -> str:
    """What is probed already costs nothing: at each checkpoint, the study of all of them so far."""
    from explorer.finetune import finetune

    asked, key = RunRequest.from_dict(request), ""

    def probe(run: Run) -> None:
        nonlocal key
        at, end = run.saved[-1], run.due[-1]
        names = tuple(str(run.folder / f"checkpoint-{step}") for step in run.saved)
        key = run_study(dataclasses.replace(asked.study, finetuned=names), store,
                        lambda done, total, what: report(at, end, f"probing: {what}")).key
        report.publish(key)

    finetune(asked.finetune, report, probe)
    return key


def _download(request: dict, store: Store, report: Report) -> str:
    return str(fetch(DOWNLOADS[request["name"]], store.root, report))


def _neurons(request: dict, store: Store, report: Report) -> str:
    return run_neurons(NeuronsRequest.from_dict(request), store, report).study.key


def _untrained(request: dict, store: Store, report: Report) -> str:
    return run_study(UntrainedRequest.from_dict(request).of, store, report).key


def _restore(request: dict, store: Store, report: Report) -> str:
    key = RestoreRequest.from_dict(request).key
    Evidence(store, load(store, key)).restore(report)
    return key


def _scorecard(request: dict, store: Store, report: Report) -> str:
    complete(ScorecardRequest.from_dict(request), store, report)
    return str(store.root)


Request = StudyRequest | FinetuneRequest | RunRequest | DownloadRequest | NeuronsRequest | ScorecardRequest \
    | UntrainedRequest | RestoreRequest
KINDS: dict[type[Request], str] = {
    StudyRequest: "study", FinetuneRequest: "finetune", RunRequest: "run", DownloadRequest: "download",
    NeuronsRequest: "neurons", ScorecardRequest: "scorecard", UntrainedRequest: "untrained",
    RestoreRequest: "restore",
}
WORK: dict[str, Callable[[dict, Store, Report], str]] = {
    "study": _study, "finetune": _finetune, "run": _run, "download": _download, "neurons": _neurons,
    "scorecard": _scorecard, "untrained": _untrained, "restore": _restore,
}
