"""How sure the figures are: intervals by the bootstrap over test sentences, since words of one sentence go together.

Every figure is a function of sums over sentences. Its value and its 2,000 resampled values come out of the same
product: a matrix that says how often each draw takes each sentence, with all sentences once as its first row.
"""
import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


def resamples(n_sentences: int, random: np.random.Generator, n: int = RESAMPLES) -> np.ndarray:
    """How often each resample draws each sentence: (resamples, sentences), float32 for the matrix product."""
    drawn = random.integers(n_sentences, size=(n, n_sentences))
    drawn += np.arange(n)[:, None] * n_sentences
    counts = np.bincount(drawn.ravel(), minlength=n * n_sentences)
    return counts.reshape(n, n_sentences).astype(np.float32)


def draws(n_sentences: int, random: np.random.Generator, n: int = RESAMPLES) -> np.ndarray:
    """(1 + resamples, sentences): the sentences as they are, then resamples()."""
    return np.vstack([np.ones((1, n_sentences), np.float32), resamples(n_sentences, random, n)])


def sums(counts: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Sums of counts (sentences, ...) over the sentences of each draw: (draws, ...) float64."""
    flat = counts.reshape(len(counts), -1).astype(np.float32)
    return (drawn @ flat).reshape(len(drawn), *counts.shape[1:]).astype(np.float64)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their quotient, nan where there is nothing to divide by."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def interval(
    hits: np.ndarray, words: np.ndarray, drawn: np.ndarray, level: float = LEVEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap (Efron & Tibshirani 1993) of hits per word, with sentences as the units.

    hits is (sentences, cells): words right in each sentence, or, for a paired delta, those right after fine-tuning
    minus those right before; words is (sentences,), none of them 0; drawn is (resamples, sentences) from resamples().
    All cells share the resamples, so that their bounds move together. Returns lower and upper bounds, (cells,).
    """
    return bounds(sums(hits, drawn) / sums(words, drawn)[:, None], level)


def bounds(resampled: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles of each cell over the resamples that have a value for it: lower and upper, (cells,).

    resampled is (resamples, cells), nan where a resample has no value, such as for a label that it did not draw.
    """
    ordered = np.sort(np.ascontiguousarray(resampled.T, dtype=np.float32), axis=1)  # nan comes last
    n = ordered.shape[1] - np.isnan(ordered).sum(1)  # (cells,)
    found = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        place = share * np.maximum(n - 1, 0)
        below = np.floor(place).astype(int)
        pair = np.take_along_axis(ordered, np.stack([below, np.minimum(below + 1, np.maximum(n - 1, 0))], 1), 1)
        found.append(pair[:, 0] + (place - below) * (pair[:, 1] - pair[:, 0]))
    return found[0].astype(np.float64), found[1].astype(np.float64)


def simultaneous(
    value: np.ndarray, resampled: np.ndarray, level: float = LEVEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds that hold for all members of a family at once, by the studentised maximum (Westfall & Young 1993, max-T).

    value is (members, cells), resampled (resamples, members, cells); each cell has a family of its own. Half the
    width is the member's standard error times the level's quantile of the largest |resampled - value| / error.
    """
    error = np.nanstd(resampled, axis=0)  # (members, cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.abs(resampled - value) / error
    away[~np.isfinite(away)] = 0.0  # a member that never varies is sure, whatever the others do
    half = np.quantile(away.max(1), level, axis=0) * error
    return value - half, value + half
