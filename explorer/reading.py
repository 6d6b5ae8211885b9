"""One sentence at a time through a loaded model: its words, its sub-words, and what its classifier makes of it."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from explorer.extract import NONE, _forward, encode, pool
from explorer.models import Checkpoint, load, load_classifier, resolve, tuning
from explorer.specs import InputError


@dataclass(frozen=True)
class Reading:
    """One sentence as a model reads it, in float32."""

    words: np.ndarray  # (layers, words, neurons); zero where a word's fate is not KEPT
    fate: np.ndarray  # (words,) KEPT, DROPPED or CUT
    pieces: tuple[str, ...]  # its sub-words, without special ones
    of_word: np.ndarray  # (sub-words,) the word that each is part of
    states: np.ndarray  # (layers, sub-words, neurons)
    task: tuple[tuple[str, float], ...]  # classes of the checkpoint's task and their probabilities; () without a head
    task_name: str = ""  # as the record of its run, or its config, tells it


@dataclass(frozen=True)
class Reader:
    """A checkpoint with everything loaded that reads a sentence."""

    checkpoint: Checkpoint
    model: Any = field(repr=False)  # transformers' encoder, tokenizer, and model with a head; see models.py
    tokenizer: Any = field(repr=False)
    classifier: Any = field(repr=False)

    @classmethod
    def open(cls, name: str, digest: str) -> Reader:
        """Load the checkpoint of a name; raises InputError where its files are not those that the digest is of."""
        checkpoint = resolve(name)
        if checkpoint.digest != digest:
            raise InputError(f"model {name}: its files in {checkpoint.folder} are not those that the study was made "
                             "with; run the study again")
        model, tokenizer = load(checkpoint)
        model.config.use_cache = False
        return cls(checkpoint, model, tokenizer, load_classifier(checkpoint, model))

    def read(self, words: Sequence[str], pooling: str) -> Reading:
        """Run it over the words of one sentence."""
        with _alone():
            return self._read(words, pooling)

    def _read(self, words: Sequence[str], pooling: str) -> Reading:
        subwords = encode(self.tokenizer, [words] if words else [], self.checkpoint.max_length)
        rows = np.zeros((self.checkpoint.n_layers, len(words), self.checkpoint.width), np.float32)
        if not len(subwords.ids):
            return Reading(rows, subwords.fate, (), subwords.words, rows[:, :0], ())
        inputs, of_word = subwords.batch(np.array([0]), self.tokenizer)
        hidden = _forward(self.model, inputs, self.checkpoint)
        order, pooled = pool(hidden, of_word.ravel(), pooling, "float32")
        rows[:, order] = pooled
        at = np.flatnonzero(of_word.ravel() != NONE)
        pieces = tuple(self.tokenizer.convert_ids_to_tokens(subwords.ids[at].tolist()))
        states = torch.stack([layer[at].float() for layer in hidden]).numpy()
        return Reading(rows, subwords.fate, pieces, of_word.ravel()[at], states, self._task(inputs),
                       self._task_name())

    def _task_name(self) -> str:
        told = getattr(self.classifier.config, "finetuning_task", None) if self.classifier else None
        return str(tuning(self.checkpoint.folder).get("task") or told or "")

    @torch.inference_mode()
    def _task(self, inputs: dict[str, np.ndarray]) -> tuple[tuple[str, float], ...]:
        """Classes and their probabilities, most likely first; of a regression its score."""
        if self.classifier is None:
            return ()
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        logits = self.classifier(**tensors).logits[0].float()
        values = (logits if len(logits) == 1 else logits.softmax(0)).tolist()
        names = self.classifier.config.id2label
        return tuple(sorted(((str(names[i]), value) for i, value in enumerate(values)), key=lambda pair: -pair[1]))


@contextmanager
def _alone() -> Iterator[None]:
    """Compute in one thread: a sentence is too little for two, which on a busy machine wait for one another at every
    step (1.8 s instead of 50 ms)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
