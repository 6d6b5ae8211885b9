"""Which part of a model a run leaves as it is, and which it begins anew."""
import re
from typing import Any

import torch
from torch import nn

from explorer.specs import InputError

EMBEDDINGS = re.compile(r"emb|^wte\.|^wpe\.")  # in the names of an encoder's parameters


def prepare(model: Any, freeze: int | None, reinitialise: int) -> None:
    """Freeze a PreTrainedModel's embeddings and lowest blocks, None for nothing; begin its highest blocks anew.

    New weights are drawn as the model's family draws them, from torch's generator. Raises InputError where blocks share
    their weights (ALBERT).
    """
    if freeze is None and not reinitialise:
        return
    found = blocks(model)
    with torch.no_grad():
        for block in found[len(found) - reinitialise:]:
            for parameter in block.parameters():
                parameter._is_hf_initialized = False  # type: ignore[attr-defined]  # else transformers lets it be
            block.apply(model._init_weights)
    if freeze is not None:
        within = {id(parameter) for parameter in found.parameters()}
        kept = [parameter for name, parameter in model.base_model.named_parameters()
                if id(parameter) not in within and EMBEDDINGS.search(name)]
        for parameter in (*kept, *(p for block in found[:freeze] for p in block.parameters())):
            parameter.requires_grad_(False)


def blocks(model: Any) -> nn.ModuleList:
    """The encoder's blocks, the lowest first."""
    n, shared = model.config.num_hidden_layers, hasattr(model.config, "num_hidden_groups")
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n and not shared:
            return module
    raise InputError(f"freeze, reinitialise: this model's blocks ({model.config.model_type}) share their weights; "
                     "takes a model whose blocks have weights of their own")
