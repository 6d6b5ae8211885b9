"""One sentence, typed or from the corpus, as the neurons and the probes of both checkpoints see it.

Needs no torch: what the models make of the sentence comes in as arrays.
"""
from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from explorer.probe import Probe

MOST = 200  # words of a sentence that are looked at
LONGEST = 40  # characters of a word that are shown
RIGHT, WRONG, UNKNOWN = "right", "wrong", "gold not known"
PUNCTUATION = "()[]{}<>\"'“”\u2018\u2019«»¿¡.,;:!?…"
UNIT = 8.4  # pixels of a character, about
PADDING = 14  # pixels of a box, beside its text


def split_words(text: str) -> list[str]:
    """Words of a text: what stands between spaces, its leading and trailing punctuation as words of their own."""
    words: list[str] = []
    for chunk in text.split():
        core = chunk.strip(PUNCTUATION)
        if not core:
            words += chunk
            continue
        before, _, after = chunk.partition(core)
        words += [*before, core, *after]
    return words


def predictions(x: np.ndarray, kept: np.ndarray, probes: Sequence[Probe], labels: Sequence[str],
                gold: Sequence[str] | None) -> pd.DataFrame:
    """What the probe of every layer says of every word that has activations, x (layers, words, neurons).

    Columns position (of the word), layer, predicted, confidence, gold ('' where not known) and verdict.
    """
    chances = np.stack([probe.probabilities(x[layer, kept]) for layer, probe in enumerate(probes)])
    positions = np.flatnonzero(kept)
    frame = pd.DataFrame({"position": np.tile(positions, len(probes)),
                          "layer": np.repeat(range(len(probes)), len(positions)),
                          "predicted": np.array(labels, object)[chances.argmax(2).ravel()],
                          "confidence": chances.max(2).ravel().astype(float)})
    if gold is None:
        return frame.assign(gold="", verdict=UNKNOWN)
    truth = np.array(gold, object)[frame.position]
    return frame.assign(gold=truth, verdict=np.where(frame.predicted == truth, RIGHT, WRONG))


def of_neuron(x: np.ndarray, probe: Probe, index: int) -> np.ndarray:
    """(words,) one neuron of x (words, neurons), in standard deviations from its mean over the training words."""
    at = np.flatnonzero(probe.neurons == index)[0]
    return (x[:, index] - probe.mean[at]) / probe.scale[at]


def of_set(x: np.ndarray, probe: Probe, label: int | None) -> np.ndarray:
    """(words,) a top-k set of x (words, neurons): what its probe says for a label, against the mean of all labels.

    Without a label, the mean of the set's standardised activations.
    """
    if label is not None:
        scores = probe.logits(x)
        finite = np.isfinite(probe.bias)
        return scores[:, label] - scores[:, finite].mean(1)
    z = (np.take(x, probe.neurons, axis=1) - probe.mean) / probe.scale
    return z.mean(1)


def flow(words: Sequence[str], width: float) -> pd.DataFrame:
    """Boxes for words set one after another in lines of a width in pixels: columns text, word, line, x and x2."""
    rows, line, at = [], 0, 0.0
    for word in words:
        text = shown(word)
        size = PADDING + UNIT * max(_columns(text), 1)
        if at and at + size > width:
            line, at = line + 1, 0.0
        rows.append((text, word, line, at, at + size))
        at += size + 2
    return pd.DataFrame(rows, columns=["text", "word", "line", "x", "x2"])


def shown(word: str) -> str:
    """A word as it is shown: long ones are cut, characters that draw nothing are replaced."""
    visible = "".join("�" if unicodedata.category(c) in ("Cc", "Cs") else c for c in word)
    return visible if len(visible) <= LONGEST else visible[:LONGEST - 1] + "…"


def _columns(text: str) -> int:
    """How many characters wide it is: ideographs and emoji count twice, combining marks not at all."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def settled(frame: pd.DataFrame) -> Mapping[int, int]:
    """Position of each word that ends up right, and the layer from which on its prediction stays that."""
    wrong = frame[frame.verdict != RIGHT].groupby("position").layer.max()
    first = {position: int(wrong.get(position, -1)) + 1 for position in frame.position.unique()}
    return {int(position): layer for position, layer in first.items() if layer <= frame.layer.max()}
