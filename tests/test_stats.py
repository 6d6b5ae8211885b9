"""Intervals: against closed forms, then their coverage."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.stats import interval, resamples


def draw(sentences: int, seed: int = 0, n: int = 2000) -> np.ndarray:
    return resamples(sentences, np.random.default_rng(seed), n)


def test_a_resample_draws_as_many_sentences_as_there_are() -> None:
    assert (draw(37).sum(1) == 37).all()


def test_what_is_the_same_in_every_sentence_is_sure() -> None:
    low, high = interval(np.full((50, 1), 3), np.full(50, 4), draw(50))
    assert low == high == pytest.approx(0.75)


def test_a_proportion_has_the_interval_of_the_normal_approximation() -> None:
    random = np.random.default_rng(0)
    right = random.random((5000, 1)) < 0.8  # one word a sentence
    low, high = interval(right, np.ones(5000), draw(5000))
    p = right.mean()
    half = 1.96 * (p * (1 - p) / 5000) ** 0.5
    assert (low[0], high[0]) == pytest.approx((p - half, p + half), abs=half / 10)


def test_cells_do_not_meet() -> None:
    random = np.random.default_rng(1)
    words = random.integers(1, 30, 80)
    hits = random.binomial(words[:, None], [[0.2, 0.9]])
    together = interval(hits, words, draw(80))
    apart = [interval(hits[:, [i]], words, draw(80)) for i in range(2)]
    np.testing.assert_allclose(together, np.hstack(apart), rtol=1e-6)


@given(st.integers(2, 40), st.integers(0, 1000))
def test_bounds_are_shares_in_order(sentences: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    words = random.integers(1, 20, sentences)
    low, high = interval(random.binomial(words, 0.5)[:, None], words, draw(sentences, seed, 200))
    assert 0 <= low[0] <= high[0] <= 1


def test_the_delta_is_in_its_interval_19_times_of_20() -> None:
    """500 simulated studies whose sentences differ in difficulty, so that words of a sentence go together."""
    random = np.random.default_rng(0)
    drawn, sentences, covered = draw(200, n=1000), 200, 0
    for _ in range(500):
        words = random.integers(1, 25, sentences)
        hard = random.normal(0, 0.07, sentences)
        before, after = (random.binomial(words, np.clip(mean + hard, 0, 1)) for mean in (0.80, 0.77))
        low, high = interval((after - before)[:, None], words, drawn)
        covered += low[0] <= -0.03 <= high[0]
    assert 0.93 <= covered / 500 <= 0.97
