"""One probe on the neurons of several layers at once, and resamples of it; memory does not grow with the words.

The objective and the search are those of probes.py. Activations stay where they are, memory maps of float16: each step
of the search goes through them block by block.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from explorer.probe import Probe
from explorer.probes import LayerProbes, Objective, metric, minimise
from explorer.ranking import Ranking, label_means, standardised
from explorer.specs import InputError, ProbeSpec

BLOCK = 2**24  # floats of a block: 64 MB
GRAM_WORDS = 8192  # whose covariance guides the search; the optimum does not depend on it
PATH = 10  # strengths of the L1 path
PATH_TOLERANCE = 1e-3  # enough for the order
PATH_FALL = 100.0  # from its first strength, at which no neuron has weight, to its last


class WideProbes:
    """Fits probes on all neurons of some layers; neuron i of layer l is neuron l * width + i of the probe."""

    def __init__(self, layers: Sequence[np.ndarray], rows: np.ndarray, y: np.ndarray, n_labels: int,
                 spec: ProbeSpec) -> None:
        """Take layers, each (all words, neurons), the (words,) rows to train on and their labels y (words,).

        Raises InputError for activations that are not finite, naming the neuron, for labels that are all the same and
        for an L1 penalty, which this search does not take.
        """
        if spec.l1:
            raise InputError(f"l1: {spec.l1:g}; a probe on all layers at once takes 0")
        if len(np.unique(y)) < 2:
            raise InputError("labels: the training words have one; a probe takes two or more")
        self.layers, self.rows, self.spec = layers, rows, spec
        self.present, codes = np.unique(y, return_inverse=True)
        self.n_labels, self._y = n_labels, torch.from_numpy(codes)
        self.width = sum(layer.shape[1] for layer in layers)
        self.mean, self._scale = self._moments()
        self.prior = torch.bincount(self._y) / len(self._y)
        self._metric = metric(self._gram(), self.prior.clone())

    def fit(self, counts: np.ndarray | None = None, start: Probe | None = None) -> Probe:
        """Fit one probe; counts (words,) says how often each word counts, once by default.

        The search begins at start, another probe of the same neurons. The strength is that of the settings, out of a
        grid the first.
        """
        weights = torch.ones(len(self.rows)) if counts is None else torch.from_numpy(counts.astype(np.float32))
        l2 = self.spec.l2_grid[0] if self.spec.l2_grid else self.spec.l2
        theta = torch.zeros(1 + self.width, len(self.present))
        theta[0] = self.prior.log()
        if start is not None:
            theta = torch.from_numpy(np.vstack([start.bias, start.weight])[:, self.present])
        theta, loss, n_iter, converged = minimise(self._objective(weights, l2), theta, torch.zeros(len(theta), 1),
                                                  self._metric, self.spec)
        weight = np.zeros((self.width, self.n_labels), np.float32)
        weight[:, self.present] = theta[1:].numpy()
        bias = np.full(self.n_labels, -np.inf, np.float32)
        bias[self.present] = theta[0].numpy()
        scale = np.where(np.isinf(self._scale), 1.0, self._scale).astype(np.float32)
        return Probe(weight, bias, np.arange(self.width), self.mean, scale, l2, loss, n_iter, converged)

    def _objective(self, weights: Tensor, l2: float) -> Objective:
        """The objective with each word weighed; labels lie along the rows here, as words come in blocks."""
        total = weights.sum(dtype=torch.float64).item()

        def objective(theta: Tensor) -> tuple[float, Tensor]:
            loss, gradient = 0.0, torch.zeros_like(theta)
            for part, z in self._blocks():
                y, weight = self._y[part], weights[part]
                scores = torch.addmm(theta[0], z, theta[1:])  # (words, labels)
                scores -= scores.amax(1, keepdim=True)
                right = scores.gather(1, y[:, None])[:, 0]
                sums = scores.exp_().sum(1)
                loss += (weight * (sums.log() - right)).sum(dtype=torch.float64).item()
                error = scores.div_(sums[:, None])
                error[torch.arange(len(y)), y] -= 1
                error *= weight[:, None]
                gradient[0] += error.sum(0)
                gradient[1:].addmm_(z.T, error)
            penalty = l2 / 2 * theta[1:].square().sum(dtype=torch.float64).item()
            gradient /= total
            gradient[1:] += l2 * theta[1:]
            return loss / total + penalty, gradient

        return objective

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Some words at a time, standardised (words, neurons)."""
        for part, z in self._raw(range(0, len(self.rows), self._step)):
            yield part, z.sub_(torch.from_numpy(self.mean)).div_(torch.from_numpy(self._scale))

    @property
    def _step(self) -> int:
        return max(1, BLOCK // self.width)

    def _raw(self, firsts: Sequence[int]) -> Iterator[tuple[slice, Tensor]]:
        for first in firsts:
            part = slice(first, first + self._step)
            yield part, torch.from_numpy(gather(self.layers, self.rows[part]))

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (neurons,) float32, infinite for a constant neuron, so that it becomes 0."""
        n, mean, squares = 0, torch.zeros(self.width, dtype=torch.float64), torch.zeros(self.width, dtype=torch.float64)
        low, high = torch.full((self.width,), np.inf), torch.full((self.width,), -np.inf)
        for _, x in self._raw(range(0, len(self.rows), self._step)):
            low, high = torch.minimum(low, x.amin(0)), torch.maximum(high, x.amax(0))
            mean_here = x.mean(0)
            x -= mean_here
            shift, m = mean_here.double() - mean, len(x)  # blocks are merged as by Chan et al. (1979)
            squares += x.square_().sum(0, dtype=torch.float64) + shift.square() * n * m / (n + m)
            mean, n = mean + shift * m / (n + m), n + m
        scale = (squares / n).sqrt()
        bad = (~torch.isfinite(scale)).nonzero()
        if len(bad):
            layer, neuron = divmod(bad[0].item(), self.layers[0].shape[1])
            raise InputError(f"activations: neuron L{layer}:{neuron} has values that are nan, inf or beyond float32")
        scale[low == high] = np.inf
        return mean.float().numpy(), scale.float().numpy()

    def _gram(self) -> Tensor:
        """Covariance (1 + neurons, 1 + neurons) over at most about GRAM_WORDS words, blocks of them spread evenly."""
        firsts = range(0, len(self.rows), self._step)
        apart = max(1, round(len(self.rows) / GRAM_WORDS))
        gram, n = torch.zeros(1 + self.width, 1 + self.width), 0
        for _, x in self._raw(firsts[::apart]):
            z = x.sub_(torch.from_numpy(self.mean)).div_(torch.from_numpy(self._scale))
            gram[1:, 1:].addmm_(z.T, z)
            n += len(z)
        gram /= n
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
