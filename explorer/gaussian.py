"""A ranking by greedy selection: the neurons whose Gaussians tell most about the label, given those chosen before."""
from __future__ import annotations

import numpy as np

from explorer.optimise import workers
from explorer.ranking import Ranking
from explorer.specs import InputError

PRIOR = 10.0  # words that a label's diagonal prior counts for: keeps the covariance of a rare label invertible
FLOOR = 1e-5  # of a standardised neuron's variance: what is left below it is rounding
MOST = 80.0  # nats by which one label may lead another in a word: e^88 is beyond float32
BLOCK = 32  # neurons that are gone through at a time: their words stay in the cache of the processor


def gaussian(x: np.ndarray, y: np.ndarray, n: int = 50, by: str = "information") -> Ranking:
    """Greedy selection of n neurons under class-conditional Gaussians, by 'information' or by 'likelihood'.

    After Torroba Hennigen, Williams & Cotterell (2020), "Intrinsic Probing through Dimension Selection", who add the
    neuron with which the Gaussian probe gives the labels the highest log-likelihood: by='likelihood', here on the words
    that the Gaussians are of, with a small diagonal prior in place of theirs, and a lead of another label over a word's
    own counted up to MOST nats. By 'information' the criterion is closed and much faster: half of log |covariance| over
    all words, minus its mean over the words of each label, which bounds the mutual information from above. What a
    neuron adds follows from its variances given the neurons chosen so far, so that a duplicate adds nothing, and two
    neurons that tell only together are found once the first of them is in. The others follow in the order of what each
    would add. x is (words, neurons), standardised; y (words,) label indices. The score is what a neuron added, in nats
    a word; -inf for a constant neuron. Raises InputError for values that are not finite and for another criterion.
    """
    if by not in CRITERIA:
        raise InputError(f"by: got {by!r}; takes {' or '.join(CRITERIA)}")
    if not np.isfinite(x).all():
        raise InputError("activations: some are nan or infinite; a ranking takes finite ones")
    criterion = CRITERIA[by](x, y)
    constant, score = np.ptp(x, axis=0) == 0, np.full(x.shape[1], -np.inf)
    order: list[int] = []
    gain = criterion.gain()
    for _ in range(min(n, x.shape[1] - int(constant.sum()))):
        free = np.where(constant, -np.inf, gain)
        free[order] = -np.inf
        chosen = int(free.argmax())
        score[chosen] = gain[chosen]
        order.append(chosen)
        criterion.condition(chosen)
        gain = criterion.gain()
    rest = np.setdiff1d(np.arange(x.shape[1]), order)
    score[rest] = np.where(constant[rest], -np.inf, gain[rest])
    return Ranking(np.concatenate([order, rest[np.argsort(-score[rest], kind="stable")]]).astype(np.int64), score)


class _Conditional:
    """Variances of all neurons over some words, given the neurons conditioned on: one row of Cholesky a step."""

    def __init__(self, x: np.ndarray, prior: float) -> None:
        self.mean = x.mean(0)
        self.x = x - self.mean  # (words, neurons)
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


class _Information:
    """A bound of the mutual information of the label and each neuron, given those chosen."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.whole = _Conditional(x, 0.0)
        self.labels = [_Conditional(x[y == label], PRIOR) for label in np.unique(y)]
        self.share = np.array([len(part.x) for part in self.labels]) / len(x)

    def condition(self, neuron: int) -> None:
        for part in (self.whole, *self.labels):
            part.condition(neuron)

    def gain(self) -> np.ndarray:
        """(neurons,) nats that each adds to what is known of the label."""
        within = sum(share * np.log(np.maximum(part.variance, FLOOR))
                     for share, part in zip(self.share, self.labels, strict=True))
        return (np.log(np.maximum(self.whole.variance, FLOOR)) - within) / 2


class _Likelihood:
    """Log-likelihood of the words' labels with each neuron beside those chosen, by Bayes' rule.

    Words lie sorted by their label, neurons in rows, and are gone through block by block of neurons: what a step
    computes for each label, word and neuron is never there as a whole.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        labels, sizes = np.unique(y, return_counts=True)
        self.words = [slice(end - n, end) for n, end in zip(sizes, np.cumsum(sizes), strict=True)]  # of each label
        self.x = np.ascontiguousarray(x[np.argsort(y, kind="stable")].T)  # (neurons, words)
        self.labels = [_Conditional(x[y == label], PRIOR) for label in labels]
        prior = np.log(sizes / len(x)).astype(np.float32)
        self.joint = np.tile(prior[:, None], len(x))  # (labels, words), of the chosen
        self.z = np.empty((len(labels), 0, len(x)), np.float32)  # (labels, chosen, words), independent by label

    def condition(self, neuron: int) -> None:
        here = slice(neuron, neuron + 1)
        z = np.stack([self._distance(label, here) for label in range(len(self.labels))])
        spread = [np.log(max(part.variance[neuron], FLOOR)) for part in self.labels]
        self.joint -= (np.array(spread, np.float32)[:, None] + z[:, 0] ** 2) / 2
        self.z = np.concatenate([self.z, z], axis=1)
        for part in self.labels:
            part.condition(neuron)

    def gain(self) -> np.ndarray:
        """(neurons,) nats a word that each adds to the log-likelihood."""
        known = self.joint - np.concatenate([self.joint[label, mine] for label, mine in enumerate(self.words)])
        before = np.log(np.exp(np.minimum(known, MOST)).sum(0)).mean(dtype=np.float64)
        blocks = [slice(first, first + BLOCK) for first in range(0, len(self.x), BLOCK)]
        with workers() as each:
            return before - np.concatenate(list(each(self._surprise, blocks)))

    def _surprise(self, neurons: slice) -> np.ndarray:
        """(neurons,) nats a word that the labels take given the chosen neurons and one of these."""
        every = range(len(self.labels))
        own = np.concatenate([self._density(label, neurons, self.words[label]) for label in every], axis=1)
        against = np.zeros_like(own)  # (neurons, words)
        for label in every:
            density = self._density(label, neurons)
            density -= own
            np.minimum(density, MOST, out=density)
            against += np.exp(density, out=density)
        return np.log(against, out=against).mean(1, dtype=np.float64)

    def _density(self, label: int, neurons: slice, words: slice = slice(None)) -> np.ndarray:
        """(neurons, words) log density, but for a constant, of the label, the chosen neurons and one of these."""
        found = self._distance(label, neurons, words)
        found *= found
        found *= np.float32(-0.5)
        found += self.joint[label, words]
        found -= np.log(np.maximum(self.labels[label].variance[neurons], FLOOR))[:, None] / 2
        return found

    def _distance(self, label: int, neurons: slice, words: slice = slice(None)) -> np.ndarray:
        """(neurons, words) from what the chosen ones lead one to expect, in standard deviations."""
        part = self.labels[label]
        away = self.x[neurons, words] - part.mean[neurons][:, None]
        if part.factors:
            away -= np.stack([factor[neurons] for factor in part.factors], axis=1) @ self.z[label][:, words]
        away /= np.sqrt(np.maximum(part.variance[neurons], FLOOR))[:, None]
        return away


CRITERIA: dict[str, type[_Information] | type[_Likelihood]] = {"information": _Information, "likelihood": _Likelihood}
