"""One neuron at a time: what it fires on, how its activations lie, what the probe makes of it, what it resembles.

All on the words of one split as the cache has them; needs no torch and no model.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.evidence import Evidence, Missing
from explorer.neurons import parts, tables
from explorer.neurons.analysis import Neurons
from explorer.ranking import Ranking, of_label
from explorer.specs import InputError

AROUND = 20  # words of context on either side
SILENT = 0.1  # of a neuron's largest |activation|: below it the neuron counts as silent
SAMPLED = 1000  # words on which a neuron is compared with all others: a correlation is then good to about 0.03
QUICK = 4_000_000  # activations of a layer that are ranked by Probeless while its card opens: some 50 ms
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True, order=True)
class Neuron:
    """One dimension of one layer's hidden state."""

    layer: int
    index: int

    def __str__(self) -> str:
        return f"L{self.layer}:{self.index}"

    @classmethod
    def parse(cls, text: str, n_layers: int, width: int) -> Neuron:
        """The neuron that a text such as 'L5:117' names; raises InputError for one that the model does not have."""
        found = re.fullmatch(r"\s*[Ll]?(\d{1,6})\s*[:.,/ ]\s*(\d{1,9})\s*", text, re.ASCII)
        if found is None:
            raise InputError(f"neuron: got {text[:40]!r}; takes layer and number, such as L{n_layers - 1}:{width // 2}")
        neuron = cls(int(found[1]), int(found[2]))
        if neuron.layer >= n_layers or neuron.index >= width:
            raise InputError(f"neuron {neuron}: this model has layers 0 to {n_layers - 1}, each of neurons 0 to "
                             f"{width - 1}")
        return neuron


@dataclass(frozen=True)
class Figures:
    """Figures of a neuron's activations over the words of a split."""

    mean: float
    variance: float
    sparsity: float  # share of words at which it is silent, see SILENT
    outlier: bool  # see confounds.py


def activation(evidence: Evidence, checkpoint: str, split: str, neuron: Neuron) -> np.ndarray:
    """(kept words,) float32, what a neuron answers to every word that has activations."""
    found = evidence.activations(checkpoint, split)
    return np.asarray(found.layer(neuron.layer)[:, neuron.index], np.float32)[found.kept]


def kept_words(evidence: Evidence, split: str) -> pd.DataFrame:
    """The words of a split that have activations: sentence, position in it, word and label."""
    words = evidence.words(split)
    words["position"] = words.groupby("sentence").cumcount()
    return words[evidence.activations(evidence.study.base, split).kept].reset_index(drop=True)


def with_context(rows: pd.DataFrame, words: pd.DataFrame) -> pd.DataFrame:
    """The rows with columns left and right: what stands around each word. words are all of the split's."""
    sentences = {number: group.word.tolist() for number, group
                 in words[words.sentence.isin(rows.sentence)].groupby("sentence")}
    left = [" ".join(sentences[s][max(p - AROUND, 0):p]) for s, p in zip(rows.sentence, rows.position, strict=True)]
    right = [" ".join(sentences[s][p + 1:p + 1 + AROUND]) for s, p in zip(rows.sentence, rows.position, strict=True)]
    return rows.assign(left=left, right=right)


def top_words(values: np.ndarray, words: pd.DataFrame, n: int = 20, lowest: bool = False) -> pd.DataFrame:
    """The word forms with the highest (lowest) activation, each at its strongest occurrence.

    values is (words,); columns of words, activation there, mean over all occurrences, and times, their number.
    """
    forms = pd.factorize(words.word)[0]  # (words,)
    order = np.argsort(values if lowest else -values, kind="stable")
    strongest = np.sort(np.unique(forms[order], return_index=True)[1])[:n]
    rows = order[strongest]
    times, total = np.bincount(forms), np.bincount(forms, values)
    at = forms[rows]
    return words.iloc[rows].assign(activation=values[rows], mean=total[at] / times[at], times=times[at]).reset_index(
        drop=True)


def by_label(values: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """How activations lie label by label, highest mean first: label, n, mean and QUANTILES."""
    codes, names = pd.factorize(pd.Series(labels), sort=True)
    n = np.bincount(codes)
    ordered = values[np.lexsort((values, codes))].astype(np.float64)  # label after label, rising
    table = pd.DataFrame({"label": names, **{
        name: _quantile(ordered, n, share) for name, share in QUANTILES.items()},
        "mean": np.bincount(codes, values) / n, "n": n})
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def _quantile(ordered: np.ndarray, n: np.ndarray, share: float) -> np.ndarray:
    """(groups,) a quantile of each group of ordered values, n (groups,) of them, as NumPy interpolates it."""
    at = np.cumsum(n) - n + share * (n - 1)
    low = np.floor(at).astype(int)
    return ordered[low] + (at - low) * (ordered[np.ceil(at).astype(int)] - ordered[low])


def histogram(values: Mapping[str, np.ndarray], bins: int = 60) -> pd.DataFrame:
    """Share of words by activation, in the same bins for each checkpoint: columns checkpoint, low, high, share."""
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
    return pd.concat([pd.DataFrame({"checkpoint": name, "low": edges[:-1], "high": edges[1:],
                                    "share": np.histogram(array, edges)[0] / max(len(array), 1)})
                      for name, array in values.items()], ignore_index=True)


def figures(values: np.ndarray, outlier: bool) -> Figures:
    """values (words,) of one neuron, and whether it is an outlier of its layer."""
    peak = np.abs(values).max(initial=0.0)
    return Figures(float(values.mean()), float(values.var(dtype=np.float64)),
                   float((np.abs(values) < SILENT * peak).mean()) if peak else 1.0, outlier)


def weights(evidence: Evidence, checkpoint: str, neuron: Neuron) -> np.ndarray:
    """(labels,) a neuron's weights in its layer's whole probe, in the order of evidence.labels()."""
    probe = evidence.probes(checkpoint, neuron.layer)[max(evidence.study.spec.k)]
    row = np.flatnonzero(probe.neurons == neuron.index)
    return probe.weight[row[0]] if len(row) else np.zeros(len(probe.bias), np.float32)


def rankings(neurons: Neurons, checkpoint: str, layer: int) -> dict[str, Ranking]:
    """The rankings of a layer's neurons that are there, by their method.

    LCA follows from the probe, and Probeless from the activations of the training words, unless they are too many. The
    other methods, and Probeless of many words, are there once the analysis of neurons has stored its 'rankings'.
    """
    found = {}
    for method in parts.METHODS:
        with suppress(Missing):
            found[method] = tables.ranking(neurons, checkpoint, layer, method)
    there = neurons.evidence.activations(checkpoint, "train")
    if "probeless" not in found and len(there.fate) * there.width <= QUICK:
        train = parts.words_of(neurons.evidence, checkpoint, layer, "train")
        once = np.ones(len(train.rows), np.int64)
        found["probeless"] = parts.rank("probeless", train, once, 0, neurons.study.request.probe)
    return found


def best_label(evidence: Evidence, checkpoint: str, neuron: Neuron) -> tuple[str, int]:
    """The label that ranks a neuron highest by its own LCA, and the neuron's place there.

    Of several, the one that it weighs most for.
    """
    weight = evidence.probes(checkpoint, neuron.layer)[max(evidence.study.spec.k)].weight
    place, _, best = min((rank(of_label(weight, label), neuron.index), -abs(weight[neuron.index, label]), label)
                         for label in range(weight.shape[1]))
    return evidence.labels()[best], place


def rank(ranking: Ranking, index: int) -> int:
    """A neuron's place in a ranking, 1 for the first."""
    return int(np.flatnonzero(ranking.order == index)[0]) + 1


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two arrays (words,); 0 where one of them never changes."""
    x, y = standardised(np.stack([x, y], 1)).T
    return float(np.clip(x @ y, -1, 1))


def standardised(x: np.ndarray) -> np.ndarray:
    """(words, neurons) float32 columns of mean 0 and length 1: products are correlations; 0 if constant."""
    x = x.astype(np.float32)
    x -= x.mean(0, dtype=np.float64).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->j", x, x))
    x /= np.where(length > 1e-6 * len(x), length, np.inf).astype(np.float32)
    return x


@dataclass(frozen=True)
class Sample:
    """All neurons of some checkpoints on the same words, ready for correlations."""

    neurons: np.ndarray  # (checkpoints, layers, words, neurons) float32, see standardised
    checkpoints: tuple[str, ...]

    @classmethod
    def draw(cls, evidence: Evidence, checkpoints: tuple[str, ...], split: str) -> Sample:
        """Up to SAMPLED words of a split, evenly spaced."""
        found = [evidence.activations(name, split) for name in checkpoints]
        kept = np.flatnonzero(found[0].kept)
        at = kept[np.unique(np.linspace(0, len(kept) - 1, SAMPLED).astype(int))]
        neurons = np.empty((len(found), found[0].n_layers, len(at), found[0].width), np.float32)
        for i, activations in enumerate(found):
            for layer in range(activations.n_layers):
                neurons[i, layer] = standardised(activations.layer(layer)[at])
        return cls(neurons, checkpoints)

    def alike(self, checkpoint: str, neuron: Neuron, n: int = 12) -> pd.DataFrame:
        """The neurons that correlate most, for good or ill: checkpoint, neuron (as text), correlation."""
        which = self.checkpoints.index(checkpoint)
        mine = self.neurons[which, neuron.layer, :, neuron.index]
        found = np.einsum("w,clwn->cln", mine, self.neurons)  # 50 times as fast as mine @ self.neurons
        found[which, neuron.layer, neuron.index] = 0  # itself
        best = np.argsort(-np.abs(found), axis=None, kind="stable")[:n]
        places = zip(*np.unravel_index(best, found.shape), strict=True)
        return pd.DataFrame([{"checkpoint": self.checkpoints[c], "neuron": str(Neuron(int(layer), int(i))),
                              "correlation": float(found[c, layer, i])} for c, layer, i in places])
