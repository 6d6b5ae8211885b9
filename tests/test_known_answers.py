"""Every ranking on data of which one knows which neurons carry the label: in one layer, and spread over three."""
import numpy as np
import pytest

from explorer.neurons.parts import LIKELIHOOD, Words, rank
from explorer.neurons.parts import METHODS as OTHERS
from explorer.ranking import Ranking, lca, of_label, places, shuffled
from explorer.specs import ProbeSpec
from explorer.wide import WideProbes

WORDS, LABELS, NEURONS = 600, 2, 6
ONE_LABEL = "lca of a label"
METHODS = (*OTHERS, LIKELIHOOD, ONE_LABEL)
BY_WEIGHT, BY_ITSELF, GREEDY = ("lca", ONE_LABEL, "l1"), ("probeless", "iou"), ("gaussian", LIKELIHOOD)

layers = pytest.mark.parametrize("layers", [1, 3])


def noise(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(WORDS, NEURONS)).astype(np.float32), random.integers(LABELS, size=WORDS)


def ranked(method: str, x: np.ndarray, y: np.ndarray, layers: int) -> Ranking:
    """x's neurons, shared out among so many layers, ranked by the code that the study runs."""
    train = Words(np.split(x, layers, axis=1), np.arange(WORDS), y, np.arange(WORDS) // 5)
    if method not in ("lca", ONE_LABEL):
        return rank(method, train, np.ones(WORDS, np.int64), LABELS, ProbeSpec())
    weight = WideProbes(train.layers, train.rows, y, LABELS, ProbeSpec()).fit().weight
    return lca(weight) if method == "lca" else of_label(weight, 1)


@layers
@pytest.mark.parametrize("method", METHODS)
def test_the_neuron_that_carries_the_label_is_first(method: str, layers: int) -> None:
    x, y = noise()
    x[:, 4] = y + 0.1 * x[:, 4]
    assert ranked(method, x, y, layers).order[0] == 4


@layers
@pytest.mark.parametrize("method", METHODS)
def test_constant_neurons_are_last_the_lower_index_first(method: str, layers: int) -> None:
    x, y = noise()
    x[:, 1], x[:, 4] = 7.0, 0.0
    assert ranked(method, x, y, layers).order[-2:].tolist() == [1, 4]


def together() -> tuple[np.ndarray, np.ndarray]:
    """Neuron 5 by itself says nothing of the label, 2 little, both all."""
    x, y = noise()
    x[:, 2] = 3 * x[:, 5] + 2 * y
    return x, y


@layers
@pytest.mark.parametrize("method", [*BY_WEIGHT, *GREEDY])
def test_two_neurons_that_carry_the_label_only_together_are_first(method: str, layers: int) -> None:
    assert set(ranked(method, *together(), layers).order[:2]) == {2, 5}


@layers
@pytest.mark.parametrize("method", BY_ITSELF)
def test_methods_that_look_at_one_neuron_at_a_time_do_not_see_a_pair(method: str, layers: int) -> None:
    x, y = together()
    ranking = ranked(method, x, y, layers)
    assert ranking.order[0] == 2
    x[:, 2] = 0.0
    assert ranking.score[5] == ranked(method, x, y, layers).score[5]


def twins() -> tuple[np.ndarray, np.ndarray]:
    x, y = noise()
    x[:, 4] = y + 0.5 * x[:, 4]
    x[:, 1] = x[:, 4]
    return x, y


@layers
@pytest.mark.parametrize("method", [*BY_WEIGHT, *BY_ITSELF])
def test_a_duplicate_stands_beside_its_twin(method: str, layers: int) -> None:
    order = ranked(method, *twins(), layers).order.tolist()
    assert set(order[:2]) == {1, 4}
    if method in BY_ITSELF:  # a probe's weights for twins agree to rounding alone
        assert order[:2] == [1, 4]


@layers
@pytest.mark.parametrize("method", GREEDY)
def test_a_duplicate_adds_nothing_to_its_twin(method: str, layers: int) -> None:
    ranking = ranked(method, *twins(), layers)
    assert (ranking.order[0], ranking.order[-1]) == (1, 4)
    assert ranking.score[4] < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_layers_side_by_side_rank_as_one_layer_and_the_same_every_time(method: str) -> None:
    x, y = noise(3)
    one, other, again = (ranked(method, x, y, layers) for layers in (1, 3, 3))
    assert sorted(one.order) == list(range(NEURONS))
    np.testing.assert_array_equal(one.order, other.order)
    np.testing.assert_allclose(one.score, other.score, atol=1e-5)
    np.testing.assert_array_equal(other.score, again.score)


def test_controls_see_no_data() -> None:
    one, same, other = (shuffled(50, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert sorted(one.order) == list(range(50))
    assert one.order.tolist() == same.order.tolist() != other.order.tolist()
    np.testing.assert_array_equal(places(one.order[::-1]), 51 - places(one.order))  # reversed: the last are the first
