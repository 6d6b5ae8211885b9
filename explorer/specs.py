"""Names for everything a result depends on: frozen dataclasses whose digest is the cache key."""
from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FORMAT = 1
"""Raised when what is stored under a key changes its meaning: old entries are then never read again."""

Progress = Callable[[int, int, str], None]
"""Called as on_progress(done, total, what); raising from it stops the work where it stands."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what was found and what is taken."""


def whole(least: int, most: float = math.inf, absent: bool = False) -> tuple[Callable[[Any], bool], str]:
    """A check for a whole number in this range, or absent as None if that will do; and what it takes, in words."""
    takes = f"a whole number, {least} or more" if most == math.inf else f"a whole number from {least} to {most:,}"
    return lambda x: (absent and x is None) or (isinstance(x, int) and least <= x <= most), takes


def silent(done: int, total: int, what: str) -> None:
    """The progress callback of those who do not watch."""


def digest(*parts: object) -> str:
    """20 hexadecimal digits that name the JSON-able parts, the same on every machine and in every run."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Spec:
    """Base of the frozen dataclasses below."""

    def as_dict(self) -> dict:
        """The fields, nested specs as dictionaries."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def key(self) -> str:
        """The cache key: kind of spec, format version and every field."""
        return digest(type(self).__name__, FORMAT, self.as_dict())


@dataclass(frozen=True)
class ActivationSpec(Spec):
    """Word-level activations of one checkpoint on one split of a corpus."""

    checkpoint: str  # digest of config, weights and tokenizer files
    words: str  # digest of the split's sentences: labels play no part, so properties share activations
    pooling: str = "last"  # which sub-word stands for its word: 'last', 'first' or their 'mean'
    dtype: str = "float16"  # on disk
    compute: str = "float32"  # 'float32' on a CPU; 'bfloat16' or 'float16' under autocast on a GPU


@dataclass(frozen=True)
class ProbeSpec(Spec):
    """Settings of a linear probe; see probes.fit_probe for the objective they belong to."""

    l2: float = 1e-3  # the published set-ups use 1e-5 or 1e-3 of each; 1e-3 is safe on small corpora
    l1: float = 0.0
    l2_grid: tuple[float, ...] = ()  # when not empty: the strength with the best dev accuracy is taken
    standardise: bool = True  # without it weights of small-variance neurons look unimportant
    tolerance: float = 1e-4  # largest absolute entry of the gradient at the end
    max_iter: int = 200  # ten times as many where l1 shortens the steps
    drop_outliers: bool = False  # leave out neurons beyond 6 standard deviations of their layer (confounds.py)
    seed: int = 0  # of the control task's labels, the order in the description length, and the resamples

    def check(self) -> None:
        """Raises InputError for a setting that is out of range."""
        for name, values, least in (("l2", (self.l2,), 0), ("l1", (self.l1,), 0), ("l2_grid", self.l2_grid, 0),
                                    ("max_iter", (self.max_iter,), 1), ("seed", (self.seed,), 0)):
            if wrong := [value for value in values if not least <= value < math.inf]:
                raise InputError(f"{name}: got {wrong[0]:g}; takes {least} or more")
        if not 0 < self.tolerance < math.inf:
            raise InputError(f"tolerance: got {self.tolerance:g}; takes more than 0")

    @classmethod
    def from_dict(cls, fields: dict) -> ProbeSpec:
        """The spec that as_dict, or its JSON, was made of."""
        return cls(**fields | {"l2_grid": tuple(fields["l2_grid"])})


@dataclass(frozen=True)
class LayerSpec(Spec):
    """Probes on one layer of one checkpoint: its ranking and its accuracies at every k asked for so far."""

    train: ActivationSpec
    dev: ActivationSpec
    test: ActivationSpec
    labels: str  # digest of the three splits' labels and the property's name
    layer: int
    probe: ProbeSpec = ProbeSpec()

    @classmethod
    def from_dict(cls, fields: dict) -> LayerSpec:
        """The spec that as_dict, or its JSON, was made of."""
        splits = {name: ActivationSpec(**fields[name]) for name in ("train", "dev", "test")}
        return cls(**fields | splits | {"probe": ProbeSpec.from_dict(fields["probe"])})


@dataclass(frozen=True)
class WordsSpec(Spec):
    """The words of one split and their labels."""

    words: str  # digests, as in ActivationSpec and of the labels alone
    labels: str
