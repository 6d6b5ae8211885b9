"""What a probe's predictions on the test words are worth, in several metrics, for the sentences as they are and drawn.

A figure's values lie in rows as the draws of stats.draws do: first the value itself, then one of each resample.
Labels are taken some at a time: what CCG's hundreds have in 2,000 resamples would take gigabytes.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer import spans
from explorer.labels import UNSEEN, Labels
from explorer.layer import Arrays, Wanted
from explorer.stats import bounds, ratio, sums

TOGETHER = 64  # labels


@dataclass(frozen=True)
class Figure:
    """One metric of one layer at several numbers of neurons."""

    values: np.ndarray  # (draws, k)
    k: tuple[int, ...]
    n: int  # what it is a mean over: words, or for span_f1 spans

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.values - other.values, self.k, self.n)


@dataclass(frozen=True)
class OfLabels:
    """One metric of each label, of the test words that have it or, for precision, that are said to."""

    values: np.ndarray  # (labels, k), nan where there are no such words
    low: np.ndarray  # (labels, k), bounds at 95 %
    high: np.ndarray
    n: np.ndarray  # (labels, k) such words


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
        self.some = [slice(i, i + TOGETHER) for i in range(0, len(self.labels), TOGETHER)]
        self.spans = spans.spans(self.labels[self.gold], self.sentences) if spans.are_spans(self.labels) else set()

    def sums(self, of_words: np.ndarray) -> np.ndarray:
        """Sums of (words,) or (words, k) over each draw's words: (draws,) or (draws, k)."""
        return sums(np.add.reduceat(of_words.astype(np.float32), self.starts, axis=0), self.drawn)

    def by_label(self, codes: np.ndarray, labels: slice, among: np.ndarray | bool = True) -> np.ndarray:
        """(sentences, labels) how many of the words `among` all have each of the labels in codes (words,)."""
        n = len(self.labels[labels])
        place = codes - labels.start
        among = among & (place >= 0) & (place < n)
        cell = (self.sentences * n + place)[among]
        return np.bincount(cell, minlength=len(self.starts) * n).reshape(len(self.starts), n)


class Measures:
    """All figures of one layer's probes by metric: `whole` of all test words, `labels` of each label's.

    Where it is given the base's, they include a label's changes against it.
    """

    def __init__(self, test: Test, arrays: Arrays, wanted: Wanted, base: Measures | None = None) -> None:
        self.k = wanted.k
        self._predicted = np.stack([test.code[arrays[f"{k}/test"]] for k in wanted.k], 1)  # (words, k)
        right = self._predicted == test.gold[:, None]
        self.whole: dict[str, Figure] = {}
        hits = self._accuracies(test, right)
        self.labels = self._by_label(test, base)
        self._cross_entropy(test, arrays)
        if test.spans:
            self._spans(test, self._predicted)
        if wanted.control:
            self._control(test, arrays, wanted, hits)

    def drawn(self, test: Test, labels: slice) -> tuple[np.ndarray, np.ndarray]:
        """(draws, labels, k) each: words of these labels that are told right, and words said to have them."""
        columns = self._predicted.T
        right = np.stack([test.by_label(said, labels, said == test.gold) for said in columns], 2)
        return sums(right, test.drawn), sums(np.stack([test.by_label(said, labels) for said in columns], 2), test.drawn)

    def _by_label(self, test: Test, base: Measures | None) -> dict[str, OfLabels]:
        """Recall (accuracy) and precision of each label, and the means of their F1."""
        parts: dict[str, list[tuple[np.ndarray, ...]]] = defaultdict(list)
        f1 = _MeanF1()
        for labels in test.some:
            right, said = self.drawn(test, labels)
            has = sums(test.by_label(test.gold, labels), test.drawn)[:, :, None]  # (draws, labels, 1)
            f1.add(right, said, has)
            figures = {"accuracy": ratio(right, has), "precision": ratio(right, said)}
            n = {"accuracy": np.broadcast_to(has[0], right[0].shape), "precision": said[0]}
            if base is not None:
                its_right, its_said = base.drawn(test, labels)
                figures |= {"delta": figures["accuracy"] - ratio(its_right, has),
                            "precision_delta": figures["precision"] - ratio(its_right, its_said)}
                n |= {"delta": n["accuracy"], "precision_delta": n["precision"]}
            for metric, values in figures.items():
                low, high = bounds(values[1:].reshape(len(values) - 1, -1))
                parts[metric].append((values[0], low.reshape(values[0].shape), high.reshape(values[0].shape),
                                      n[metric].astype(np.int64)))
        self._add("macro_f1", f1.macro, len(test.gold))
        self._add("weighted_f1", f1.weighted, len(test.gold))
        return {metric: OfLabels(*(np.concatenate(part) for part in zip(*found, strict=True)))
                for metric, found in parts.items()}

    def _accuracies(self, test: Test, right: np.ndarray) -> np.ndarray:
        """Of all words, and of those whose form training has or has not; returns the hits (draws, k)."""
        hits = test.sums(right)
        for metric, among in (("accuracy", np.ones(len(right), bool)), ("accuracy_seen", test.seen),
                              ("accuracy_unseen", ~test.seen)):
            if among.any():
                found = hits if among.all() else test.sums(right & among[:, None])
                self._add(metric, ratio(found, test.sums(among)[:, None]), among.sum())
        return hits

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


class _MeanF1:
    """Means of the labels' F1 over those that a draw has or that are predicted in it, as scikit-learn takes them."""

    def __init__(self) -> None:
        self._sum = self._n = self._weighted = self._words = np.zeros(())

    def add(self, right: np.ndarray, said: np.ndarray, has: np.ndarray) -> None:
        """Some labels' words: (draws, labels, k), has (draws, labels, 1)."""
        f1 = ratio(2 * right, said + has)
        self._sum = self._sum + np.nansum(f1, axis=1)  # (draws, k)
        self._n = self._n + (~np.isnan(f1)).sum(1)
        self._weighted = self._weighted + np.nansum(f1 * has, axis=1)
        self._words = self._words + has.sum(1)

    @property
    def macro(self) -> np.ndarray:
        return self._sum / self._n

    @property
    def weighted(self) -> np.ndarray:
        return self._weighted / self._words


def dev_accuracies(
    labels: Labels, arrays: Arrays, ks: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy on dev (k,), by label (k, labels), and the labels' names and numbers of words (labels,)."""
    right = np.stack([arrays[f"{k}/dev"] for k in ks]) == labels.codes["dev"]  # (k, words)
    names, gold, of_label = np.unique(labels.names["dev"].astype(str), return_inverse=True, return_counts=True)
    by_label = np.stack([np.bincount(gold, row, len(names)) for row in right]) / of_label
    return right.mean(1), by_label, names, of_label
