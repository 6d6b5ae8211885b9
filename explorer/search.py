"""Which neurons fire on this? Words, a label or a pattern against all neurons of two checkpoints."""
from __future__ import annotations

import time

import numpy as np
import pandas as pd
import regex

from explorer.evidence import Evidence
from explorer.neuron import Neuron
from explorer.specs import InputError

WAYS = ("words", "label", "pattern")
SCREENED = 2000  # matching words, and others, at most, by which neurons are screened
PATIENCE = 2.0  # seconds for a pattern: some take longer by far than anybody waits, and hold up all users
CANDIDATES = 50  # neurons of each checkpoint that are measured exactly


def matches(words: pd.DataFrame, way: str, query: str) -> np.ndarray:
    """(words,) bool: which of the words (columns word, label) a query means.

    way is 'words' (several, between spaces; case does not matter), 'label' or 'pattern' (a regular expression that the
    whole word fits). Raises InputError for a query that is empty, not a pattern, or means none or all of the words.
    """
    if way not in WAYS:
        raise InputError(f"search: got {way!r}; takes {', '.join(WAYS)}")
    if not query.strip():
        raise InputError(f"search: no {way} yet; type what the neurons should fire on")
    if way == "words":
        asked = [word.rstrip(",") or word for word in query.casefold().split()]
        found = words.word.str.casefold().isin(asked).to_numpy()
    elif way == "label":
        found = (words.label == query).to_numpy()
    else:
        found = words.word.map(_fitting(query, words)).to_numpy(bool)
    if found.all() or not found.any():
        raise InputError(f"{way} {query[:60]!r}: {'all' if found.all() else 'none'} of the {len(words)} words; takes "
                         "some of them, so that there is something to tell apart")
    return found


def _fitting(pattern: str, words: pd.DataFrame) -> dict[str, bool]:
    """Whether each word form fits; every form is tried once."""
    if len(pattern) > 200:
        raise InputError(f"pattern: {len(pattern)} characters; takes 200 at most")
    try:
        compiled, end = regex.compile(pattern), time.monotonic() + PATIENCE
        return {word: compiled.fullmatch(word, timeout=max(0.001, end - time.monotonic()), concurrent=True) is not None
                for word in words.word.unique()}
    except regex.error as error:
        raise InputError(f"pattern {pattern[:60]!r}: {error}; takes a regular expression such as .*ing") from error
    except TimeoutError as error:
        raise InputError(f"pattern {pattern[:60]!r}: it takes over {PATIENCE:g} s to try on all words; takes one with "
                         "fewer ways to fit, without repeats inside repeats") from error


def separation(values: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and average precision, of values (words,) as a score for hits (words,) bool.

    Equal values count as one threshold.
    """
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    true = np.cumsum(hits[order])[ends].astype(np.float64)
    seen = ends + 1.0
    recall, fallout = true / true[-1], (seen - true) / (seen[-1] - true[-1])
    return (float(np.trapezoid(np.append(0, recall), np.append(0, fallout))),
            float((np.diff(recall, prepend=0) * true / seen).sum()))


def search(evidence: Evidence, checkpoints: tuple[str, str], split: str, hits: np.ndarray) -> pd.DataFrame:
    """The neurons that tell the hits (kept words,) bool from the rest, best average precision first.

    Columns neuron (text), on_matches ('high' or 'low': how it is on the hits), auc_before, auc_after, ap_before,
    ap_after and ap_change, ap_after minus ap_before. All neurons are screened by the distance of the hits' mean from
    that of the rest, in standard deviations, on up to SCREENED of each; CANDIDATES of either checkpoint are then
    measured on all words.
    """
    found = {name: evidence.activations(name, split) for name in checkpoints}
    kept = np.flatnonzero(found[checkpoints[0]].kept)
    these, rest = _some(kept[hits]), _some(kept[~hits])
    distance = np.stack([[_distance(found[name].layer(layer)[these], found[name].layer(layer)[rest])
                          for layer in range(found[name].n_layers)] for name in checkpoints])
    signs: dict[Neuron, int] = {}
    for row in np.argsort(-np.abs(distance).reshape(2, -1), axis=1, kind="stable")[:, :CANDIDATES]:
        for layer, index in zip(*np.unravel_index(row, distance.shape[1:]), strict=True):
            both = distance[:, layer, index]
            signs[Neuron(int(layer), int(index))] = 1 if both[np.abs(both).argmax()] > 0 else -1
    rows = []
    for layer in sorted({neuron.layer for neuron in signs}):
        here = [neuron for neuron in signs if neuron.layer == layer]
        columns = {name: found[name].layer(layer)[kept][:, [n.index for n in here]].astype(np.float32)
                   for name in checkpoints}
        for i, neuron in enumerate(here):
            (auc0, ap0), (auc1, ap1) = (separation(signs[neuron] * columns[name][:, i], hits) for name in checkpoints)
            rows.append((str(neuron), "high" if signs[neuron] > 0 else "low", auc0, auc1, ap0, ap1, ap1 - ap0))
    names = ["neuron", "on_matches", "auc_before", "auc_after", "ap_before", "ap_after", "ap_change"]
    table = pd.DataFrame(rows, columns=names)
    return table.iloc[np.argsort(-table[["ap_before", "ap_after"]].max(axis=1), kind="stable")].reset_index(drop=True)


def _some(rows: np.ndarray) -> np.ndarray:
    """Up to SCREENED of them, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, SCREENED).astype(int))]


def _distance(x: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(neurons,) how far the mean of x (words, neurons) lies from that of the rest, in standard deviations of both."""
    x, rest = x.astype(np.float32), rest.astype(np.float32)
    return (x.mean(0) - rest.mean(0)) / np.sqrt((x.var(0) + rest.var(0)) / 2 + 1e-12)
