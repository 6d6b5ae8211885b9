"""Orderings of neurons, best first, and the numbers of neurons to probe.

A method is a function that returns a Ranking; whoever probes, plots or compares rankings needs no more than that.
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


def k_grid(width: int, n: int = 24) -> tuple[int, ...]:
    """Up to n numbers of neurons from 1 to width, both included, each about the same factor above the last."""
    if width < 1 or n < 2:
        raise InputError(f"k grid: got {n} numbers up to {width}; it takes two or more, up to one or more")
    grid = [1]
    for left in range(min(n, width) - 1, 0, -1):
        ratio = (width / grid[-1]) ** (1 / left)
        grid.append(max(grid[-1] + 1, round(grid[-1] * ratio)))
    return tuple(grid)
