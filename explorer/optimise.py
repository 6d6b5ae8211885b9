"""The search for a probe's parameters: quasi-Newton steps for a convex objective, with an L1 penalty or without.

scipy is imported where it is used: it takes a fifth of the first page's imports, and a page fits nothing.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import ThreadpoolController

from explorer.specs import ProbeSpec

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Of parameters (1 + neurons, labels): the objective, and the gradient of all of it but the L1 penalty."""

Metric = Callable[[np.ndarray], np.ndarray]
"""Of a gradient (1 + neurons, labels): its product with a guess at the inverse Hessian."""

PAIRS = 20  # curvature pairs that L-BFGS keeps: 10 take a twentieth more steps, and 30 no fewer
DAMPING = 0.1  # share of the mean variance added to a covariance before it is inverted; 0.03 to 0.3 do alike
ROUNDING = 1e-7  # a relative rise in the loss below this is float32 noise, not a bad step


def metric(gram: np.ndarray, prior: np.ndarray) -> Metric:
    """The inverse Hessian that L-BFGS starts from; gram is altered.

    Over neurons it is the inverse of their covariance, as in the bound of Böhning (1992). Over C labels the
    bound has a factor of C, the Hessian at W = 0 one of 1 / prior; the geometric mean that leans three to one
    towards C took the fewest steps on EWT: three quarters of those with C, half of those with 1 / prior.
    """
    from scipy.linalg import cho_factor, cho_solve

    diagonal = np.einsum("ii->i", gram)
    diagonal += DAMPING * (diagonal[1:].mean() or 1.0)  # constant neurons alone have none
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    by_label = (len(prior) ** 0.75 * prior**-0.25).astype(np.float32)
    return lambda gradient: cho_solve(factor, gradient, check_finite=False) * by_label


def minimise(
    objective: Objective, theta: np.ndarray, l1: np.ndarray, metric: Metric, spec: ProbeSpec
) -> tuple[np.ndarray, float, int, bool]:
    """OWL-QN (Andrew & Gao 2007) from theta: the optimum, its value, the steps taken, whether it converged.

    Where l1 is zero it is L-BFGS (Nocedal 1980) with backtracking, which is enough for a convex objective. It
    has converged when no entry of the gradient, with L1 of the least subgradient, exceeds spec.tolerance.
    """
    value, gradient = objective(theta)
    most = spec.max_iter * (10 if spec.l1 else 1)
    inverse_hessian = _InverseHessian(metric, theta.size)
    for n_iter in range(most + 1):
        steepest = _least_subgradient(theta, gradient, l1)
        converged = bool(np.abs(steepest).max() <= spec.tolerance)
        if converged or n_iter == most:
            break
        direction = -inverse_hessian(steepest)
        direction[(l1 > 0) & (direction * steepest >= 0)] = 0.0
        orthant = np.sign(np.where(theta == 0, -steepest, theta))
        for halvings in range(20):
            tried = theta + np.float32(0.5**halvings) * direction
            tried[(l1 > 0) & (tried * orthant <= 0)] = 0.0  # L1 is smooth within an orthant only
            tried_value, tried_gradient = objective(tried)
            expected = np.vdot(steepest, tried - theta)
            if tried_value <= value + 1e-4 * expected + ROUNDING * value:
                break
        else:
            break
        inverse_hessian.learn(tried - theta, tried_gradient - gradient)
        theta, value, gradient = tried, tried_value, tried_gradient
    return theta, value, n_iter, converged


def _least_subgradient(theta: np.ndarray, gradient: np.ndarray, l1: np.ndarray) -> np.ndarray:
    """The subgradient of the objective nearest to zero: the gradient itself where l1 is zero."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0)
    return np.where(theta == 0, at_zero, gradient + l1 * np.sign(theta))


class _InverseHessian:
    """L-BFGS's product of a gradient with the inverse Hessian, as the last steps and changes of gradient tell it.

    In its compact form (Byrd, Nocedal & Schnabel 1994, theorem 2.2), a few products where the two loops are many.
    """

    def __init__(self, metric: Metric, size: int) -> None:
        self.metric = metric
        self.steps, self.changes, self.bent = (np.zeros((PAIRS, size), np.float32) for _ in range(3))
        self.inner = np.zeros((PAIRS, PAIRS))  # of steps and changes
        self.norms = np.zeros((PAIRS, PAIRS))  # of changes, by the metric
        self.age: list[int] = []  # rows that are filled, the oldest first

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Take in what a step has changed; of a step that saw no curvature there is nothing to learn."""
        if np.vdot(step, change) > 0:
            row = len(self.age) if len(self.age) < PAIRS else self.age.pop(0)
            self.age.append(row)
            self.steps[row], self.changes[row] = step.ravel(), change.ravel()
            self.bent[row] = self.metric(change).ravel()
            self.inner[row], self.inner[:, row] = self.changes @ self.steps[row], self.steps @ self.changes[row]
            self.norms[row] = self.norms[:, row] = self.bent @ self.changes[row]

    def __call__(self, gradient: np.ndarray) -> np.ndarray:
        from scipy.linalg import solve_triangular

        result = self.metric(gradient)
        if not self.age:
            return result
        age = np.array(self.age)
        inner, norms = self.inner[np.ix_(age, age)], self.norms[np.ix_(age, age)]  # (pairs, pairs)
        scale = inner[-1, -1] / norms[-1, -1]
        upper, flat = np.triu(inner), gradient.ravel()
        first = solve_triangular(upper, (self.steps @ flat)[age], check_finite=False)
        second = np.diag(inner) * first + scale * (norms @ first - (self.bent @ flat)[age])
        by_step, by_change = np.zeros((2, PAIRS), np.float32)
        by_step[age] = solve_triangular(upper, second, trans="T", check_finite=False)
        by_change[age] = scale * first
        return np.float32(scale) * result + (by_step @ self.steps - by_change @ self.bent).reshape(gradient.shape)


def surprise(scores: np.ndarray, y: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Nats that a softmax of scores (labels, words) gives the labels y (words,), each word counted once or as said.

    The scores become the derivative of that sum.
    """
    words = np.arange(len(y))
    scores -= scores.max(0)
    right = scores[y, words]
    total = np.exp(scores, out=scores).sum(0)
    scores /= total
    scores[y, words] -= 1
    nats = np.log(total) - right
    if counts is not None:
        scores *= counts
        nats *= counts
    return float(nats.sum(dtype=np.float64))


@contextmanager
def workers(enough: bool = True) -> Iterator[Callable]:
    """A map on as many threads as BLAS has, BLAS taking one in each; the plain map where there is not enough to do.

    Products with as few columns as there are labels gain little from BLAS's own threads.
    """
    blas = _blas()
    threads = max((library.num_threads for library in blas.lib_controllers), default=1)
    with blas.limit(limits=1):
        if enough and threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                yield pool.map
        else:
            yield map


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
