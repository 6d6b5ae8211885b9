"""A ranking by greedy selection: the neurons whose Gaussians tell most about the label, given those chosen before."""
from __future__ import annotations

import numpy as np

from explorer.ranking import Ranking
from explorer.specs import InputError

PRIOR = 10.0  # words that a label's diagonal prior counts for: keeps the covariance of a rare label invertible
FLOOR = 1e-5  # of a standardised neuron's variance: what is left below it is rounding


def gaussian(x: np.ndarray, y: np.ndarray, n: int = 50) -> Ranking:
    """Greedy selection of n neurons by mutual information under class-conditional Gaussians.

    After Torroba Hennigen, Williams & Cotterell (2020), who select by the likelihood of the labels. Here the criterion
    is closed: half of log |covariance| over all words, minus its mean over the words of each label, which bounds the
    information from above. What a neuron adds follows from its variances given the neurons chosen so far, so that a
    duplicate adds nothing, and two neurons that tell only together are found once the first of them is in. The others
    follow in the order of what each would add. x is (words, neurons), standardised; y (words,) label indices. The
    score is what a neuron added, in nats; -inf for a constant neuron. Raises InputError for values that are not finite.
    """
    if not np.isfinite(x).all():
        raise InputError("activations: some are nan or infinite; a ranking takes finite ones")
    whole, labels = _Conditional(x, 0.0), [_Conditional(x[y == label], PRIOR) for label in np.unique(y)]
    prior = np.array([len(part.x) for part in labels]) / len(x)
    constant, score = np.ptp(x, axis=0) == 0, np.full(x.shape[1], -np.inf)
    order: list[int] = []
    gain = _gain(whole, labels, prior)
    for _ in range(min(n, x.shape[1] - int(constant.sum()))):
        free = np.where(constant, -np.inf, gain)
        free[order] = -np.inf
        chosen = int(free.argmax())
        score[chosen] = gain[chosen]
        order.append(chosen)
        for part in (whole, *labels):
            part.condition(chosen)
        gain = _gain(whole, labels, prior)
    rest = np.setdiff1d(np.arange(x.shape[1]), order)
    score[rest] = np.where(constant[rest], -np.inf, gain[rest])
    return Ranking(np.concatenate([order, rest[np.argsort(-score[rest], kind="stable")]]).astype(np.int64), score)


class _Conditional:
    """Variances of all neurons over some words, given the neurons conditioned on: one row of Cholesky a step."""

    def __init__(self, x: np.ndarray, prior: float) -> None:
        self.x = x - x.mean(0)  # (words, neurons)
        self.weight = len(x) + prior
        self.prior = prior
        self.variance = (np.einsum("ij,ij->j", self.x, self.x) + prior) / self.weight  # (neurons,)
        self.factors: list[np.ndarray] = []

    def condition(self, neuron: int) -> None:
        """Count what is known of the others once this neuron is known."""
        row = (self.x[:, neuron] @ self.x) / self.weight  # (neurons,) covariances with it
        row[neuron] += self.prior / self.weight
        for factor in self.factors:
            row -= factor[neuron] * factor
        row /= np.sqrt(max(self.variance[neuron], FLOOR))
        self.factors.append(row)
        self.variance = self.variance - row**2


def _gain(whole: _Conditional, labels: list[_Conditional], prior: np.ndarray) -> np.ndarray:
    """(neurons,) nats that each adds to what is known of the label."""
    within = sum(share * np.log(np.maximum(part.variance, FLOOR)) for share, part in zip(prior, labels, strict=True))
    return (np.log(np.maximum(whole.variance, FLOOR)) - within) / 2
