"""A fitted linear probe: which neurons it reads, what it predicts of a word. Needs no torch; probes.py fits them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.specs import InputError


@dataclass(frozen=True)
class Probe:
    """A fitted linear probe on all or some neurons of a layer."""

    weight: np.ndarray  # (neurons, labels) float32, on standardised activations; zero for a constant neuron
    bias: np.ndarray  # (labels,) float32; -inf for a label that no training word has
    neurons: np.ndarray  # (neurons,) which neuron of the layer each row of weight reads
    mean: np.ndarray  # (neurons,) float32, over the training words
    scale: np.ndarray  # (neurons,) float32 standard deviation; 1 for a constant neuron
    l2: float  # the strength used; out of a grid, the one chosen on dev
    loss: float  # value of the objective, penalties included
    n_iter: int
    converged: bool  # False: max_iter, or the precision of float32, ended the search above the tolerance

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Scores (words, labels) float32 of x (words, all neurons of the layer)."""
        if x.ndim != 2 or x.shape[1] <= self.neurons.max():
            raise InputError(f"activations: shape {x.shape}, but the probe reads neuron {self.neurons.max()}")
        z = np.take(x, self.neurons, axis=1).astype(np.float32)  # (words, neurons)
        z -= self.mean
        z /= self.scale
        return z @ self.weight + self.bias

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Probability of each label (words, labels) float32, for x (words, all neurons of the layer)."""
        scores = self.logits(x)
        scores -= scores.max(1, keepdims=True)
        np.exp(scores, out=scores)
        return scores / scores.sum(1, keepdims=True)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Index of the best label (words,) for x (words, all neurons of the layer)."""
        return self.logits(x).argmax(1)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """Share of the words in x (words, all neurons) whose label in y (words,) is predicted."""
        return float((self.predict(x) == y).mean())


ARRAYS = ("weight", "bias", "neurons", "mean", "scale")


def to_arrays(probes: Mapping[int, Probe]) -> dict[str, np.ndarray]:
    """Probes by their number of neurons, as named arrays for the store."""
    arrays = {f"{k}/{name}": np.ascontiguousarray(getattr(probe, name)) for k, probe in probes.items()
              for name in ARRAYS}
    return arrays | {f"{k}/fit": np.array([probe.l2, probe.loss, probe.n_iter, probe.converged], np.float64)
                     for k, probe in probes.items()}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[int, Probe]:
    """What to_arrays was given; arrays of other names may lie among them."""
    probes = {}
    for k in sorted(int(name.partition("/")[0]) for name in arrays if name.endswith("/fit")):
        weight, bias, neurons, mean, scale = (arrays[f"{k}/{name}"] for name in ARRAYS)
        l2, loss, n_iter, converged = arrays[f"{k}/fit"].tolist()
        probes[k] = Probe(weight, bias, neurons, mean, scale, l2, loss, int(n_iter), bool(converged))
    return probes
