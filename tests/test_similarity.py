"""How alike neurons and layers of two checkpoints are: right answers in plain cases."""
import numpy as np
import pytest

from explorer.neurons.similarity import cka, correlations
from explorer.specs import InputError


def test_correlations_of_neurons_that_stay_turn_and_stand_still() -> None:
    x = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    after = np.stack([3 * x[:, 0] + 1, -x[:, 1], x[::-1, 2], np.full(500, 2.0)], axis=1).astype(np.float32)
    found = correlations(x, after)
    np.testing.assert_allclose(found[:2], [1.0, -1.0], atol=1e-5)
    assert abs(found[2]) < 0.2
    assert np.isnan(found[3])


def test_cka_sees_through_rotations_and_scales_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 6)).astype(np.float32)
    turn = np.linalg.qr(random.normal(size=(6, 6)))[0].astype(np.float32)
    assert cka(x, 4 * x @ turn + 1) == pytest.approx(1.0, abs=1e-4)
    assert cka(x, random.normal(size=(2000, 6)).astype(np.float32)) < 0.02
    assert np.isnan(cka(x, np.ones_like(x)))


@pytest.mark.parametrize("measure", [correlations, cka])
def test_checkpoints_that_cannot_be_compared(measure) -> None:
    x = np.zeros((10, 4), np.float32)
    with pytest.raises(InputError, match="width"):
        measure(x, x[:, :3])
    x[2, 1] = np.nan
    with pytest.raises(InputError, match="neuron 1"):
        measure(x, x)
