"""Probes: scikit-learn's optima, the stated tolerance, and plain cases whose answer is known."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from explorer.probes import LayerProbes, fit_probe
from explorer.specs import InputError, ProbeSpec

WORDS, NEURONS, LABELS = 400, 8, 4
Data = tuple[np.ndarray, np.ndarray]


def make(seed: int = 0, words: int = WORDS) -> Data:
    """Neurons of unlike scale and place, labels that some of them tell in part."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(words, NEURONS))
    scores = z @ random.normal(size=(NEURONS, LABELS)) + random.gumbel(size=(words, LABELS))
    x = z * np.geomspace(0.1, 10, NEURONS) + np.arange(NEURONS)
    return x.astype(np.float32), scores.argmax(1)


def objective(x: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray, spec: ProbeSpec) -> float:
    """As it is written in the module's docstring, in float64 on standardised activations."""
    z = (x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)
    scores = z @ weight.astype(np.float64) + bias
    surprise = np.log(np.exp(scores).sum(1)) - scores[np.arange(len(y)), y]
    return surprise.mean() + spec.l2 / 2 * np.square(weight).sum() + spec.l1 * np.abs(weight).sum()


def gradient(x: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray, l2: float) -> np.ndarray:
    z = (x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)
    scores = z @ weight.astype(np.float64) + bias
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True) - np.eye(LABELS)[y]
    return np.vstack([p.mean(0), z.T @ p / len(y) + l2 * weight])


@pytest.mark.parametrize("l2", [1e-5, 1e-3, 0.1])
def test_the_optimum_is_that_of_scikit_learn(l2: float) -> None:
    x, y = make()
    spec = ProbeSpec(l2=l2)
    probe = fit_probe(x, y, LABELS, spec)
    z = (x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)
    theirs = LogisticRegression(C=1 / (l2 * WORDS), tol=1e-10, max_iter=10_000).fit(z, y)
    best = objective(x, y, theirs.coef_.T, theirs.intercept_, spec)
    assert objective(x, y, probe.weight, probe.bias, spec) == pytest.approx(best, abs=1e-3)
    assert probe.loss == pytest.approx(best, abs=1e-3)
    assert probe.converged


def test_the_sparse_optimum_is_that_of_scikit_learn() -> None:
    x, y = make()
    spec = ProbeSpec(l2=1e-3, l1=0.02)
    probe = fit_probe(x, y, LABELS, spec)
    z = (x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)
    both = spec.l2 + spec.l1
    theirs = LogisticRegression(C=1 / (both * WORDS), l1_ratio=spec.l1 / both, solver="saga", tol=1e-8,
                                max_iter=20_000).fit(z, y)
    best = objective(x, y, theirs.coef_.T, theirs.intercept_, spec)
    assert objective(x, y, probe.weight, probe.bias, spec) == pytest.approx(best, abs=1e-3)
    assert 0 < (probe.weight == 0).sum() < probe.weight.size


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_no_entry_of_the_gradient_exceeds_the_tolerance(tolerance: float) -> None:
    x, y = make()
    probe = fit_probe(x, y, LABELS, ProbeSpec(tolerance=tolerance))
    assert probe.converged
    assert np.abs(gradient(x, y, probe.weight, probe.bias, 1e-3)).max() < tolerance + 1e-6


def test_too_few_steps_are_said_not_to_be_enough() -> None:
    probe = fit_probe(*make(), LABELS, ProbeSpec(max_iter=1))
    assert (probe.n_iter, probe.converged) == (1, False)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_words_and_of_neurons_does_not_matter(seed: int) -> None:
    x, y = make()
    random = np.random.default_rng(seed)
    words, neurons = random.permutation(WORDS), random.permutation(NEURONS)
    spec = ProbeSpec(tolerance=1e-5)
    probe, mixed = fit_probe(x, y, LABELS, spec), fit_probe(x[words][:, neurons], y[words], LABELS, spec)
    np.testing.assert_allclose(mixed.weight, probe.weight[neurons], atol=5e-3)
    assert mixed.loss == pytest.approx(probe.loss, abs=1e-5)


def test_the_same_words_give_the_same_bits() -> None:
    first, second = (fit_probe(*make(), LABELS, ProbeSpec()) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)


def test_scale_and_place_of_a_neuron_do_not_matter_once_standardised() -> None:
    x, y = make()
    probe, moved = fit_probe(x, y, LABELS, ProbeSpec()), fit_probe(3 * x - 7, y, LABELS, ProbeSpec())
    np.testing.assert_allclose(moved.weight, probe.weight, atol=5e-3)
    raw = fit_probe(x, y, LABELS, ProbeSpec(standardise=False))
    assert (raw.scale == 1).all()
    assert not np.allclose(raw.weight, probe.weight, atol=0.05)


def test_a_constant_neuron_has_no_weight() -> None:
    x, y = make()
    with_constant = np.column_stack([np.full(WORDS, 0.1, np.float32), x])
    probe, without = fit_probe(with_constant, y, LABELS, ProbeSpec()), fit_probe(x, y, LABELS, ProbeSpec())
    assert (probe.weight[0] == 0).all()
    assert probe.scale[0] == 1
    np.testing.assert_allclose(probe.weight[1:], without.weight, atol=2e-3)


def test_constant_neurons_alone_tell_nothing_but_how_frequent_the_labels_are() -> None:
    x, y = make()
    x[:, 3] = 0.0
    fitter = LayerProbes(x, y, LABELS, ProbeSpec())
    for start in (None, fitter.fit()):
        probe = fitter.fit([3], start=start)
        assert not probe.weight.any()
        assert probe.accuracy(x, y) == np.bincount(y).max() / WORDS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_its_neuron(value: float) -> None:
    x, y = make()
    x[5, 3] = value
    with pytest.raises(InputError, match="neuron 3"):
        fit_probe(x, y, LABELS, ProbeSpec())


@pytest.mark.parametrize("known", [LABELS, LABELS - 1])
def test_a_search_that_begins_near_a_probe_of_other_words_ends_at_the_same_optimum(known: int) -> None:
    x, y = (np.column_stack([np.full(WORDS, 0.1, np.float32), make()[0]]), make()[1])
    other_x, other_y = make(1)
    few = other_y < known  # a probe that lacks a label
    near = fit_probe(np.column_stack([other_x[:, :1], other_x])[few], other_y[few], LABELS, ProbeSpec())
    spec = ProbeSpec(tolerance=1e-5)
    found, alone = fit_probe(x, y, LABELS, spec, near=near), fit_probe(x, y, LABELS, spec)
    np.testing.assert_allclose(found.weight, alone.weight, atol=5e-3)
    assert (found.weight[0] == 0).all()  # a constant neuron, which is none nearby
    assert fit_probe(x, y, LABELS, spec, near=alone).n_iter <= 1


def test_a_label_that_no_training_word_has_is_never_predicted() -> None:
    x, y = make()
    probe = fit_probe(x, y, LABELS + 1, ProbeSpec())
    assert probe.bias[LABELS] == -np.inf
    assert (probe.probabilities(x)[:, LABELS] == 0).all()
    np.testing.assert_allclose(probe.probabilities(x).sum(1), 1, rtol=1e-5)


def test_the_strength_is_the_one_that_does_best_on_dev() -> None:
    x, y = make(0, 60)
    dev, grid = make(0, 2000), (1e-5, 1e-2, 0.3, 30.0)
    chosen = LayerProbes(x, y, LABELS, ProbeSpec(l2_grid=grid), dev).fit()
    accuracy = {l2: fit_probe(x, y, LABELS, ProbeSpec(l2=l2)).accuracy(*dev) for l2 in grid}
    assert accuracy[chosen.l2] == pytest.approx(max(accuracy.values()), abs=0.002)
    assert accuracy[30.0] < accuracy[chosen.l2]
    with pytest.raises(InputError, match="l2_grid"):
        LayerProbes(x, y, LABELS, ProbeSpec(l2_grid=grid))


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(0, NEURONS - 1), min_size=1))
def test_a_probe_on_some_neurons_is_one_of_these_columns_alone(neurons: set[int]) -> None:
    x, y = make()
    spec, chosen = ProbeSpec(tolerance=1e-5), sorted(neurons, reverse=True)
    fitter = LayerProbes(x, y, LABELS, spec)
    subset = fitter.fit(chosen, start=fitter.fit())
    alone = fit_probe(x[:, chosen], y, LABELS, spec)
    # One number added to a neuron's weights for all labels changes no prediction: the penalty alone settles it.
    np.testing.assert_allclose(*(w - w.mean(1, keepdims=True) for w in (subset.weight, alone.weight)), atol=5e-3)
    assert subset.neurons.tolist() == chosen
    assert (subset.predict(x) == alone.predict(x[:, chosen])).mean() > 0.995


@pytest.mark.parametrize(("neurons", "message"), [([], "got 0"), ([1, 1], "twice"), ([NEURONS], "numbered"),
                                                  ([-1], "numbered")])
def test_neurons_that_are_not_there_are_refused(neurons: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LayerProbes(*make(), LABELS, ProbeSpec()).fit(neurons)


def test_relabelled_is_a_probe_for_the_other_labels() -> None:
    x, y = make()
    other = np.roll(y, 1)
    found = LayerProbes(x, y, LABELS, ProbeSpec()).relabelled(other, 0.01).fit()
    direct = fit_probe(x, other, LABELS, ProbeSpec(l2=0.01))
    np.testing.assert_array_equal(found.weight, direct.weight)


@pytest.mark.parametrize("change", [{"l2": -1.0}, {"l1": -1.0}, {"tolerance": 0.0}, {"max_iter": 0}, {"l2": np.nan},
                                    {"l1": np.inf}, {"l2_grid": (0.1, np.nan)}, {"seed": -1}])
def test_settings_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(InputError, match="takes"):
        fit_probe(*make(), LABELS, dataclasses.replace(ProbeSpec(), **change))


def test_words_that_no_probe_can_be_fitted_on_are_refused() -> None:
    x, y = make()
    for bad_x, bad_y, message in [(x, y[:-1], "labels"), (x[0], y, "activations"), (x, np.zeros_like(y), "two or more"),
                                  (x, y + LABELS, "numbered"), (x.astype(int), y, "floats")]:
        with pytest.raises(InputError, match=message):
            fit_probe(bad_x, bad_y, LABELS, ProbeSpec())
