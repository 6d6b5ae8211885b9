"""What the models learn from: masked words, or words in permuted order."""
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from transformers import PreTrainedModel, PreTrainedTokenizerFast

PERMUTED = 0.2  # share of a window's sub-words that is predicted, in permuted order
# Shares that are predicted: behind a mask, behind another sub-word, and as they are. Devlin et al. have 12, 1.5 and
# 1.5 %: so small a model then forgets in its upper layers the words that it sees (`upos` on EWT after 60 M sub-words:
# last layer 75 %, embeddings 81.5). As many behind others as behind masks makes learning slow.
MASKED, SWAPPED, KEPT = 0.16, 0.02, 0.12


@dataclass(frozen=True)
class Masked:
    """Masked language modelling (Devlin et al. 2019), masks drawn anew each time (Liu et al. 2019)."""

    tokenizer: PreTrainedTokenizerFast

    def windows(self, pieces: np.ndarray) -> Tensor:
        """Sub-words (windows, length) between the special ones that begin and end a sentence."""
        return _framed(pieces, [self.tokenizer.cls_token_id], [self.tokenizer.sep_token_id])

    def batch(self, pieces: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Input (windows, length), which of it is predicted (same shape), and what it was (predicted,)."""
        inputs = self.windows(pieces)
        fate = torch.from_numpy(rng.random(inputs.shape))
        fate[_special(inputs, self.tokenizer)] = 1.0
        chosen = fate < MASKED + SWAPPED + KEPT
        targets = inputs[chosen]
        inputs[fate < MASKED] = self.tokenizer.mask_token_id
        swapped = (fate >= MASKED) & (fate < MASKED + SWAPPED)
        ordinary = _ordinary(self.tokenizer)
        inputs[swapped] = ordinary[torch.from_numpy(rng.integers(0, len(ordinary), int(swapped.sum())))]
        return inputs, chosen, targets

    def loss(self, model: PreTrainedModel, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean cross-entropy in nats; the head sees the predicted words alone, which saves most of its time."""
        inputs, chosen, targets = batch
        encoder: Any = model.base_model
        head: Any = model.cls if hasattr(model, "cls") else model.lm_head
        return cross_entropy(head(encoder(inputs).last_hidden_state[chosen]), targets)


@dataclass(frozen=True)
class Permuted:
    """Permutation language modelling with partial prediction (Yang et al. 2019)."""

    tokenizer: PreTrainedTokenizerFast

    def windows(self, pieces: np.ndarray) -> Tensor:
        """Sub-words (windows, length) and the special ones that end a text."""
        return _framed(pieces, [], [self.tokenizer.sep_token_id, self.tokenizer.cls_token_id])

    def batch(self, pieces: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input (windows, length), permutation mask (windows, length, length; 1: row may not see column), target
        mapping (windows, predicted, length) and targets (windows, predicted).

        Separators inside a window may be predicted, its last two sub-words never.
        """
        inputs = self.windows(pieces)
        n, length = inputs.shape
        order = rng.permuted(np.tile(np.arange(length - 2), (n, 1)), axis=1)[:, :round(PERMUTED * length)]
        chosen = torch.from_numpy(order)  # positions in the order of prediction, after all others
        turn = torch.full((n, length), -1).scatter_(1, chosen, torch.arange(chosen.shape[1]).expand(n, -1))
        hidden = (turn[:, :, None] <= turn[:, None, :]) & (turn[:, None, :] >= 0)
        return inputs, hidden.float(), one_hot(chosen, length).float(), inputs.gather(1, chosen)

    def loss(self, model: PreTrainedModel, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean cross-entropy in nats of the query stream's predictions."""
        inputs, hidden, mapping, targets = batch
        segments = torch.zeros_like(inputs)
        segments[:, -1] = 2  # <cls> is a segment of its own
        encoder: Any = model.base_model
        head: Any = model.lm_loss
        output = encoder(inputs, perm_mask=hidden, target_mapping=mapping, token_type_ids=segments, use_mems=False)
        return cross_entropy(head(output.last_hidden_state).flatten(0, 1), targets.flatten())


def _framed(pieces: np.ndarray, before: list[int], after: list[int]) -> Tensor:
    n = len(pieces)
    parts = [np.tile(before, (n, 1)), pieces, np.tile(after, (n, 1))]
    return torch.from_numpy(np.concatenate([part.astype(np.int64) for part in parts], axis=1))


def _special(inputs: Tensor, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    return torch.isin(inputs, torch.tensor(tokenizer.all_special_ids))


def _ordinary(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    everything = torch.arange(len(tokenizer))
    return everything[~torch.isin(everything, torch.tensor(tokenizer.all_special_ids))]
