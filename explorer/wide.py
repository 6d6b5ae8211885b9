"""One probe on the neurons of several layers at once, and resamples of it; memory does not grow with the words.

The objective and the search are those of probes.py. Activations stay where they are, memory maps of float16: each step
of the search goes through them block by block.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from explorer.confounds import outliers
from explorer.optimise import Objective, metric, minimise, surprise, workers
from explorer.probe import Probe
from explorer.probes import LayerProbes, parameters
from explorer.ranking import Ranking, label_means, standardised
from explorer.specs import InputError, ProbeSpec

BLOCK = 2**23  # floats of a block: 32 MB, for each thread
GRAM_WORDS = 8192  # whose covariance guides the search; the optimum does not depend on it
PATH = 10  # strengths of the L1 path
PATH_TOLERANCE = 1e-3  # enough for the order
PATH_FALL = 100.0  # from its first strength, at which no neuron has weight, to its last


class WideProbes:
    """Fits probes on all neurons of some layers; neuron i of layer l is neuron l * width + i of the probe."""

    def __init__(self, layers: Sequence[np.ndarray], rows: np.ndarray, y: np.ndarray, n_labels: int,
                 spec: ProbeSpec) -> None:
        """Take layers, each (all words, neurons), the (words,) rows to train on and their labels y (words,).

        Outliers, where the settings leave them out, are those of each layer. Raises InputError for activations that are
        not finite, naming the neuron, for labels that are all the same, and for an L1 penalty or a grid of strengths,
        which this search does not take.
        """
        if spec.l1 or spec.l2_grid:
            raise InputError(f"l1: {spec.l1:g}, l2_grid: {spec.l2_grid}; the probe on all layers' neurons, which "
                             "rankings of neurons take, has neither: run a study without")
        if len(np.unique(y)) < 2:
            raise InputError("labels: the training words have one; a probe takes two or more")
        self.layers, self.rows, self.spec = layers, rows, spec
        self.n_labels = n_labels
        self.present, self._y = np.unique(y, return_inverse=True)
        self.width = sum(layer.shape[1] for layer in layers)
        self.mean, self._scale = self._moments()
        self.prior = np.bincount(self._y) / len(self._y)
        self._metric = metric(self._gram(), self.prior)

    def fit(self, counts: np.ndarray | None = None, start: Probe | None = None) -> Probe:
        """Fit one probe; counts (words,) says how often each word counts, once by default.

        start is another probe of the same neurons: the search begins there, and its strength is kept.
        """
        l2 = self.spec.l2 if start is None else start.l2
        theta = np.zeros((1 + self.width, len(self.present)), np.float32)
        theta[0] = np.log(self.prior)
        if start is not None:
            theta = np.vstack([start.bias, start.weight])[:, self.present]
        counts = np.ones(len(self.rows), np.float32) if counts is None else counts.astype(np.float32)
        with workers() as each:
            theta, loss, n_iter, converged = minimise(self._objective(counts, np.float32(l2), each), theta,
                                                      np.zeros((len(theta), 1), np.float32), self._metric, self.spec)
        weight, bias = parameters(theta, self.present, self.n_labels)
        scale = np.where(np.isinf(self._scale), np.float32(1), self._scale)
        return Probe(weight, bias, np.arange(self.width), self.mean, scale, l2, loss, n_iter, converged)

    def _objective(self, counts: np.ndarray, l2: np.float32, each: Callable) -> Objective:
        """The objective with each word counted as often as said."""
        total = counts.sum(dtype=np.float64)

        def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
            def part(words: slice) -> tuple[float, np.ndarray, np.ndarray]:
                z = self._standardised(words)  # (words, neurons)
                scores = theta[1:].T @ z.T + theta[0][:, None]  # (labels, words)
                nats = surprise(scores, self._y[words], counts[words])
                return nats, scores.sum(1), z.T @ scores.T

            loss, gradient = 0.0, np.zeros_like(theta)
            for nats, of_bias, of_weights in each(part, self._parts()):
                loss += nats
                gradient[0] += of_bias
                gradient[1:] += of_weights
            gradient /= np.float32(total)
            gradient[1:] += l2 * theta[1:]
            return float(loss / total + l2 / 2 * np.square(theta[1:]).sum(dtype=np.float64)), gradient

        return objective

    def _parts(self) -> list[slice]:
        """The words in blocks."""
        step = max(1, BLOCK // self.width)
        return [slice(first, first + step) for first in range(0, len(self.rows), step)]

    def _raw(self, words: slice) -> np.ndarray:
        return gather(self.layers, self.rows[words])

    def _standardised(self, words: slice) -> np.ndarray:
        z = self._raw(words)
        z -= self.mean
        z /= self._scale
        return z

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean, and what to divide by (neurons,) float32: infinity for a constant neuron, so that it becomes 0."""
        n, mean, squares = 0, np.zeros(self.width), np.zeros(self.width)
        low, high = np.full(self.width, np.inf, np.float32), np.full(self.width, -np.inf, np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for words in self._parts():
                x = self._raw(words)
                low, high = np.minimum(low, x.min(0)), np.maximum(high, x.max(0))
                mean_here = x.mean(0)
                x -= mean_here
                shift, m = mean_here - mean, len(x)  # blocks are merged as by Chan et al. (1979)
                squares += np.einsum("wn,wn->n", x, x) + np.square(shift) * n * m / (n + m)
                mean, n = mean + shift * m / (n + m), n + m
        scale = np.sqrt(squares / n)
        bad = np.flatnonzero(~np.isfinite(scale))
        if len(bad):
            layer, neuron = divmod(int(bad[0]), self.layers[0].shape[1])
            raise InputError(f"activations: neuron L{layer}:{neuron} has values that are nan, inf or beyond float32")
        constant = low == high
        if self.spec.drop_outliers:
            ends = np.cumsum([layer.shape[1] for layer in self.layers])[:-1]
            parts = zip(np.split(mean, ends), np.split(scale, ends), strict=True)
            constant |= np.concatenate([outliers(*part) for part in parts])
        scale = np.where(constant, np.inf, scale if self.spec.standardise else 1.0)
        return mean.astype(np.float32), scale.astype(np.float32)

    def _gram(self) -> np.ndarray:
        """Covariance (1 + neurons, 1 + neurons) over at most about GRAM_WORDS words, blocks of them spread evenly."""
        apart = max(1, round(len(self.rows) / GRAM_WORDS))
        gram, n = np.zeros((1 + self.width, 1 + self.width), np.float32), 0
        for words in self._parts()[::apart]:
            z = self._standardised(words)
            gram[1:, 1:] += z.T @ z
            n += len(z)
        gram /= np.float32(n)
        gram[0, 0] = 1.0
        return gram


def gather(layers: Sequence[np.ndarray], rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
    """Neurons of several layers beside one another, all or some of them: (rows, neurons) float32."""
    width = layers[0].shape[1]
    found = np.empty((len(rows), width * len(layers) if columns is None else len(columns)), np.float32)
    for number, layer in enumerate(layers):
        if columns is None:
            found[:, number * width:(number + 1) * width] = layer[rows]
        else:
            here = np.flatnonzero(columns // width == number)
            found[:, here] = np.asarray(layer)[rows[:, None], columns[here] % width]
    return found


def scores(probe: Probe, layers: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Logits (rows, labels) of a probe on all layers' neurons, block by block."""
    step = max(1, BLOCK // len(probe.mean))
    return np.concatenate([probe.logits(gather(layers, rows[first:first + step]))
                           for first in range(0, len(rows), step)])


def l1_path(x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec) -> Ranking:
    """The order in which neurons gain weight as an L1 penalty falls (Tibshirani 1996; path: Friedman et al. 2010).

    x is (words, neurons), y (words,) label indices. The strength falls in PATH steps, each by the same factor, from
    where every weight is zero; neurons that enter at the same step go by their sum of |weight| there. The score is the
    strength at which a neuron entered, 0 for one that never did.
    """
    share = np.unique(y, return_counts=True)[1] / len(y)
    strongest = float(np.abs(share[:, None] * label_means(standardised(x), y)).max())  # the gradient at zero weights
    fitter = LayerProbes(x, y, n_labels, dataclasses.replace(spec, l2_grid=(), tolerance=PATH_TOLERANCE))
    entered, mass = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for step in range(1, PATH + 1):
        l1 = strongest * PATH_FALL ** (-step / PATH)
        fitter.spec = dataclasses.replace(fitter.spec, l1=l1)
        weight = np.abs(fitter.fit().weight).sum(1)
        new = (entered == 0) & (weight > 0)
        entered[new], mass[new] = l1, weight[new]
    return Ranking(np.lexsort((-mass, -entered)), entered)
