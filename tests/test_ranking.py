"""Rankings by hand, against their definitions and the published rule; test_known_answers.py has the plain cases."""
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from explorer.gaussian import PRIOR, gaussian
from explorer.probes import LayerProbes, fit_probe
from explorer.ranking import (
    Ranking,
    iou,
    k_grid,
    label_means,
    lca,
    of_label,
    overlap,
    places,
    probeless,
    standardised,
)
from explorer.specs import InputError, ProbeSpec
from explorer.wide import WideProbes, gather, scores

WORDS, LABELS = 600, 2


def noise(seed: int = 0, neurons: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(WORDS, neurons)).astype(np.float32), random.integers(LABELS, size=WORDS)


@pytest.mark.parametrize("by", ["information", "likelihood"])
def test_gaussians_find_two_neurons_that_no_line_separates(by: str) -> None:
    x, y = noise()
    x[:, 3] = x[:, 0] * np.where(y == 1, 1, -1)  # their correlation is the label
    ranking = gaussian(standardised(x), y, by=by)
    assert {0, 3} <= set(ranking.order[:3])
    assert ranking.score[[0, 3]].max() > 0.5


def test_the_likelihood_is_that_of_bayes_rule_with_scipys_densities() -> None:
    x, y = noise()
    x[:, 4] += 2 * y
    x[:, 2] = x[:, 4] + x[:, 2] * (1 + y)
    x = standardised(x)
    ranking = gaussian(x, y, n=2, by="likelihood")
    top = ranking.order[:2]
    joint = np.empty((len(x), 2))
    for label in (0, 1):
        mine = x[y == label][:, top].astype(float)
        weight = len(mine) + PRIOR
        spread = (np.cov(mine.T, bias=True) * len(mine) + PRIOR * np.eye(2)) / weight
        joint[:, label] = multivariate_normal(mine.mean(0), spread).logpdf(x[:, top]) + np.log((y == label).mean())
    share = np.bincount(y) / len(y)
    entropy = -(share * np.log(share)).sum()
    reached = (joint[np.arange(len(x)), y] - logsumexp(joint, axis=1)).mean()
    assert ranking.score[top].sum() == pytest.approx(reached + entropy, abs=1e-4)


def test_blocks_of_neurons_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = noise(neurons=9)
    x[:, 7] += y
    whole = gaussian(standardised(x), y, by="likelihood")
    monkeypatch.setattr("explorer.gaussian.BLOCK", 4)
    cut = gaussian(standardised(x), y, by="likelihood")
    np.testing.assert_array_equal(cut.order, whole.order)
    np.testing.assert_allclose(cut.score, whole.score, atol=1e-6)


def test_a_criterion_that_there_is_not() -> None:
    with pytest.raises(InputError, match="information or likelihood"):
        gaussian(*noise(), by="magic")


def test_lca_by_hand() -> None:
    weight = np.array([[6.0, 0.1], [3.0, 0.0], [1.0, 0.9], [0.0, 0.0]])
    ranking = lca(weight)
    np.testing.assert_allclose(ranking.score, [0.0, 0.6, 0.0, 1.0])
    assert ranking.order.tolist() == [2, 0, 1, 3]  # both top a label; 2 has the larger share of its label's mass
    assert lca(-weight).order.tolist() == ranking.order.tolist()
    assert lca(weight * [5, 1]).order.tolist() == ranking.order.tolist()


def test_lca_keeps_every_labels_best_neuron_within_as_many_as_there_are_labels() -> None:
    weight = np.random.default_rng(0).normal(size=(200, 12))
    assert set(np.abs(weight).argmax(0)) == set(lca(weight).top(len(set(np.abs(weight).argmax(0)))))


def published(weight: np.ndarray, share: float) -> set[int]:
    """The rule as its authors released it: for each label, neurons by falling |weight| up to the first whose
    cumulative mass reaches the share; the union over labels."""
    found: set[int] = set()
    for column in np.abs(weight).T:
        order = np.argsort(column)[::-1]
        reached = np.flatnonzero(np.cumsum(column[order]) >= column.sum() * share)
        found |= set(order[:reached[0] + 1 if len(reached) else None].tolist())
    return found


@pytest.mark.parametrize(("neurons", "labels"), [(30, 3), (384, 17), (100, 60)])
def test_the_top_sets_are_those_of_the_published_rule(neurons: int, labels: int) -> None:
    weight = np.random.default_rng(neurons).normal(size=(neurons, labels)) ** 3
    ranking = lca(weight)
    for percent in range(1, 100):
        wanted = published(weight, percent / 100)
        assert set(np.flatnonzero(ranking.score < percent / 100)) == wanted
        assert set(ranking.top(len(wanted))) == wanted


def test_one_label() -> None:
    weight = np.array([[1.0, -3.0], [2.0, 0.0], [-5.0, 1.0]])
    assert of_label(weight, 0).order.tolist() == [2, 1, 0]
    assert of_label(weight, 1).order.tolist() == [0, 2, 1]
    np.testing.assert_allclose(of_label(weight, 1).score, [0.75, 0.0, 0.25])
    with pytest.raises(InputError, match="label 2"):
        of_label(weight, 2)


def test_probeless_is_the_sum_over_pairs_of_labels() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(90, 5)).astype(np.float32), np.arange(90) % 4
    means = [x[y == label].mean(0) for label in range(4)]
    wanted = sum(np.abs(one - other) for i, one in enumerate(means) for other in means[:i])
    np.testing.assert_allclose(probeless(x, y).score, wanted, rtol=1e-5)
    twice = np.concatenate([x, x[:10]]), np.concatenate([y, y[:10]])
    counts = np.ones(90)
    counts[:10] = 2
    np.testing.assert_allclose(probeless(x, y, counts).score, probeless(*twice).score, rtol=1e-5)
    assert label_means(x, y, np.where(y == 3, 0, 1)).shape == (3, 5)


def test_a_neuron_that_fires_on_a_label_alone_has_an_iou_of_one() -> None:
    x, y = noise()
    x[:, 2] = -y
    assert iou(x, y).score[2] == 1.0


def test_places_and_overlap() -> None:
    ranking = Ranking(np.array([2, 0, 1]), np.array([0.1, 0.5, 0.0]))
    assert places(ranking.order).tolist() == [2, 3, 1]
    assert overlap(ranking.order, np.array([2, 1, 0]), 1) == 1.0
    assert overlap(ranking.order, np.array([2, 1, 0]), 2) == 0.5


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_width(k: int) -> None:
    with pytest.raises(InputError, match="1 to 3 neurons"):
        Ranking(np.arange(3), np.zeros(3)).top(k)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite(value: float) -> None:
    x, y = noise()
    x[5, 3] = value
    layers = [x[:, :2], x[:, 2:4]]
    for ranked in (probeless, iou, gaussian, lambda x, y: WideProbes(layers, np.arange(WORDS), y, 2, ProbeSpec())):
        with pytest.raises(InputError, match="activations"):
            ranked(x, y)
    with pytest.raises(InputError, match="finite"):
        lca(np.array([[value, 1.0]]))


def test_the_grid_rises_from_one_to_the_width() -> None:
    for width in (1, 5, 384, 768):
        grid = k_grid(width)
        assert grid[0] == 1
        assert grid[-1] == width
        assert sorted(set(grid)) == list(grid)
        assert len(grid) == min(24, width)


def test_a_probe_on_all_layers_is_the_probe_on_their_neurons_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.wide.BLOCK", 12 * 100)  # six blocks
    x, y = noise(neurons=12)
    x[:, 1] += y
    x[:, 5] = 3.0
    x[:, 9] += 2 * y
    layers = [x[:, :6].astype(np.float16), x[:, 6:].astype(np.float16)]
    rows = np.arange(0, WORDS, 2)
    spec = ProbeSpec(tolerance=1e-6)
    beside = gather(layers, rows)
    wanted = fit_probe(beside, y[rows], LABELS, spec)
    found = WideProbes(layers, rows, y[rows], LABELS, spec).fit()
    np.testing.assert_allclose(found.weight, wanted.weight, atol=1e-3)
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-5)
    np.testing.assert_allclose(scores(found, layers, rows), wanted.logits(beside), atol=1e-2)
    assert found.weight[5].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(gather(layers, rows, np.array([9, 1])), beside[:, [9, 1]])


@pytest.mark.parametrize("change", [{"standardise": False}, {"drop_outliers": True}])
def test_a_probe_on_all_layers_heeds_the_settings_of_a_study(change: dict) -> None:
    x, y = noise(neurons=64)
    x[:, 1] += y
    x[:, 2] = 5 * x[:, 2] + 100  # far out in its layer, though not beside a wider one
    spec = ProbeSpec(tolerance=1e-6, **change)
    wanted = fit_probe(x, y, LABELS, spec)
    found = WideProbes([x, 1000 * noise(seed=1, neurons=64)[0]], np.arange(WORDS), y, LABELS, spec)
    np.testing.assert_array_equal(np.isinf(found._scale[:64]), LayerProbes(x, y, LABELS, spec).outliers
                                  & spec.drop_outliers)
    alone = WideProbes([x], np.arange(WORDS), y, LABELS, spec).fit()
    np.testing.assert_allclose(alone.weight, wanted.weight, atol=1e-3)
    np.testing.assert_allclose(alone.scale, wanted.scale, rtol=1e-5)


def test_counts_stand_for_repeated_words() -> None:
    x, y = noise()
    x[:, 2] += y
    counts = np.random.default_rng(1).integers(3, size=WORDS)
    spec = ProbeSpec(tolerance=1e-6)
    fitter = WideProbes([x], np.arange(WORDS), y, LABELS, spec)
    whole = fitter.fit()
    found, again = fitter.fit(counts), fitter.fit(counts, start=whole)
    np.testing.assert_allclose(found.weight, again.weight, atol=1e-3)
    repeated = np.repeat(np.arange(WORDS), counts)
    logits = found.logits(x[repeated])
    gradient = standardised_as(found, x[repeated]).T @ (softmax(logits) - np.eye(LABELS)[y[repeated]]) / len(repeated)
    np.testing.assert_allclose(gradient, -spec.l2 * found.weight, atol=1e-5)


def standardised_as(probe, x: np.ndarray) -> np.ndarray:
    return (x - probe.mean) / probe.scale


def softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max(1, keepdims=True))
    return exp / exp.sum(1, keepdims=True)
