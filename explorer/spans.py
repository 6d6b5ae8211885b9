"""Spans in labels such as B-NP, I-NP, O: how many there are and how many are found, sentence by sentence."""
import re
from collections.abc import Iterable

import numpy as np

Span = tuple[str, int, int]


def are_spans(labels: Iterable[str]) -> bool:
    """Whether labels mark spans: all of them O or a letter and a kind, B- among them."""
    labels = set(labels)
    return all(re.fullmatch(r"O|[BIESLU]-.+", label) for label in labels) and any(x[:2] == "B-" for x in labels)


def spans(labels: np.ndarray, sentences: np.ndarray) -> set[Span]:
    """Kind, first and last place of each span, as conlleval counts them; labels and sentence numbers are (words,).

    Places count one more for each sentence before, so that no span crosses from one into another.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    starts = np.flatnonzero(np.diff(sentences, prepend=-1))
    return set(get_entities([list(part) for part in np.split(labels, starts[1:])]))


def per_sentence(found: Iterable[Span], sentences: np.ndarray) -> np.ndarray:
    """(sentences,) how many of the spans are in each."""
    ends = np.cumsum(np.bincount(sentences) + 1)
    first = np.array([start for _, start, _ in found], int)
    return np.bincount(np.searchsorted(ends, first, side="right"), minlength=len(ends))
