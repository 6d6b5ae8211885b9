"""What lies behind a finished study: its words and labels, activations and probes, as the cache has them.

Needs no torch, no corpus file and no model. What was pruned from the cache, or never was in it because the study came
from elsewhere, is computed again by running the study's request once more.
"""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.activations import Activations
from explorer.probe import Probe, from_arrays
from explorer.ranking import Ranking, lca
from explorer.specs import InputError, LayerSpec, ProbeSpec, Progress, WordsSpec, silent
from explorer.store import Store
from explorer.study import SPLITS, Study, StudyRequest, run_study


@dataclass(frozen=True)
class RestoreRequest:
    """What a user asks for: what lies behind the finished study of this key, as it was computed."""

    key: str
    study: StudyRequest  # of that study

    @classmethod
    def from_dict(cls, fields: dict) -> RestoreRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        return cls(fields["key"], StudyRequest.from_dict(fields["study"]))


class Missing(InputError):
    """The cache lacks what lies behind a study; running the study's request again computes it."""


@dataclass(frozen=True)
class Evidence:
    """All that a study was computed from. Methods raise Missing for what the cache lacks.

    checkpoint is one of the study's names of checkpoints, split one of 'train', 'dev' and 'test'.
    """

    store: Store
    study: Study

    def complete(self) -> bool:
        """Whether nothing is missing."""
        try:
            for checkpoint, _ in self.study.spec.checkpoints:
                found = [self.activations(checkpoint, split) for split in SPLITS]
                for layer in range(found[0].n_layers):
                    self.probes(checkpoint, layer)
            for split in SPLITS:
                self.words(split)
        except Missing:
            return False
        return True

    def restore(self, on_progress: Progress = silent) -> None:
        """Compute what is missing, where the study was computed; raises InputError where it cannot be had any more."""
        device = "cpu" if self.spec(self.study.base).train.compute == "float32" else "cuda"
        if run_study(self.study.request, self.store, on_progress, device).key != self.study.key:
            raise InputError(f"study {self.study.key}: its models or corpus have changed since; run it again")

    def settings(self, checkpoint: str) -> ProbeSpec:
        """Of a probe on all layers at once: the study's, of a grid the strength that most of the layers chose."""
        probe = self.study.request.probe
        if not probe.l2_grid:
            return probe
        whole, layers = max(self.study.spec.k), range(self.activations(checkpoint, "train").n_layers)
        chosen = [self.probes(checkpoint, layer)[whole].l2 for layer in layers]
        return dataclasses.replace(probe, l2=max(chosen, key=lambda l2: (chosen.count(l2), l2)), l2_grid=())

    def spec(self, checkpoint: str, layer: int = 0) -> LayerSpec:
        """What the probes of a layer depend on."""
        return dataclasses.replace(dict(self.study.spec.checkpoints)[checkpoint], layer=layer)

    def activations(self, checkpoint: str, split: str) -> Activations:
        """A checkpoint's activations of a split; their rows are those of words(split)."""
        found = self.store.activations(getattr(self.spec(checkpoint), split))
        if found is None:
            raise Missing(f"activations of {checkpoint} on {split}: no longer in {self.store.root}")
        return found

    def words(self, split: str) -> pd.DataFrame:
        """Every word of a split in its order: columns sentence (its number), word and label."""
        spec = self.spec(self.study.base)
        found = self.store.table(WordsSpec(getattr(spec, split).words, spec.labels))
        if found is None:
            raise Missing(f"words of {split}: no longer in {self.store.root}")
        return found

    def probes(self, checkpoint: str, layer: int) -> dict[int, Probe]:
        """The probes of a layer by their number of neurons, those of the study at least."""
        found = from_arrays(self._arrays(checkpoint, layer)[0])
        if not set(self.study.spec.k) <= set(found):
            raise Missing(f"probes of {checkpoint} on layer {layer}: not all in {self.store.root}")
        return found

    def outliers(self, checkpoint: str, layer: int) -> np.ndarray:
        """The outlier neurons of a layer over the training words, see confounds.py."""
        return self._arrays(checkpoint, layer)[0]["outliers"]

    def labels(self) -> tuple[str, ...]:
        """The labels that the probes tell apart, in the order of their weights."""
        return tuple(self._arrays(self.study.base, 0)[1]["labels"])

    def ranking(self, checkpoint: str, layer: int) -> Ranking:
        """The layer's neurons by exact LCA of its whole probe."""
        return lca(self.probes(checkpoint, layer)[max(self.study.spec.k)].weight)

    def codes(self, split: str) -> np.ndarray:
        """(words,) index of each word's label in labels(), -1 where training does not have it."""
        return pd.Index(self.labels()).get_indexer(self.words(split).label)

    def _arrays(self, checkpoint: str, layer: int) -> tuple[dict[str, np.ndarray], dict]:
        found = self.store.arrays(self.spec(checkpoint, layer))
        if found is None:
            raise Missing(f"probes of {checkpoint} on layer {layer}: no longer in {self.store.root}")
        return found
