"""A neuron's card: all that is shown of one neuron, pre-trained and fine-tuned side by side."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from explorer.evidence import Evidence
from explorer.neuron import (
    Figures,
    Neuron,
    Sample,
    activation,
    best_label,
    by_label,
    correlation,
    figures,
    histogram,
    rank,
    top_words,
    weights,
    with_context,
)
from explorer.ranking import Ranking

SHOWN = 24  # labels; of more, those with the highest and the lowest means
WHEN = ("pre-trained", "fine-tuned")


@dataclass(frozen=True)
class Card:
    """One neuron of a pair of checkpoints on the words of a split. Frames have a column `checkpoint`, one of WHEN."""

    neuron: Neuron
    figures: tuple[Figures, Figures]
    ranks: tuple[dict[str, int], dict[str, int]]  # its place by each method that there is a ranking of
    best: tuple[tuple[str, int], tuple[str, int]]  # the label that ranks it highest, and its place there
    correlation: float  # of the neuron before with itself after
    labels: pd.DataFrame = field(repr=False)  # by_label, and the neuron's weight in the probe
    bins: pd.DataFrame = field(repr=False)  # histogram
    highest: tuple[pd.DataFrame, pd.DataFrame] = field(repr=False)  # top_words with context
    lowest: tuple[pd.DataFrame, pd.DataFrame] = field(repr=False)
    alike: tuple[pd.DataFrame, pd.DataFrame] = field(repr=False)


def card(evidence: Evidence, pair: tuple[str, str], split: str, neuron: Neuron, words: pd.DataFrame, sample: Sample,
         ranked: Sequence[dict[str, Ranking]]) -> Card:
    """The card of a neuron.

    words are the split's kept ones, sample is of the pair on it; ranked has neuron.rankings of its layer before and
    after.
    """
    values = [activation(evidence, name, split, neuron) for name in pair]
    everything = evidence.words(split)
    names = dict(zip(pair, WHEN, strict=True))

    def tops(lowest: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        before, after = (with_context(top_words(x, words, lowest=lowest), everything) for x in values)
        return before, after

    def alike(name: str) -> pd.DataFrame:
        found = sample.alike(name, neuron)
        return found.assign(checkpoint=found.checkpoint.map(names))

    before, after = (figures(x, neuron.index in evidence.outliers(name, neuron.layer))
                     for x, name in zip(values, pair, strict=True))
    ranks = [{method: rank(ranking, neuron.index) for method, ranking in found.items()} for found in ranked]
    best = [best_label(evidence, name, neuron) for name in pair]
    return Card(
        neuron, (before, after),
        (ranks[0], ranks[1]), (best[0], best[1]),
        correlation(*values), _labels(evidence, pair, values, words, neuron),
        histogram(dict(zip(WHEN, values, strict=True))), tops(False), tops(True),
        (alike(pair[0]), alike(pair[1])),
    )


def _labels(evidence: Evidence, pair: tuple[str, str], values: list[np.ndarray], words: pd.DataFrame, neuron: Neuron
            ) -> pd.DataFrame:
    """Activations and weight by label for both checkpoints; labels in the order of their mean before fine-tuning."""
    tables = [by_label(x, words.label).set_index("label") for x in values]
    order = tables[0].index.tolist()
    if len(order) > SHOWN:
        order = order[:SHOWN // 2] + order[-SHOWN // 2:]
    names = evidence.labels()
    return pd.concat([
        table.loc[order].reset_index().assign(
            checkpoint=when, weight=pd.Series(weights(evidence, name, neuron), names).reindex(order).to_numpy())
        for when, name, table in zip(WHEN, pair, tables, strict=True)], ignore_index=True)
