"""What a probe's predictions on the test words are worth, in several metrics, for the sentences as they are and drawn.

A figure's values lie in rows as the draws of stats.draws do: first the value itself, then one of each resample. Where
there are very many labels, figures that are made of all labels' own have the first row alone.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer import spans
from explorer.labels import UNSEEN, Labels
from explorer.layer import Arrays, Wanted
from explorer.stats import ratio, sums

MANY = 60  # labels, above which no label's figures are resampled: CCG's hundreds would take minutes


@dataclass(frozen=True)
class Figure:
    """One metric of one layer at several numbers of neurons."""

    values: np.ndarray  # (draws, k)
    k: tuple[int, ...]
    n: int  # what it is a mean over: words, or for span_f1 spans

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.values - other.values, self.k, self.n)


class Test:
    """The test words and what is common to all probes that are tested on them."""

    def __init__(self, labels: Labels, drawn: np.ndarray, control: np.ndarray) -> None:
        """Take the draws (draws, sentences), and the control task's labels (words,)."""
        self.drawn, self.control = drawn, control
        self.sentences = labels.sentences["test"]
        self.starts = np.flatnonzero(np.diff(self.sentences, prepend=-1))
        self.labels, self.gold = np.unique(
            np.concatenate([labels.names["test"], labels.inventory]).astype(str), return_inverse=True)
        self.gold, self.code = np.split(self.gold, [len(self.sentences)])  # code: of what a probe predicts
        self.seen, self.known = labels.seen, labels.codes["test"] != UNSEEN
        self.drawn_by_label = drawn if len(self.labels) <= MANY else drawn[:1]
        self.has = sums(self.by_label(self.gold), self.drawn_by_label)  # (draws, labels) words of each label
        self.spans = spans.spans(self.labels[self.gold], self.sentences) if spans.are_spans(self.labels) else set()

    def sums(self, of_words: np.ndarray) -> np.ndarray:
        """Sums of (words,) or (words, k) over each draw's words: (draws,) or (draws, k)."""
        return sums(np.add.reduceat(of_words.astype(np.float32), self.starts, axis=0), self.drawn)

    def by_label(self, codes: np.ndarray, among: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(sentences, labels) how many of the words `among` all have each label in codes (words,)."""
        shape = len(self.starts), len(self.labels)
        cell = self.sentences * shape[1] + codes
        return np.bincount(cell[among], minlength=shape[0] * shape[1]).reshape(shape)


class Measures:
    """All figures of one layer's probes: `whole` by metric, and of each label `right` and `said` words."""

    def __init__(self, test: Test, arrays: Arrays, wanted: Wanted) -> None:
        self.k = wanted.k
        predicted = np.stack([test.code[arrays[f"{k}/test"]] for k in wanted.k], 1)  # (words, k)
        right = predicted == test.gold[:, None]
        counts = [(test.by_label(p, r), test.by_label(p)) for p, r in zip(predicted.T, right.T, strict=True)]
        self.right, self.said = (sums(np.stack(part, 2), test.drawn_by_label)  # (draws, labels, k)
                                 for part in zip(*counts, strict=True))
        self.whole: dict[str, Figure] = {}
        hits = self._accuracies(test, right)
        self._f1(test)
        self._cross_entropy(test, arrays)
        if test.spans:
            self._spans(test, predicted)
        if wanted.control:
            self._control(test, arrays, wanted, hits)

    def _accuracies(self, test: Test, right: np.ndarray) -> np.ndarray:
        """Of all words, and of those whose form training has or has not; returns the hits (draws, k)."""
        hits = test.sums(right)
        for metric, among in (("accuracy", np.ones(len(right), bool)), ("accuracy_seen", test.seen),
                              ("accuracy_unseen", ~test.seen)):
            if among.any():
                found = hits if among.all() else test.sums(right & among[:, None])
                self._add(metric, ratio(found, test.sums(among)[:, None]), among.sum())
        return hits

    def _f1(self, test: Test) -> None:
        """Means over the labels that a draw has or that are predicted in it, as scikit-learn takes them."""
        f1 = ratio(2 * self.right, self.said + test.has[:, :, None])  # (draws, labels, k)
        weight = test.has[:, :, None] / test.has.sum(1)[:, None, None]
        self._add("macro_f1", np.nanmean(f1, axis=1), len(test.gold))
        self._add("weighted_f1", np.nansum(f1 * weight, axis=1), len(test.gold))

    def _cross_entropy(self, test: Test, arrays: Arrays) -> None:
        bits = sums(np.stack([arrays[f"{k}/surprise"] for k in self.k], 1), test.drawn)
        self._add("cross_entropy", ratio(bits, test.sums(test.known)[:, None]), test.known.sum())

    def _spans(self, test: Test, predicted: np.ndarray) -> None:
        """F1 of whole spans; it is 2 hits / (spans said + spans there)."""
        found = [spans.spans(test.labels[column], test.sentences) for column in predicted.T]

        def drawn(parts: Sequence[set[spans.Span]]) -> np.ndarray:
            return sums(np.stack([spans.per_sentence(part, test.sentences) for part in parts], 1), test.drawn)

        values = ratio(2 * drawn([part & test.spans for part in found]), drawn(found) + drawn([test.spans]))
        self._add("span_f1", values, len(test.spans))

    def _control(self, test: Test, arrays: Arrays, wanted: Wanted, hits: np.ndarray) -> None:
        predicted = np.stack([arrays[f"{k}/control"] for k in wanted.control], 1)
        control = test.sums(predicted == test.control[:, None])
        words = test.sums(np.ones(len(predicted)))[:, None]
        columns = [self.k.index(k) for k in wanted.control]
        self.whole["control"] = Figure(control / words, wanted.control, len(predicted))
        self.whole["selectivity"] = Figure((hits[:, columns] - control) / words, wanted.control, len(predicted))

    def _add(self, metric: str, values: np.ndarray, n: int) -> None:
        self.whole[metric] = Figure(values, self.k, int(n))


def dev_accuracies(
    labels: Labels, arrays: Arrays, ks: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy on dev (k,), by label (k, labels), and the labels' names and numbers of words (labels,)."""
    right = np.stack([arrays[f"{k}/dev"] for k in ks]) == labels.codes["dev"]  # (k, words)
    names, gold, of_label = np.unique(labels.names["dev"].astype(str), return_inverse=True, return_counts=True)
    by_label = np.stack([np.bincount(gold, row, len(names)) for row in right]) / of_label
    return right.mean(1), by_label, names, of_label
