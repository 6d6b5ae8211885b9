"""Freezing and re-initialisation: what stays does, what does not is new, for every family."""
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from explorer.freezing import blocks, prepare
from explorer.specs import InputError
from tests.tiny import build


def model(tmp_path: Path, family: str) -> torch.nn.Module:
    return AutoModelForSequenceClassification.from_pretrained(build(tmp_path / family, family))


@pytest.mark.parametrize("family", ["bert", "roberta", "xlnet", "distilbert", "electra", "deberta-v2", "gpt2"])
def test_the_lower_stay_and_the_upper_are_new(tmp_path: Path, family: str) -> None:
    found = model(tmp_path, family)
    before = {name: parameter.clone() for name, parameter in found.named_parameters()}
    torch.manual_seed(0)
    prepare(found, freeze=1, reinitialise=1)
    lower, upper = blocks(found)
    assert not any(parameter.requires_grad for parameter in lower.parameters())
    assert all(parameter.requires_grad for parameter in upper.parameters())
    assert not found.get_input_embeddings().weight.requires_grad
    head = [p for name, p in found.named_parameters() if not name.startswith(found.base_model_prefix)]
    assert head
    assert all(parameter.requires_grad for parameter in head)
    within = {id(parameter) for parameter in upper.parameters()}
    changed = {name for name, parameter in found.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed
    assert all(id(parameter) in within for name, parameter in found.named_parameters() if name in changed)
    matrices = {name for name, p in found.named_parameters() if id(p) in within and p.ndim > 1}
    assert matrices <= changed


def test_embeddings_alone(tmp_path: Path) -> None:
    found = model(tmp_path, "bert")
    prepare(found, freeze=0, reinitialise=0)
    frozen = {name for name, parameter in found.named_parameters() if not parameter.requires_grad}
    assert frozen
    assert all(name.startswith("bert.embeddings.") for name in frozen)


def test_nothing_asked_nothing_done(tmp_path: Path) -> None:
    found = model(tmp_path, "albert")
    prepare(found, None, 0)
    assert all(parameter.requires_grad for parameter in found.parameters())


def test_blocks_that_share_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="share their weights"):
        prepare(model(tmp_path, "albert"), 0, 0)
