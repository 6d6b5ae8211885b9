"""The tidy table of a study, from what was fitted on each layer: every figure, and how sure it is.

Rows of the whole test split (label is empty) have these metrics; k is the number of neurons:

    accuracy, accuracy_seen, accuracy_unseen   of all words; of those whose form training has, or has not
    macro_f1, weighted_f1                      means of the labels' F1, equal or by their words
    cross_entropy                              bits a word, over words whose label training has
    span_f1                                    of whole spans, where labels mark spans (B-NP ...)
    control, selectivity                       accuracy at the control task, and accuracy minus that; for some k

Beside each stand its bounds at 95 %, alone (accuracy_low, accuracy_high) and for all layers at once (accuracy_low_all,
accuracy_high_all), and for fine-tuned checkpoints its change against the base with its bounds (delta, delta_low,
delta_low_all ... for accuracy; macro_f1_delta ... for the others). Rows of a label have
accuracy (the label's recall) and precision, and their changes delta and precision_delta, each with bounds of its own.
Rows of the training split have codelength (kbits), compression, norm and outliers; those of the base's layer 0, k all,
have the accuracy of two guesses, majority and most_frequent.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from explorer.baselines import majority, most_frequent
from explorer.labels import Labels
from explorer.layer import Arrays, Wanted
from explorer.mdl import uniform_bits
from explorer.metrics import Figure, Measures, Test, dev_accuracies
from explorer.stats import bounds, draws, simultaneous

COLUMNS = ["checkpoint", "layer", "k", "split", "label", "metric", "value", "n"]
DIGITS = 5  # of bounds, rounded outwards: a thousandth of a point


def delta_of(metric: str) -> str:
    """The metric that is a metric's change against the base."""
    return "delta" if metric == "accuracy" else f"{metric}_delta"


def tabulate(
    fitted: Mapping[str, Sequence[Arrays]], labels: Labels, wanted: Wanted, control: np.ndarray, seed: int,
) -> pd.DataFrame:
    """The table, of each checkpoint's layers; the first checkpoint is the base. Columns are COLUMNS.

    control is (test words,) the control task's labels. One draw of test sentences serves all figures, so that every
    delta is paired.
    """
    base, *tuned = fitted
    drawn = draws(labels.sentences["test"].max() + 1, np.random.default_rng(seed))
    test, table = Test(labels, drawn, control), _Table()
    for layer, before in enumerate(fitted[base]):
        measured = Measures(test, before, wanted)
        for name in (base, *tuned):
            found = measured if name == base else Measures(test, fitted[name][layer], wanted, measured)
            table.at(name, layer)
            _whole(table, found, measured if name != base else None)
            _labels(table, test, found)
            _training(table, fitted[name][layer], labels, wanted)
    table.families()
    table.at(base, 0)
    _baselines(table, test, labels, wanted.k[-1])
    return table.frame()


class _Table:
    """Rows of one layer of one checkpoint after another, and what bounds over all layers need of them."""

    def __init__(self) -> None:
        self._parts: list[dict[str, np.ndarray]] = []
        self._kept: dict[tuple[str, str], list[tuple[int, Figure]]] = {}

    def at(self, checkpoint: str, layer: int) -> None:
        self._checkpoint, self._layer = checkpoint, layer

    def add(self, k: ArrayLike, split: str, label: ArrayLike, metric: str, value: ArrayLike, n: ArrayLike) -> None:
        """Rows of numbers of neurons k, of labels, or of both; what is the same for all is given once."""
        columns = {"checkpoint": self._checkpoint, "layer": self._layer, "k": k, "split": split, "label": label,
                   "metric": metric, "value": value, "n": n}
        arrays = np.broadcast_arrays(*(np.asarray(part) for part in columns.values()))
        self._parts.append({name: array.ravel() for name, array in zip(columns, arrays, strict=True)})

    def figure(self, metric: str, figure: Figure) -> None:
        """A metric of the whole test split, with bounds."""
        self.add(figure.k, "test", "", metric, figure.values[0], figure.n)
        self._bounds(metric, figure, *bounds(figure.values[1:]), "")
        narrow = Figure(figure.values.astype(np.float32), figure.k, figure.n)
        self._kept.setdefault((self._checkpoint, metric), []).append((self._layer, narrow))

    def families(self) -> None:
        """Bounds that hold for all layers of a checkpoint at once, for each metric and k."""
        for (checkpoint, metric), members in self._kept.items():
            values = np.stack([figure.values for _, figure in members], 1)  # (draws, layers, k)
            for (layer, figure), low, high in zip(members, *simultaneous(values[0], values[1:]), strict=True):
                self.at(checkpoint, layer)
                self._bounds(metric, figure, low, high, "_all")

    def _bounds(self, metric: str, figure: Figure, low: np.ndarray, high: np.ndarray, suffix: str) -> None:
        for bound, value in (("low", outwards(low, -1)), ("high", outwards(high, 1))):
            self.add(figure.k, "test", "", f"{metric}_{bound}{suffix}", value, figure.n)

    def frame(self) -> pd.DataFrame:
        columns = {name: np.concatenate([part[name] for part in self._parts]) for name in COLUMNS}
        table = pd.DataFrame({name: pd.Series(column, dtype="str") if column.dtype.kind == "U" else column
                              for name, column in columns.items()})
        return table.astype({"layer": np.int64, "k": np.int64, "value": np.float64, "n": np.int64})


def outwards(bound: np.ndarray, sign: int) -> np.ndarray:
    """Bounds with few digits, which take little room in files; a lower one is rounded down, an upper one up."""
    return sign * np.ceil(sign * bound * 10**DIGITS - 1e-6) / 10**DIGITS


def _whole(table: _Table, found: Measures, base: Measures | None) -> None:
    for metric, figure in found.whole.items():
        table.figure(metric, figure)
        if base is not None:
            table.figure(delta_of(metric), figure - base.whole[metric])


def _labels(table: _Table, test: Test, found: Measures) -> None:
    """Of each label what there is to say of it: nothing of recall where no test word has it, for instance."""
    k = np.array(found.k)
    for metric, figure in found.labels.items():
        label, column = np.nonzero(~np.isnan(figure.values))
        for ending, values in (("", figure.values), ("_low", outwards(figure.low, -1)),
                               ("_high", outwards(figure.high, 1))):
            table.add(k[column], "test", test.labels[label], metric + ending, values[label, column],
                      figure.n[label, column])


def _training(table: _Table, arrays: Arrays, labels: Labels, wanted: Wanted) -> None:
    """What needs no test words: accuracy on dev, description length, and the layer's scale."""
    accuracy, by_label, names, of_label = dev_accuracies(labels, arrays, wanted.k)
    table.add(wanted.k, "dev", "", "accuracy", accuracy, len(labels.codes["dev"]))
    table.add(np.array(wanted.k)[:, None], "dev", names, "accuracy", by_label, of_label)
    whole, n = wanted.k[-1], len(labels.codes["train"])
    figures = {"norm": arrays["norm"].item(), "outliers": len(arrays["outliers"])}
    if wanted.description:
        bits = arrays["description"].item()
        figures |= {"codelength": bits / 1000, "compression": uniform_bits(n, len(labels.inventory)) / bits}
    for metric, value in figures.items():
        table.add(whole, "train", "", metric, value, n)


def _baselines(table: _Table, test: Test, labels: Labels, k: int) -> None:
    """Accuracy of guesses that look at no neuron, as rows of the base's layer 0."""
    y, train = labels.codes["test"], labels.codes["train"]
    guesses = {"majority": np.full(len(y), majority(train)),
               "most_frequent": most_frequent(labels.words["train"], train, labels.words["test"])}
    words = test.sums(np.ones(len(y)))
    for metric, guess in guesses.items():
        right = guess == y
        values = test.sums(right) / words
        low, high = bounds(values[1:, None])
        table.add(k, "test", "", metric, values[0], len(y))
        table.add(k, "test", "", f"{metric}_low", outwards(low, -1), len(y))
        table.add(k, "test", "", f"{metric}_high", outwards(high, 1), len(y))
        of_label, right_of = np.bincount(test.gold), np.bincount(test.gold, right)
        there = of_label > 0
        table.add(k, "test", test.labels[:len(there)][there], metric, right_of[there] / of_label[there],
                  of_label[there])
