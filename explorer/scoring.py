"""The scorecard of finished studies, for the page and the command, and the job that computes what it lacks.

Three of its patterns take probes on all layers together. A job that was stopped goes on at the checkpoint where it was.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.all_layers import AllLayersSpec, compute, fits, known
from explorer.evidence import Evidence
from explorer.scorecard import Line, pairs, scorecard, to_json, to_markdown
from explorer.specs import InputError, Progress, silent
from explorer.store import Store
from explorer.study import Study, load, short_name

OF_ALL_WORDS = [("split", "=", "test"), ("label", "=", "")]  # the rows of a study's table that the patterns are of
RESTORING = 0.8  # of a checkpoint's time, where what lies behind its study has to be computed again first


@dataclass(frozen=True)
class ScorecardRequest:
    """What a user asks for: all that the scorecard of finished studies takes."""

    studies: tuple[str, ...]  # their keys

    @classmethod
    def from_dict(cls, fields: dict) -> ScorecardRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        return cls(tuple(fields["studies"]))


@dataclass(frozen=True)
class Scored:
    """The scorecard of some studies as it is shown and written."""

    lines: list[Line]
    markdown: str
    json: str
    lacking: int  # checkpoints and properties whose probes on all layers are not there yet


def scored(keys: Sequence[str], store: Store) -> Scored:
    """Check the patterns on studies, as far as the store has what it takes."""
    studies = [load(store, key, OF_ALL_WORDS) for key in keys]
    lines = scorecard(studies, store)
    return Scored(lines, to_markdown(lines, studies), to_json(lines, studies), len(lacking(studies, store)))


def lacking(studies: Sequence[Study], store: Store) -> list[tuple[Evidence, str]]:
    """The checkpoints whose probes on all layers are not there yet but can be fitted, each with a study that has it."""
    found: dict[AllLayersSpec, tuple[Evidence, str]] = {}
    for pair in pairs(studies):
        evidence = Evidence(store, pair.study)
        for checkpoint in (pair.study.base, pair.finetuned):
            if fits(pair.study) and not known(evidence, checkpoint):
                found.setdefault(AllLayersSpec(evidence.spec(checkpoint)), (evidence, checkpoint))
    return list(found.values())


def complete(request: ScorecardRequest, store: Store, on_progress: Progress = silent) -> None:
    """Compute what is lacking, and what lies behind a study first where the cache lacks that.

    Where it cannot be had for a study any more, goes on with the others, and raises InputError in the end.
    """
    todo, failed = lacking([load(store, key, OF_ALL_WORDS) for key in request.studies], store), {}
    for i, (evidence, checkpoint) in enumerate(todo):
        if evidence.study.key in failed:
            continue
        what, missing = f"{i + 1} of {len(todo)}", not evidence.complete()
        begin = i + RESTORING * missing
        try:
            if missing:
                evidence.restore(_part(on_progress, what, i / len(todo), begin / len(todo)))
            what += f", {short_name(checkpoint)}"
            compute(evidence, checkpoint, _part(on_progress, what, begin / len(todo), (i + 1) / len(todo)))
        except InputError as error:
            failed[evidence.study.key] = f"{evidence.study.title}: {error}"
    if failed:
        raise InputError("\n".join(["no probes on all layers together could be fitted for", *failed.values()]))
    on_progress(1, 1, "done")


def _part(on_progress: Progress, what: str, start: float, end: float) -> Progress:
    """The callback of a part of the work, which takes it from start to end, of 1."""
    def report(done: int, total: int, detail: str) -> None:
        on_progress(round(1000 * (start + (end - start) * done / max(total, 1))), 1000, f"{what}, {detail}")

    return report
