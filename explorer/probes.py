"""Linear probes: multinomial logistic regression on one layer's neurons, solved to a stated tolerance.

The objective over weights W (neurons, labels) and a bias, on standardised activations, is

    mean cross-entropy + l2 / 2 * |W|^2 + l1 * |W|_1

with the bias left free. It is convex: its optimum depends on no seed, no batch and no order of the words.
"""
from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from explorer.confounds import norm, outliers
from explorer.probe import Probe
from explorer.specs import InputError, ProbeSpec

Labelled = tuple[np.ndarray, np.ndarray]
"""Activations (words, neurons) and label indices (words,), -1 for a label that training does not have."""

Objective = Callable[[Tensor], tuple[float, Tensor]]
"""Of parameters (1 + neurons, labels): the objective, and the gradient of all of it but the L1 penalty."""

Metric = Callable[[Tensor], Tensor]
"""Of a gradient (1 + neurons, labels): its product with a guess at the inverse Hessian."""

PAIRS = 10  # curvature pairs that L-BFGS keeps; 30 take a tenth fewer steps, each slower
DAMPING = 0.1  # share of the mean variance added to a covariance before it is inverted; 0.03 to 0.3 do alike
ROUNDING = 1e-7  # a relative rise in the loss below this is float32 noise, not a bad step


def fit_probe(
    x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, dev: Labelled | None = None
) -> Probe:
    """Fit one probe on all neurons of a layer; arguments and errors are those of LayerProbes."""
    return LayerProbes(x, y, n_labels, spec, dev).fit()


class LayerProbes:
    """Fits probes on any neurons of one layer; standardises and correlates the training words only once."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, dev: Labelled | None = None
    ) -> None:
        """Take the training words: x (words, neurons) floats, y (words,) label indices below n_labels.

        dev is needed where spec.l2_grid is given. Raises InputError for activations that are not finite,
        naming the neuron, for labels that do not fit the words or are all the same, and for settings out of
        range.
        """
        _check(x, y, n_labels, spec, dev)
        self.spec, self.dev, self.n_labels = spec, dev, n_labels
        self.present, codes = np.unique(y, return_inverse=True)
        self._y = torch.from_numpy(codes)  # (words,) indices into present
        # A row of ones carries the bias. Neurons lie in rows, so that some of them are a cheap contiguous
        # copy and the softmax runs along the words, which is twice as fast as along the few labels.
        self._z = torch.ones(1 + x.shape[1], len(x))  # (1 + neurons, words)
        self._z[1:] = torch.from_numpy(np.require(x, requirements=["W"])).T
        self.mean, deviation, constant = _centre(self._z[1:])
        self.outliers, self.norm = outliers(self.mean, deviation), norm(self.mean, deviation)
        if spec.drop_outliers:
            constant |= self.outliers
        self.scale = _scale(self._z[1:], deviation, constant, spec.standardise)
        self._gram = self._z @ self._z.T / len(x)  # (1 + neurons, 1 + neurons)

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
        _check(self._z[1:].numpy().T, y, self.n_labels, spec, None)
        other = copy.copy(self)
        other.spec, other.dev = spec, None
        other.present, codes = np.unique(y, return_inverse=True)
        other._y = torch.from_numpy(codes)
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
        z = self._z if np.array_equal(columns, np.arange(len(self.mean))) else self._z[rows]
        gram = self._gram[rows][:, rows]
        prior = torch.bincount(self._y) / len(self._y)  # (labels,)
        theta = torch.zeros(len(rows), len(prior))  # (1 + neurons, labels), the bias on top
        theta[0] = prior.log()
        if self.spec.l1:  # sparse optima are near zero, and a metric that mixes neurons would fill the zeros
            gram = gram.diagonal().diag()
        elif start is not None:
            theta = self._project(start, rows, gram)
        penalised = torch.ones(len(rows), 1)
        penalised[0] = 0.0
        l1 = self.spec.l1 * penalised
        theta, loss, n_iter, converged = minimise(
            _objective(z, self._y, l2 * penalised, l1), theta, l1, metric(gram, prior), self.spec
        )
        weight = np.zeros((len(columns), self.n_labels), np.float32)
        weight[:, self.present] = theta[1:].numpy()
        bias = np.full(self.n_labels, -np.inf, np.float32)
        bias[self.present] = theta[0].numpy()
        mean, scale = self.mean[columns], self.scale[columns]
        return Probe(weight, bias, columns, mean, scale, l2, loss, n_iter, converged)

    def _project(self, start: Probe, rows: Tensor, gram: Tensor) -> Tensor:
        """The parameters on rows whose scores are nearest, in least squares, to those of another probe."""
        theta = torch.from_numpy(np.vstack([start.bias, start.weight])[:, self.present])
        towards = self._gram[rows][:, _rows(start.neurons)] @ theta  # (1 + neurons, labels)
        return torch.linalg.solve(gram + 1e-4 * torch.eye(len(gram)), towards)


def _rows(columns: np.ndarray) -> Tensor:
    """Rows of z that hold the ones and the given neurons."""
    return torch.from_numpy(np.concatenate([[0], columns + 1]))


def _check(x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, dev: Labelled | None) -> None:
    if x.ndim != 2 or x.dtype.kind != "f":
        raise InputError(f"activations: got {x.dtype} {x.shape}; a probe takes floats (words, neurons)")
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise InputError(f"labels: got {y.dtype} {y.shape}; a probe takes an integer for each of {len(x)} words")
    found = np.unique(y)
    if len(found) < 2:
        raise InputError(f"labels: the training words have {len(found)}; a probe takes two or more")
    if found[0] < 0 or found[-1] >= n_labels:
        raise InputError(f"labels: found {found[0]} to {found[-1]}; {n_labels} labels are numbered from 0")
    if min(spec.l1, spec.l2, *spec.l2_grid) < 0 or spec.tolerance <= 0 or spec.max_iter < 1:
        raise InputError(f"{spec}: penalties take 0 or more, tolerance and max_iter more than 0")
    if spec.l2_grid and dev is None:
        raise InputError("l2_grid: given without dev words to choose on")


def _centre(z: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre z (neurons, words) in place; mean and standard deviation of each neuron, and whether it is constant."""
    low, high = torch.aminmax(z, dim=1)
    mean = z.mean(1)
    z -= mean[:, None]
    deviation = torch.linalg.vector_norm(z, dim=1) / z.shape[1] ** 0.5
    bad = (~torch.isfinite(deviation)).nonzero()
    if len(bad):
        raise InputError(f"activations: neuron {bad[0].item()} has values that are nan, inf or beyond float32")
    return mean.numpy(), deviation.numpy(), (low == high).numpy()


def _scale(z: Tensor, deviation: np.ndarray, constant: np.ndarray, to_unit: bool) -> np.ndarray:
    """Divide z (neurons, words) by deviations in place if to_unit; return the divisors, 1 where there is none.

    Neurons to be taken for constant become zero, so that they get no weight: a constant one's mean is inexact, and
    scaling would blow up what it leaves.
    """
    scale = np.where(constant | (not to_unit), np.float32(1), deviation)
    z[torch.from_numpy(constant)] = 0.0
    z /= torch.from_numpy(scale)[:, None]
    return scale


def _objective(z: Tensor, y: Tensor, l2: Tensor, l1: Tensor) -> Objective:
    """The objective on z (1 + neurons, words) and y (words,) with penalties (1 + neurons, 1).

    The gradient is written out because autograd would keep two more copies of the scores.
    """
    gold, hit = y[None], torch.full((1, len(y)), -1.0)

    def objective(theta: Tensor) -> tuple[float, Tensor]:
        scores = theta.T @ z  # (labels, words)
        scores -= scores.amax(0)
        right = scores.gather(0, gold)[0]
        total = scores.exp_().sum(0)
        loss = (total.log() - right).mean(dtype=torch.float64)
        penalty = (l2 / 2 * theta.square() + l1 * theta.abs()).sum(dtype=torch.float64)
        error = scores.div_(total).scatter_add_(0, gold, hit)
        return (loss + penalty).item(), z @ error.T / len(y) + l2 * theta

    return objective


def metric(gram: Tensor, prior: Tensor) -> Metric:
    """The inverse Hessian that L-BFGS starts from; gram is altered.

    Over neurons it is the inverse of their covariance, as in the bound of Böhning (1992). Over C labels the
    bound has a factor of C, the Hessian at W = 0 one of 1 / prior; the geometric mean that leans three to one
    towards C took the fewest steps on EWT: three quarters of those with C, half of those with 1 / prior.
    """
    gram.diagonal().add_(DAMPING * gram.diagonal()[1:].mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    by_label = len(prior) ** 0.75 * prior**-0.25
    return lambda gradient: inverse @ gradient * by_label


def minimise(
    objective: Objective, theta: Tensor, l1: Tensor, metric: Metric, spec: ProbeSpec
) -> tuple[Tensor, float, int, bool]:
    """OWL-QN (Andrew & Gao 2007) from theta: the optimum, its value, the steps taken, whether it converged.

    Where l1 is zero it is L-BFGS (Nocedal 1980) with backtracking, which is enough for a convex objective. It
    has converged when no entry of the gradient, with L1 of the least subgradient, exceeds spec.tolerance.
    """
    value, gradient = objective(theta)
    pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=PAIRS)
    for n_iter in range(spec.max_iter + 1):
        steepest = _least_subgradient(theta, gradient, l1)
        converged = bool(steepest.abs().max() <= spec.tolerance)
        if converged or n_iter == spec.max_iter:
            break
        direction = -_inverse_hessian(steepest, pairs, metric)
        direction.masked_fill_((l1 > 0) & (direction * steepest >= 0), 0.0)
        orthant = torch.where(theta == 0, -steepest, theta).sign()
        for halvings in range(20):
            tried = theta + 0.5**halvings * direction
            tried.masked_fill_((l1 > 0) & (tried * orthant <= 0), 0.0)  # L1 is smooth within an orthant only
            tried_value, tried_gradient = objective(tried)
            expected = (steepest * (tried - theta)).sum().item()
            if tried_value <= value + 1e-4 * expected + ROUNDING * value:
                break
        else:
            break
        step, change = tried - theta, tried_gradient - gradient
        curvature = (step * change).sum()
        if curvature > 0:
            pairs.append((step, change, curvature))
        theta, value, gradient = tried, tried_value, tried_gradient
    return theta, value, n_iter, converged


def _least_subgradient(theta: Tensor, gradient: Tensor, l1: Tensor) -> Tensor:
    """The subgradient of the objective nearest to zero: the gradient itself where l1 is zero."""
    at_zero = gradient.sign() * (gradient.abs() - l1).clamp_min(0)
    return torch.where(theta == 0, at_zero, gradient + l1 * theta.sign())


def _inverse_hessian(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor, Tensor]], metric: Metric) -> Tensor:
    """L-BFGS's two loops over (step, change of gradient, their product): inverse Hessian times gradient."""
    shares = []
    for step, change, curvature in reversed(pairs):
        shares.append((step * gradient).sum() / curvature)
        gradient = gradient - shares[-1] * change
    result = metric(gradient)
    if pairs:
        _, change, curvature = pairs[-1]
        result *= curvature / (change * metric(change)).sum()
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        result += (share - (change * result).sum() / curvature) * step
    return result
