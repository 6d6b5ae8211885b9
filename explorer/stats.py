"""How sure the figures are: intervals by the bootstrap over test sentences, since words of one sentence go together."""
import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


def resamples(n_sentences: int, random: np.random.Generator, n: int = RESAMPLES) -> np.ndarray:
    """How often each resample draws each sentence: (resamples, sentences), float32 for the matrix product."""
    return random.multinomial(n_sentences, np.full(n_sentences, 1 / n_sentences), size=n).astype(np.float32)


def interval(
    hits: np.ndarray, words: np.ndarray, drawn: np.ndarray, level: float = LEVEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap (Efron & Tibshirani 1993) of hits per word, with sentences as the units.

    hits is (sentences, cells): words right in each sentence, or, for a paired delta, those right after fine-tuning
    minus those right before; words is (sentences,), none of them 0; drawn is (resamples, sentences) from resamples().
    All cells share the resamples, so that their bounds move together. Returns lower and upper bounds, (cells,).
    """
    share = (drawn @ hits.astype(np.float32)) / (drawn @ words.astype(np.float32))[:, None]  # (resamples, cells)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(share, [tail, 100 - tail], axis=0)
    return low, high
