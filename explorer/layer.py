"""All that is fitted on one layer of one checkpoint, kept in the store as named arrays.

    K/weight, K/bias, ...   the probe on the K best neurons (see probe.to_arrays)
    K/dev, K/test           its predictions, as codes of labels
    K/surprise              bits that it gives the labels of each test sentence, those that training does not have apart
    K/control               predictions on test words of the control task's probe on the same neurons
    description             bits that the training labels take, see mdl.py
    outliers, norm          see confounds.py, over the training words

The best neurons are those that rank first in the whole layer's probe (exact LCA, see ranking.lca); each K has a probe
of its own, fitted on these neurons alone. What is there is not fitted again; a request for more adds to it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.activations import Activations
from explorer.baselines import control_task
from explorer.labels import SPLITS, UNSEEN, Labels
from explorer.mdl import codelength
from explorer.probe import from_arrays, to_arrays
from explorer.probes import LayerProbes
from explorer.ranking import lca
from explorer.specs import LayerSpec, Progress, silent
from explorer.store import Store

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Wanted:
    """What a study wants of each layer."""

    k: tuple[int, ...]  # numbers of neurons, rising; the last is all of them
    control: tuple[int, ...] = ()  # those of k for which there is a control task
    description: bool = False  # whether the description length is wanted

    def missing(self, found: Mapping[str, np.ndarray]) -> list[str]:
        """Names of the arrays that are not there yet."""
        names = [*(f"{k}/test" for k in self.k), *(f"{k}/control" for k in self.control)]
        return [name for name in names + ["description"] * self.description if name not in found]


def fit_layer(
    spec: LayerSpec, activations: Mapping[str, Activations], labels: Labels, wanted: Wanted, store: Store,
    below: Arrays | None = None, on_progress: Progress = silent,
) -> Arrays:
    """The arrays of one layer, from the store or fitted and put there; below are those of the layer below.

    Two processes that want the same layer take turns.
    """
    with store.lock(spec.key(), lambda: on_progress(0, 1, "waiting for another process at the same layer")):
        stored = store.arrays(spec)
        arrays = {} if stored is None else dict(stored[0])
        if missing := wanted.missing(arrays):
            _Fitting(spec, activations, labels, arrays, below or {}).run(missing, on_progress)
            what = f"probes: layer {spec.layer}, {labels.what}"
            store.put_arrays(spec, arrays, {"what": what, "labels": list(labels.inventory)})
    return arrays


class _Fitting:
    """Fits what is missing of one layer into its arrays."""

    def __init__(
        self, spec: LayerSpec, activations: Mapping[str, Activations], labels: Labels, arrays: Arrays, below: Arrays,
    ) -> None:
        self.spec, self.labels, self.arrays, self.y = spec, labels, arrays, labels.codes
        self.x = {split: activations[split].layer(spec.layer)[activations[split].kept] for split in SPLITS}
        self.width = self.x["train"].shape[1]
        self.fitter = LayerProbes(self.x["train"], self.y["train"], len(labels.inventory), spec.probe,
                                  (self.x["dev"], self.y["dev"]), near=from_arrays(below).get(self.width))
        self.whole = from_arrays(arrays).get(self.width) or self.fitter.fit()
        self.order = lca(self.whole.weight).order
        arrays["outliers"] = np.flatnonzero(self.fitter.outliers)
        arrays["norm"] = np.array([self.fitter.norm])

    def run(self, missing: Sequence[str], on_progress: Progress) -> None:
        probes = [int(name.partition("/")[0]) for name in missing if name.endswith("/test")]
        controls = [int(name.partition("/")[0]) for name in missing if name.endswith("/control")]
        total = len(missing)
        for i, k in enumerate(probes):
            on_progress(i, total, f"top {k} neurons")
            self._probe(k)
        if controls:
            on_progress(len(probes), total, "control task")
            self._controls(controls, lambda i, _, what: on_progress(len(probes) + i, total, what))
        if "description" in missing:
            settings = dataclasses.replace(self.spec.probe, l2=self.whole.l2, l2_grid=())
            bits = codelength(self.x["train"], self.y["train"], len(self.labels.inventory), settings,
                              lambda i, n, what: on_progress(total - 1, total, what))
            self.arrays["description"] = np.array([bits])

    def _probe(self, k: int) -> None:
        probe = self.whole if k == self.width else self.fitter.fit(self.order[:k], start=self.whole)
        p = probe.probabilities(self.x["test"])  # (test words, labels)
        known = np.flatnonzero(self.y["test"] != UNSEEN)
        likely = np.maximum(p[known, self.y["test"][known]], np.finfo(np.float32).tiny)
        sentences = self.labels.sentences["test"]
        surprise = np.bincount(sentences[known], -np.log2(likely), minlength=sentences.max() + 1)
        self.arrays |= to_arrays({k: probe}) | {
            f"{k}/test": _small(p.argmax(1)), f"{k}/dev": _small(probe.predict(self.x["dev"])),
            f"{k}/surprise": surprise.astype(np.float32)}

    def _controls(self, ks: Sequence[int], on_progress: Progress) -> None:
        y = control_task(self.labels.words, self.y["train"], self.spec.probe.seed)
        fitter = self.fitter.relabelled(y["train"], self.whole.l2)
        whole = fitter.fit()
        for i, k in enumerate(ks):
            on_progress(i, len(ks), f"control task, top {k} neurons")
            probe = whole if k == self.width else fitter.fit(self.order[:k], start=whole)
            self.arrays[f"{k}/control"] = _small(probe.predict(self.x["test"]))


def _small(codes: np.ndarray) -> np.ndarray:
    """Codes of labels in the fewest bytes."""
    return codes.astype(np.uint8 if codes.max(initial=0) < 256 else np.uint16)
