"""Linear probes: multinomial logistic regression on one layer's neurons, solved to a stated tolerance.

The objective over weights W (neurons, labels) and a bias, on standardised activations, is

    mean cross-entropy + l2 / 2 * |W|^2 + l1 * |W|_1

with the bias left free. It is convex: its optimum depends on no seed, no batch and no order of the words.
"""
from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from explorer.confounds import norm, outliers
from explorer.optimise import Objective, metric, minimise, surprise, workers
from explorer.probe import Probe
from explorer.specs import InputError, ProbeSpec

Labelled = tuple[np.ndarray, np.ndarray]
"""Activations (words, neurons) and label indices (words,), -1 for a label that training does not have."""

BLOCK = 2048  # words, at most, gone through at a time: what a step reads twice stays in the processor's cache
SHARES = 4  # the number of blocks is a multiple of this, so that threads have as many each, and as large
MANY = 1000  # parameters, from which on blocks are worth a thread each


def fit_probe(
    x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, dev: Labelled | None = None,
    near: Probe | None = None,
) -> Probe:
    """Fit one probe on all neurons of a layer; arguments and errors are those of LayerProbes."""
    return LayerProbes(x, y, n_labels, spec, dev, near).fit()


class LayerProbes:
    """Fits probes on any neurons of one layer; standardises and correlates the training words only once."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, dev: Labelled | None = None,
        near: Probe | None = None,
    ) -> None:
        """Take the training words: x (words, neurons) floats, y (words,) label indices below n_labels.

        dev is needed where spec.l2_grid is given. near is a probe for the same labels on all neurons of a layer
        that is much like this one, such as the layer below: the probe on all neurons is sought from there, in a fifth
        fewer steps; the optimum is the same. Raises InputError for activations that are not finite, naming the
        neuron, for labels that do not fit the words or are all the same, and for settings out of range.
        """
        _check(x, y, n_labels, spec, dev)
        self.spec, self.dev, self.n_labels, self.near = spec, dev, n_labels, near
        self.present, self._y = np.unique(y, return_inverse=True)  # _y (words,) indices into present
        with workers() as each:
            # A row of ones carries the bias. Neurons lie in rows, so that some of them are a cheap contiguous
            # copy and the softmax runs along the words, which is twice as fast as along the few labels.
            self._blocks = list(each(_block, _cut(x)))  # each (1 + neurons, words)
            self.mean, deviation, constant = _centre(self._blocks, len(x), each)
            self.outliers, self.norm = outliers(self.mean, deviation), norm(self.mean, deviation)
            if spec.drop_outliers:
                constant |= self.outliers
            self.scale = np.where(constant | (not spec.standardise), np.float32(1), deviation)
            self._gram = _scale(self._blocks, self.scale, constant, each) / np.float32(len(x))

    def fit(self, neurons: Sequence[int] | np.ndarray | None = None, start: Probe | None = None) -> Probe:
        """Fit a probe on the given neurons of the layer, on all by default.

        start is another probe of this layer, usually the one on all neurons. Its l2 is kept, so that a grid
        is searched once, and the search begins with what the given neurons can reproduce of its scores; the
        optimum is the same from anywhere. Raises InputError for neurons that are not there or come twice.
        """
        columns = self._columns(neurons)
        grid = [start.l2] if start else sorted(self.spec.l2_grid or [self.spec.l2], reverse=True)
        probes: list[Probe] = []
        for l2 in grid:
            probes.append(self._fit(columns, l2, probes[-1] if probes else start))
        if self.dev is None or len(probes) == 1:
            return probes[0]
        x_dev, y_dev = self.dev
        return max(probes, key=lambda probe: probe.accuracy(x_dev, y_dev))  # the strongest among equals

    def relabelled(self, y: np.ndarray, l2: float) -> LayerProbes:
        """The same at a given strength for other labels y (words,) of the same words, such as a control task's."""
        spec = dataclasses.replace(self.spec, l2=l2, l2_grid=())
        _check_labels(y, len(self._y), self.n_labels)
        other = copy.copy(self)
        other.spec, other.dev, other.near = spec, None, None
        other.present, other._y = np.unique(y, return_inverse=True)
        return other

    def _columns(self, neurons: Sequence[int] | np.ndarray | None) -> np.ndarray:
        width = len(self.mean)
        columns = np.arange(width) if neurons is None else np.asarray(neurons, dtype=np.int64)
        if not (0 < len(columns) <= width and columns.min() >= 0 and columns.max() < width):
            raise InputError(f"neurons: got {len(columns)}; a probe takes 1 to {width} of them, numbered from 0")
        if len(np.unique(columns)) < len(columns):
            raise InputError("neurons: one comes twice; a probe takes each once")
        return columns

    def _fit(self, columns: np.ndarray, l2: float, start: Probe | None) -> Probe:
        rows = _rows(columns)
        everything = np.array_equal(columns, np.arange(len(self.mean)))
        blocks = self._blocks if everything else [z[rows] for z in self._blocks]
        gram = self._gram[np.ix_(rows, rows)]
        prior = np.bincount(self._y) / len(self._y)  # (labels,)
        theta = np.zeros((len(rows), len(prior)), np.float32)  # (1 + neurons, labels), the bias on top
        theta[0] = np.log(prior)
        if self.spec.l1:  # sparse optima are near zero, and a metric that mixes neurons would fill the zeros
            gram = np.diag(np.diag(gram))
        elif start is not None:
            theta = self._project(start, rows, gram)
        elif everything and self.near is not None and len(self.near.neurons) == len(columns):
            theta = self._take(self.near, prior)
        penalised = np.ones((len(rows), 1), np.float32)
        penalised[0] = 0.0
        l1 = np.float32(self.spec.l1) * penalised
        with workers(theta.size >= MANY) as each:
            objective = _objective(blocks, _cut(self._y), np.float32(l2) * penalised, l1, each)
            theta, loss, n_iter, converged = minimise(objective, theta, l1, metric(gram, prior), self.spec)
        weight, bias = parameters(theta, self.present, self.n_labels, centred=not self.spec.l1)
        return Probe(weight, bias, columns, self.mean[columns], self.scale[columns], l2, loss, n_iter, converged)

    def _project(self, start: Probe, rows: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """The parameters on rows whose scores are nearest, in least squares, to those of another probe."""
        theta = np.vstack([start.bias, start.weight])[:, self.present]
        towards = self._gram[np.ix_(rows, _rows(start.neurons))] @ theta  # (1 + neurons, labels)
        return np.linalg.solve(gram + np.float32(1e-4) * np.eye(len(gram), dtype=np.float32), towards)

    def _take(self, near: Probe, prior: np.ndarray) -> np.ndarray:
        """The parameters of a probe on as many neurons; a label that it lacks begins with its prior alone."""
        theta = np.vstack([near.bias, near.weight])[:, self.present]
        theta[0] = np.where(np.isfinite(theta[0]), theta[0], np.log(prior))
        theta[np.diag(self._gram) == 0] = 0.0  # constant neurons
        return theta


def parameters(
    theta: np.ndarray, present: np.ndarray, n_labels: int, centred: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (neurons, labels) and biases (labels,) of all labels, from theta (1 + neurons, labels present).

    A number added to a neuron's weights for all labels changes no prediction; the L2 penalty is least where they add
    up to 0, which a search ends only near: centred weights are there.
    """
    weight, bias = np.zeros((len(theta) - 1, n_labels), np.float32), np.full(n_labels, -np.inf, np.float32)
    weight[:, present] = theta[1:] - theta[1:].mean(1, keepdims=True) * np.float32(centred)
    bias[present] = theta[0]
    return weight, bias


def _rows(columns: np.ndarray) -> np.ndarray:
    """Rows of a block that hold the ones and the given neurons."""
    return np.concatenate([[0], columns + 1])


def _check(x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, dev: Labelled | None) -> None:
    if x.ndim != 2 or x.dtype.kind != "f":
        raise InputError(f"activations: got {x.dtype} {x.shape}; a probe takes floats (words, neurons)")
    _check_labels(y, len(x), n_labels)
    spec.check()
    if spec.l2_grid and dev is None:
        raise InputError("l2_grid: given without dev words to choose on")


def _check_labels(y: np.ndarray, words: int, n_labels: int) -> None:
    if y.shape != (words,) or y.dtype.kind not in "iu":
        raise InputError(f"labels: got {y.dtype} {y.shape}; a probe takes an integer for each of {words} words")
    found = np.unique(y)
    if len(found) < 2:
        raise InputError(f"labels: the training words have {len(found)}; a probe takes two or more")
    if found[0] < 0 or found[-1] >= n_labels:
        raise InputError(f"labels: found {found[0]} to {found[-1]}; {n_labels} labels are numbered from 0")


def _cut(rows: np.ndarray) -> list[np.ndarray]:
    """Rows, which stand for words, in blocks: as many on any machine, since sums depend on them."""
    return np.array_split(rows, 1 if len(rows) <= BLOCK else SHARES * -(-len(rows) // (SHARES * BLOCK)))


def _block(x: np.ndarray) -> np.ndarray:
    """x (words, neurons) as (1 + neurons, words) float32 under a row of ones."""
    z = np.ones((1 + x.shape[1], len(x)), np.float32)
    z[1:] = x.T
    return z


def _centre(
    blocks: Sequence[np.ndarray], words: int, each: Callable
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre blocks in place; mean and standard deviation of each neuron (neurons,), and whether it is constant."""
    def bounds(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.errstate(invalid="ignore", over="ignore"):
            return z[1:].min(1), z[1:].max(1), z[1:].sum(1)

    def squares(z: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            z[1:] -= mean[:, None]
            return np.einsum("nw,nw->n", z[1:], z[1:])

    low, high, total = (np.array(part) for part in zip(*each(bounds, blocks), strict=True))
    mean = (total.sum(0, dtype=np.float64) / words).astype(np.float32)
    deviation = np.sqrt(sum(each(squares, blocks)) / words)
    bad = np.flatnonzero(~np.isfinite(deviation))
    if len(bad):
        raise InputError(f"activations: neuron {bad[0]} has values that are nan, inf or beyond float32")
    return mean, deviation.astype(np.float32), low.min(0) == high.max(0)


def _scale(blocks: Sequence[np.ndarray], scale: np.ndarray, constant: np.ndarray, each: Callable) -> np.ndarray:
    """Divide blocks in place; returns the sum of their products (1 + neurons, 1 + neurons).

    Neurons to be taken for constant become zero, so that they get no weight: a constant one's mean is inexact, and
    scaling would blow up what it leaves.
    """
    def product(z: np.ndarray) -> np.ndarray:
        z[1:][constant] = 0.0
        z[1:] /= scale[:, None]
        return z @ z.T

    return sum(each(product, blocks))


def _objective(
    blocks: Sequence[np.ndarray], codes: Sequence[np.ndarray], l2: np.ndarray, l1: np.ndarray, each: Callable
) -> Objective:
    """The objective on blocks of words with their codes of labels, and penalties (1 + neurons, 1).

    Blocks are added up in their order, so that the sum depends on no number of threads. They are gone through forth,
    then back: those that came last are in the processor's cache still.
    """
    words, ways = sum(len(y) for y in codes), itertools.cycle((1, -1))

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        # A softmax heeds differences alone, and its derivatives add up to 0 over labels: the last label comes free.
        apart = np.ascontiguousarray((theta[:, :-1] - theta[:, -1:]).T)  # BLAS is a tenth slower on a transposed one

        def part(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
            scores = np.zeros((len(apart) + 1, len(y)), np.float32)  # (labels, words)
            np.matmul(apart, z, out=scores[:-1])
            return surprise(scores, y), z @ scores[:-1].T

        way = next(ways)
        losses, gradients = zip(*list(each(part, blocks[::way], codes[::way]))[::way], strict=True)
        gradient = sum(gradients) / np.float32(words)
        gradient = np.column_stack([gradient, -gradient.sum(1)])
        penalty = (l2 / 2 * np.square(theta) + l1 * np.abs(theta)).sum(dtype=np.float64)
        return float(sum(losses) / words + penalty), gradient + l2 * theta

    return objective
