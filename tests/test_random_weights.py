"""Random weights as a baseline: what they depend on, and that they are used like any checkpoint."""
from pathlib import Path

import pytest
import torch

from explorer.models import check_pair, load, resolve
from explorer.specs import InputError
from tests.tiny import build


@pytest.mark.parametrize("family", ["bert", "roberta", "xlnet"])
def test_the_seed_decides_the_weights_and_nothing_else_does(tmp_path: Path, family: str) -> None:
    names = [f"random:{build(tmp_path / str(seed), family, seed=seed)}" for seed in (0, 1)]
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    models = [load(resolve(name))[0].state_dict() for name in (*names, names[0] + "@1")]
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [max(model.items(), key=lambda item: item[1].numel())[1] for model in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert resolve(names[0]).digest == resolve(names[1]).digest == resolve(names[0] + "@0").digest
    assert resolve(names[0] + "@1").digest != resolve(names[0]).digest


def test_it_pairs_with_its_model_and_not_with_others(tmp_path: Path) -> None:
    base, wide = build(tmp_path / "base", "bert"), build(tmp_path / "wide", "bert", width=32)
    check_pair(resolve(str(base)), resolve(f"random:{base}@3"))
    with pytest.raises(InputError, match="32"):
        check_pair(resolve(str(base)), resolve(f"random:{wide}"))


def test_of_what_is_not_there_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        resolve(f"random:{tmp_path}/absent")
