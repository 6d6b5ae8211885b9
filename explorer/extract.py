"""Extraction: batched forward passes, sub-words pooled to words, layers streamed to the store."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from explorer.activations import CUT, DROPPED, KEPT, Activations
from explorer.files import remove
from explorer.models import Checkpoint, load
from explorer.specs import ActivationSpec, InputError, Progress, Spec, digest, silent
from explorer.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from explorer.corpus import Split

POOLINGS = ("last", "first", "mean")
LARGEST = {"float16": 65504.0, "float32": float(np.finfo(np.float32).max)}
BUDGET = {"cpu": 1024, "cuda": 16384}  # sub-words of a batch, padding included; 512 to 2048 are as fast on 2 cores
CHUNK = 256  # sentences that are cut into sub-words at once
NONE = -1  # the word of special sub-words and padding


@dataclass(frozen=True)
class TooLarge(Spec):
    """Key of a note in the store: some of these activations are beyond what their dtype can hold."""

    activations: ActivationSpec


class Overflow(Exception):
    """An activation is beyond what the dtype that it is to be stored in can hold."""


def extract(
    checkpoint: Checkpoint, split: Split, store: Store, pooling: str = "last", dtype: str = "float16",
    device: str | None = None, on_progress: Progress = silent,
) -> Activations:
    """Activations of every word of a split on every layer: from the store, or computed and put there.

    Computed in float32 on a CPU and under bfloat16 autocast on a GPU, which is taken when there is one. Peak memory
    is that of the model, a batch, and 9 bytes for every sub-word. A run that was killed goes on where it stopped;
    of two processes that want the same, one waits. Words that the tokenizer drops, and those cut off by the model's
    maximum length, have no activation: see Activations.fate. Where float16 is asked for and cannot hold a value
    (beyond 65,504), all are stored as float32, which the result's spec tells. Raises InputError for a pooling,
    dtype or device that there is not, a model that cannot be used, activations that are not finite, a full disk.
    """
    place = _device(device)
    spec = _spec(checkpoint, split, pooling, dtype, place)
    if dtype == "float16" and store.table(TooLarge(spec)) is not None:
        return extract(checkpoint, split, store, pooling, "float32", device, on_progress)
    if (found := store.activations(spec)) is not None:
        return found
    with store.lock(spec.key(), lambda: on_progress(0, 1, "waiting for another process at the same activations")):
        found = store.activations(spec)
        try:
            return found or _compute(checkpoint, split, store, spec, place, on_progress)
        except Overflow as error:
            what = f"note: {checkpoint.name}, {split.name}: {error}"
            store.put_table(TooLarge(spec), pd.DataFrame({"what": [what]}), {"what": what})
    return extract(checkpoint, split, store, pooling, "float32", device, on_progress)


@dataclass(frozen=True)
class SubWords:
    """A split as a model takes it, one sentence after another."""

    ids: np.ndarray  # (sub-words,) int32
    segments: np.ndarray  # (sub-words,) int8
    words: np.ndarray  # (sub-words,) int32: which word of the split, or NONE
    ends: np.ndarray  # (sentences,) where a sentence ends
    fate: np.ndarray  # (words,) KEPT, DROPPED or CUT

    @property
    def lengths(self) -> np.ndarray:
        """(sentences,) sub-words of each, special ones included."""
        return np.diff(self.ends, prepend=0)

    def batch(self, sentences: np.ndarray, tokenizer: PreTrainedTokenizerBase
              ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The model's inputs, and the word of each sub-word; all (sentences, longest), padded on the right.

        On the right whatever the tokenizer does: then absolute positions are those of the sentence alone, and
        models with relative positions or a causal mask do not care.
        """
        lengths = self.lengths[sentences]
        inside = np.arange(lengths.max()) < lengths[:, None]  # (sentences, longest)
        source = np.concatenate([np.arange(end - n, end) for end, n in zip(self.ends[sentences], lengths, strict=True)])

        def padded(values: np.ndarray, filling: int) -> np.ndarray:
            out = np.full(inside.shape, filling, np.int64)
            out[inside] = values[source]
            return out

        inputs = {"input_ids": padded(self.ids, tokenizer.pad_token_id or 0),
                  "attention_mask": inside.astype(np.int64)}
        if "token_type_ids" in tokenizer.model_input_names:
            inputs["token_type_ids"] = padded(self.segments, 0)
        return inputs, padded(self.words, NONE)


def encode(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]], max_length: int) -> SubWords:
    """Cut pre-split words into sub-words, so many a sentence at most, and note what became of each word."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_length)
    # byte-level tokenizers know the start of a word by the space before it
    space = " " if "ByteLevel" in repr(backend.pre_tokenizer) else ""
    plain = {"", *tokenizer.get_added_vocab()}
    fate = np.full(sum(map(len, sentences)), DROPPED, np.uint8)
    ids, segments, words, lengths, first = [], [], [], [], 0
    for start in range(0, len(sentences), CHUNK):
        chunk = sentences[start:start + CHUNK]
        texts = [[word if word in plain else space + word.removeprefix(space) for word in line] for line in chunk]
        for sentence, encoding in zip(chunk, backend.encode_batch(texts, is_pretokenized=True), strict=True):
            word = _words(encoding.word_ids, first)
            cut = [_words(rest.word_ids, first) for rest in encoding.overflowing]
            fate[word[word != NONE]] = KEPT
            for rest in cut:
                fate[rest[rest != NONE]] = CUT
            word[(word != NONE) & (fate[word] == CUT)] = NONE  # it lies across the end
            n = len(word) if (word != NONE).any() else 0  # where no word is left, there is nothing to compute
            ids.append(np.array(encoding.ids[:n], np.int32))
            segments.append(np.array(encoding.type_ids[:n], np.int8))
            words.append(word[:n])
            lengths.append(n)
            first += len(sentence)
    return SubWords(_joined(ids, np.int32), _joined(segments, np.int8), _joined(words, np.int32),
                    np.cumsum(lengths), fate)


def plan(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Sentences of each batch, the longest first: what memory it takes shows at once."""
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    batches = []
    while len(order):
        size = max(1, budget // lengths[order[0]])
        batches.append(order[:size])
        order = order[size:]
    return batches


def pool(hidden: Sequence[Tensor], words: np.ndarray, pooling: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Words in the split's order, and their activations (layers, words, neurons) in the dtype.

    hidden has (sub-words, neurons) for each layer; words is (sub-words,), NONE where there is none, the sub-words of
    a word side by side. Raises Overflow for what the dtype cannot hold, InputError for what is no number.
    """
    at = np.flatnonzero(words != NONE)
    order, first, inverse, count = np.unique(words[at], return_index=True, return_inverse=True, return_counts=True)
    last = first + count - 1
    part, whole, parts, chosen = (torch.from_numpy(x).to(hidden[0].device)
                                  for x in (at, inverse, count, at[first if pooling == "first" else last]))
    rows = torch.empty(len(hidden), len(order), hidden[0].shape[1], dtype=getattr(torch, dtype))
    for layer, states in enumerate(hidden):
        if pooling == "mean":
            empty = torch.zeros(rows.shape[1:], device=states.device)
            pooled = empty.index_add_(0, whole, states[part].float()) / parts[:, None]
        else:
            pooled = states[chosen].float()
        _check(pooled, layer, dtype)
        rows[layer] = pooled
    return order, rows.numpy()


def _compute(checkpoint: Checkpoint, split: Split, store: Store, spec: ActivationSpec, device: torch.device,
             on_progress: Progress) -> Activations:
    """Run the model over the split, batch by batch, into the store; raises Overflow, leaving nothing there."""
    on_progress(0, 1, "loading the model")
    model, tokenizer = load(checkpoint)
    torch.nn.Module.to(model, device)
    model.config.use_cache = False
    subwords = encode(tokenizer, split.sentences, checkpoint.max_length)
    batches = plan(subwords.lengths, BUDGET["cuda" if device.type == "cuda" else "cpu"])
    done = np.cumsum([0, *(subwords.lengths[batch].sum() for batch in batches)]).tolist()
    shape = (checkpoint.n_layers, split.n_words, checkpoint.width)
    with store.writer(spec, shape, digest([batch.tolist() for batch in batches])) as writer:
        for step in range(writer.done, len(batches)):
            on_progress(done[step], done[-1], f"batch {step + 1} of {len(batches)}")
            inputs, words = subwords.batch(batches[step], tokenizer)
            hidden = _forward(model, inputs, checkpoint)
            try:
                order, rows = pool(hidden, words.ravel(), spec.pooling, spec.dtype)
            except Overflow:
                remove(writer.folder)
                raise
            for run in np.split(np.arange(len(order)), np.flatnonzero(np.diff(order) != 1) + 1):
                writer.write(int(order[run[0]]), rows[:, run[0]:run[-1] + 1])
            writer.record(step + 1)
        writer.finish(subwords.fate, f"{checkpoint.name}: {split.name}, {split.n_words} words, {spec.pooling} sub-word")
    found = store.activations(spec)
    if found is None:
        raise InputError(f"{store.root}: what was just written there reads otherwise; the disk may be damaged")
    return found


@torch.inference_mode()
def _forward(model: PreTrainedModel, inputs: dict[str, np.ndarray], checkpoint: Checkpoint) -> list[Tensor]:
    """Hidden states of every layer (sub-words, neurons), padding included."""
    device = model.device
    tensors = {name: torch.from_numpy(values).to(device) for name, values in inputs.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        hidden = model(**tensors, output_hidden_states=True, return_dict=True).hidden_states or ()
    if {tuple(h.shape[2:]) for h in hidden} != {(checkpoint.width,)} or len(hidden) != checkpoint.n_layers:
        found = ", ".join(str(h.shape[-1]) for h in hidden) or "none"
        raise InputError(f"model {checkpoint.name}: its hidden states have widths {found}; takes a model with "
                         f"{checkpoint.n_layers} of {checkpoint.width}, as its config.json says")
    return [h.flatten(0, 1) for h in hidden]


def _check(activations: Tensor, layer: int, dtype: str) -> None:
    low, high = (value.item() for value in torch.aminmax(activations))
    if not math.isfinite(low + high):
        raise InputError(f"activations: those of layer {layer} are not all finite; the model's weights are damaged, or "
                         "made for another architecture")
    largest = max(-low, high)
    if largest > LARGEST[dtype]:
        raise Overflow(f"layer {layer} has activations of {largest:,.0f}, {dtype} holds {LARGEST[dtype]:,.0f}")


def _words(word_ids: Sequence[int | None], first: int) -> np.ndarray:
    return np.array([NONE if word is None else first + word for word in word_ids], np.int32)


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *arrays])


def _spec(checkpoint: Checkpoint, split: Split, pooling: str, dtype: str, device: torch.device) -> ActivationSpec:
    for name, got, takes in (("pooling", pooling, POOLINGS), ("dtype", dtype, tuple(LARGEST))):
        if got not in takes:
            raise InputError(f"{name}: got {got!r}; takes {', '.join(takes[:-1])} or {takes[-1]}")
    compute = "bfloat16" if device.type == "cuda" else "float32"
    return ActivationSpec(checkpoint.digest, split.words_digest(), pooling, dtype, compute)


def _device(name: str | None) -> torch.device:
    """The device of that name; by default a GPU where there is one."""
    there = torch.cuda.is_available()
    try:
        device = torch.device(name or ("cuda" if there else "cpu"))
    except RuntimeError:
        device = None
    if device is None or device.type not in BUDGET or (device.type == "cuda" and not there):
        raise InputError(f"device: got {name!r}; takes cpu{' or cuda' if there else ', as there is no GPU'}")
    return device
