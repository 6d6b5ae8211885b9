"""Intervals: against closed forms, then their coverage."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.stats import bounds, draws, interval, resamples, simultaneous, sums


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


def test_the_first_draw_is_the_sentences_as_they_are() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (30, 2, 3))
    drawn = draws(30, np.random.default_rng(1), 5)
    np.testing.assert_allclose(sums(counts, drawn)[0], counts.sum(0))
    np.testing.assert_allclose(sums(counts, drawn), np.einsum("rs,sab->rab", drawn, counts))


def test_each_sentence_is_drawn_once_on_average_with_the_variance_of_a_binomial() -> None:
    drawn = draw(50, n=20_000)
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.04)
    np.testing.assert_allclose(drawn.var(0), 0.98, atol=0.06)


def test_bounds_leave_out_resamples_without_a_value() -> None:
    values = np.random.default_rng(0).normal(size=(1000, 3))
    holes = values.copy()
    holes[::3, 1] = np.nan
    low, high = bounds(holes)
    np.testing.assert_allclose([low[0], high[0]], np.percentile(values[:, 0], [2.5, 97.5]), rtol=1e-5)
    np.testing.assert_allclose([low[1], high[1]], np.nanpercentile(holes[:, 1], [2.5, 97.5]), rtol=1e-5)
    assert np.isnan(bounds(np.full((9, 1), np.nan))[0][0])


def test_simultaneous_bounds_of_independent_members_are_those_of_sidak() -> None:
    resampled = np.random.default_rng(0).normal(size=(20_000, 10, 1))
    low, high = simultaneous(np.zeros((10, 1)), resampled)
    np.testing.assert_allclose(high, 2.80, atol=0.06)  # the quantile of 0.95 ** (1 / 10), two-sided
    np.testing.assert_allclose(low, -high)


def test_a_member_alone_and_one_that_never_varies() -> None:
    resampled = np.random.default_rng(0).normal(size=(20_000, 2, 1)) * [[1.0], [0.0]]
    low, high = simultaneous(np.zeros((2, 1)), resampled)
    assert high[0, 0] == pytest.approx(1.96, abs=0.04)
    assert low[1, 0] == high[1, 0] == 0


def test_all_layers_are_in_their_simultaneous_bounds_19_times_of_20() -> None:
    """300 simulated studies of five layers; bounds of each alone hold them all far less often."""
    random = np.random.default_rng(0)
    truth, drawn, together, alone = np.linspace(0.7, 0.9, 5), draw(150, n=1000), 0, 0
    for _ in range(300):
        words = random.integers(5, 25, 150)
        hits = random.binomial(words[:, None], truth)
        values = sums(hits, drawn) / sums(words, drawn)[:, None]
        value = hits.sum(0) / words.sum()
        low, high = simultaneous(value[:, None], values[:, :, None])
        together += ((low[:, 0] <= truth) & (truth <= high[:, 0])).all()
        low, high = bounds(values)
        alone += ((low <= truth) & (truth <= high)).all()
    assert 0.92 <= together / 300 <= 0.98
    assert alone / 300 < 0.87
