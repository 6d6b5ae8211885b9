"""How far a layer's neurons moved between two checkpoints, by their activations on the same words."""
import numpy as np

from explorer.ranking import standardised
from explorer.specs import InputError


def correlations(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Pearson correlation of each neuron with itself, (neurons,); nan for one that is constant in either.

    before and after are (words, neurons) of the same words. Raises InputError for different shapes and for values
    that are not finite.
    """
    _check(before, after)
    one, other = standardised(before), standardised(after)
    found = np.einsum("ij,ij->j", one, other, dtype=np.float64) / len(one)
    found[~one.any(0) | ~other.any(0)] = np.nan
    return found


def cka(before: np.ndarray, after: np.ndarray) -> float:
    """Linear CKA (Kornblith et al. 2019): 1 for layers that are rotations of one another, 0 for unrelated ones.

    Arguments and errors are those of correlations; nan where all neurons of a layer are constant.
    """
    _check(before, after)
    one, other = (x.astype(np.float32) - x.mean(0, dtype=np.float64).astype(np.float32) for x in (before, after))
    within = np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    return float(np.linalg.norm(other.T @ one) ** 2 / within) if within > 0 else float("nan")


def _check(before: np.ndarray, after: np.ndarray) -> None:
    if before.shape != after.shape or before.ndim != 2:
        raise InputError(f"activations: {before.shape} before and {after.shape} after; neurons are compared with "
                         "themselves, on the same words and at the same width")
    for name, x in (("before", before), ("after", after)):
        bad = np.flatnonzero(~np.isfinite(x).all(0))
        if len(bad):
            raise InputError(f"activations {name} fine-tuning: neuron {bad[0]} has values that are nan or infinite")
