"""Random weights as a baseline of a study: the same architecture, corpus, property and settings.

What a probe gets right on it comes from the words' forms and the architecture, not from anything that was learnt.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from explorer.models import RANDOM, place
from explorer.study import Study, StudyRequest, Summary


@dataclass(frozen=True)
class UntrainedRequest:
    """What a user asks for: the baseline of this study."""

    study: StudyRequest

    @classmethod
    def from_dict(cls, fields: dict) -> UntrainedRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        return cls(StudyRequest.from_dict(fields["study"]))

    @property
    def of(self) -> StudyRequest:
        """The study to run: of accuracy alone, which is what the baseline is drawn of."""
        random = f"random:{self.study.base}"
        return dataclasses.replace(self.study, finetuned=(random,), control=0, description=False)


def tuned(request: StudyRequest) -> list[str]:
    """The checkpoints to compare that were fine-tuned; none where it is a baseline's study."""
    return [name for name in request.finetuned if not RANDOM.fullmatch(name)]


def trained(request: StudyRequest) -> bool:
    """Whether the last checkpoint to compare has learnt anything: it is neither random nor a run's step 0."""
    names = tuned(request)
    at = place(names[-1]) if names else None
    return bool(names) and (at is None or at[1] > 0)


def find(study: Study, studies: Iterable[Summary]) -> tuple[str, str] | None:
    """Key of a study that has the baseline, and its checkpoint: the study itself, or one with the same settings."""
    named: list[Study | Summary] = [study, *studies]
    for other in named:
        names = [name for name in (other.request.base, *other.request.finetuned) if _is(name, study.request.base)]
        same_data = other.made_of[:1] == study.made_of[:1]
        if names and same_data and _settings(other.request) == _settings(study.request):
            return other.key, names[0]
    return None


def _is(name: str, base: str) -> bool:
    """Whether a name is that of a model's architecture with random weights."""
    match = RANDOM.fullmatch(name)
    return match is not None and match[1] == base


def _settings(request: StudyRequest) -> StudyRequest:
    return dataclasses.replace(request, base="", finetuned=(), control=0, description=False)
