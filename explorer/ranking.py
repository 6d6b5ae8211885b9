"""Orderings of neurons, best first, and the numbers of neurons to probe.

A method is a function that returns a Ranking; whoever probes, plots or compares rankings needs no more than that. Each
is deterministic: equal scores go to the lower index. gaussian.py and wide.py have the two methods that take longer.
"""
from dataclasses import dataclass

import numpy as np

from explorer.specs import InputError


@dataclass(frozen=True)
class Ranking:
    """Neurons in the order in which a method would keep them."""

    order: np.ndarray  # (neurons,) indices, best first
    score: np.ndarray  # (neurons,) the method's own figure for each neuron, in the neurons' order

    def top(self, k: int) -> np.ndarray:
        """The k best neurons; InputError if there are not so many."""
        if not 1 <= k <= len(self.order):
            raise InputError(f"k: got {k}; the ranking takes 1 to {len(self.order)} neurons")
        return self.order[:k]


def lca(weight: np.ndarray) -> Ranking:
    """Linguistic Correlation Analysis (Dalvi et al. 2019; Durrani et al. 2020) of a probe, in its exact limit.

    weight is (neurons, labels). The published rule collects, for each label, the smallest set of neurons with the
    largest |weight| that reaches a percentage of the label's mass, and the union over labels; what enters at a
    smaller percentage is better. The score is the share of mass at which a neuron enters in the limit of ever finer
    percentages: the least, over labels, mass of the neurons with a larger |weight| for that label, so a label's
    top neuron has 0 and a neuron that no label weighs has 1. Equal scores: the larger share of a label's mass first,
    then the lower index. Raises InputError for weights that are not finite.
    """
    weight = np.abs(np.asarray(weight, dtype=np.float64))
    if weight.ndim != 2 or not np.isfinite(weight).all():
        raise InputError(f"weights: shape {weight.shape}; a ranking takes finite numbers (neurons, labels)")
    mass = weight.sum(0)
    share = weight / np.where(mass > 0, mass, 1.0)  # (neurons, labels)
    descending = np.argsort(-share, axis=0, kind="stable")
    ranked = np.take_along_axis(share, descending, axis=0)
    before = np.empty_like(share)
    np.put_along_axis(before, descending, np.cumsum(ranked, axis=0) - ranked, axis=0)
    before[share == 0] = 1.0  # also where rounding says a little less
    score = before.min(1)
    return Ranking(np.lexsort((-share.max(1), score)), score)


def of_label(weight: np.ndarray, label: int) -> Ranking:
    """LCA for one label (Dalvi et al. 2019): by |weight| for it; the score is that label's share of mass.

    weight is (neurons, labels). Raises InputError for weights that are not finite and a label that is not there.
    """
    weight = np.abs(np.asarray(weight, dtype=np.float64))
    if weight.ndim != 2 or not np.isfinite(weight).all() or not 0 <= label < weight.shape[1]:
        raise InputError(f"label {label}: weights have shape {weight.shape}; takes a column of finite numbers")
    mass = weight[:, label].sum()
    return _descending(weight[:, label] / (mass if mass > 0 else 1.0))


def probeless(x: np.ndarray, y: np.ndarray, counts: np.ndarray | None = None) -> Ranking:
    """Probeless (Antverg & Belinkov 2022): the sum, over pairs of labels, of the distance between their means.

    x is (words, neurons), y (words,) label indices, counts (words,) how often each word counts. Here x is meant to be
    standardised: on raw activations the neurons of the largest variance come first. Raises InputError for values that
    are not finite.
    """
    _check(x, y)
    means = np.sort(label_means(x, y, counts), axis=0)  # (labels, neurons)
    n = len(means)
    return _descending((2 * np.arange(n) - n + 1) @ means)  # each mean is the larger one of its rank's pairs


def label_means(x: np.ndarray, y: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Mean of x (words, neurons) over the words of each label that has any: (labels, neurons) float64."""
    present, codes = np.unique(y, return_inverse=True)
    one_hot = np.zeros((len(present), len(y)), np.float32)
    one_hot[codes, np.arange(len(y))] = 1.0 if counts is None else counts
    one_hot = one_hot[one_hot.any(1)]
    return (one_hot @ x.astype(np.float32, copy=False)).astype(np.float64) / one_hot.sum(1, dtype=np.float64)[:, None]


def iou(x: np.ndarray, y: np.ndarray) -> Ranking:
    """Intersection over union (Mu & Andreas 2020) of the words that a neuron fires on and those of a label, the best.

    x is (words, neurons), y (words,) label indices. For each label a neuron is held to fire on as many words as have
    the label, those of its highest activations or of its lowest; the source fixes one threshold for all labels. A
    constant neuron fires on none. Raises InputError for values that are not finite.
    """
    _check(x, y)
    best = np.zeros(x.shape[1])
    labels, sizes = np.unique(y, return_counts=True)
    for first in range(0, x.shape[1], 256):  # neurons at a time, for memory
        part = x[:, first:first + 256]
        ranked = y[np.argsort(part, axis=0, kind="stable")]  # (words, neurons) labels by rising activation
        for label, n in zip(labels, sizes, strict=True):
            for end in (ranked[:n], ranked[-n:]):
                hits = (end == label).sum(0)
                np.maximum(best[first:first + 256], hits / (2 * n - hits), out=best[first:first + 256])
    best[np.ptp(x, axis=0) == 0] = 0.0
    return _descending(best)


def shuffled(n: int, random: np.random.Generator) -> Ranking:
    """A control: n neurons in random order; the score is their place."""
    return _placed(random.permutation(n))


def backwards(ranking: Ranking) -> Ranking:
    """A control: the worst first."""
    return Ranking(ranking.order[::-1], ranking.score)


def places(order: np.ndarray) -> np.ndarray:
    """(neurons,) the place of each neuron in an order, 1 for the best."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(1, len(order) + 1)
    return place


def overlap(one: np.ndarray, other: np.ndarray, k: int) -> float:
    """Share of the first k of one order that are among the first k of the other."""
    return len(np.intersect1d(one[:k], other[:k], assume_unique=True)) / k


def standardised(x: np.ndarray) -> np.ndarray:
    """x (words, neurons) as float32 with mean 0 and standard deviation 1; a constant neuron is 0."""
    x = x.astype(np.float32)
    constant = np.ptp(x, axis=0) == 0
    x -= x.mean(0, dtype=np.float64)
    scale = np.sqrt(np.einsum("ij,ij->j", x, x, dtype=np.float64) / len(x))
    x /= np.where(constant, np.inf, scale)
    return x


def _placed(order: np.ndarray) -> Ranking:
    return Ranking(order, places(order).astype(np.float64))


def _descending(score: np.ndarray) -> Ranking:
    return Ranking(np.argsort(-score, kind="stable"), score)


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(y):
        raise InputError(f"activations: shape {x.shape}, labels {y.shape}; a ranking takes (words, neurons), (words,)")
    bad = np.flatnonzero(~np.isfinite(x).all(0))
    if len(bad):
        raise InputError(f"activations: neuron {bad[0]} has values that are nan or infinite")


def k_grid(width: int, n: int = 24) -> tuple[int, ...]:
    """Up to n numbers of neurons from 1 to width, both included, each about the same factor above the last."""
    if width < 1 or n < 2:
        raise InputError(f"k grid: got {n} numbers up to {width}; it takes two or more, up to one or more")
    grid = [1]
    for left in range(min(n, width) - 1, 0, -1):
        ratio = (width / grid[-1]) ** (1 / left)
        grid.append(max(grid[-1] + 1, round(grid[-1] * ratio)))
    return tuple(grid)
