"""The parts of the analysis: each computes one tidy table for one checkpoint and one layer, or all layers at once."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.confounds import outliers
from explorer.evidence import Evidence
from explorer.gaussian import gaussian
from explorer.neurons.similarity import cka, correlations
from explorer.probe import Probe
from explorer.probes import LayerProbes
from explorer.ranking import Ranking, iou, lca, places, probeless, shuffled, standardised
from explorer.specs import ProbeSpec
from explorer.study import SPLITS
from explorer.wide import WideProbes, gather, l1_path, scores

ALL = -1  # in place of a layer: the neurons of all layers; neuron i stands for neuron i % width of layer i // width
METHODS = ("lca", "probeless", "iou", "gaussian", "l1")
LIKELIHOOD = "likelihood"  # the Gaussian ranking by its slower criterion: a part by itself
CONTROLS = ("reversed", "random")  # rankings that are to be bad: LCA's worst first, and any order
SAMPLE = 5000  # training words that IoU, both Gaussian and the L1 path see; LCA and Probeless see all
RESAMPLES, DRAWS = 5, 10
FEW = 6  # of the k's, about, have retrained probes on random neurons and for each method

Tick = Callable[[str], None]
"""Called before each step with what it is; raising from it stops the work."""


@dataclass(frozen=True)
class Words:
    """The words of one split that have activations."""

    layers: Sequence[np.ndarray]  # each (all words, neurons)
    rows: np.ndarray  # (words,)
    y: np.ndarray  # (words,) label indices, -1 where training does not have the label
    sentence: np.ndarray  # (words,) number of the sentence

    def x(self, columns: np.ndarray | None = None) -> np.ndarray:
        """(words, columns) float32 of neurons numbered over all the layers."""
        return gather(self.layers, self.rows, columns)


def words(evidence: Evidence, checkpoint: str, layer: int) -> dict[str, Words]:
    """The splits of a study, on one layer or on ALL."""
    return {split: words_of(evidence, checkpoint, layer, split) for split in SPLITS}


def words_of(evidence: Evidence, checkpoint: str, layer: int, split: str) -> Words:
    """One of them."""
    activations = evidence.activations(checkpoint, split)
    rows = np.flatnonzero(activations.kept)
    layers = [activations.layer(i) for i in (range(activations.n_layers) if layer == ALL else [layer])]
    return Words(layers, rows, evidence.codes(split)[rows], evidence.words(split).sentence.to_numpy()[rows])


def moves(evidence: Evidence, before: str, after: str, layer: int) -> pd.DataFrame:
    """Correlation of each neuron's activations before and after on the test words, and the layer's linear CKA."""
    one, other = (evidence.activations(name, "test") for name in (before, after))
    kept = one.kept & other.kept
    x, z = one.layer(layer)[kept], other.layer(layer)[kept]
    found = correlations(x, z)
    return pd.DataFrame({"neuron": np.arange(len(found)), "correlation": found, "cka": cka(x, z)})


def everywhere(splits: dict[str, Words], n_labels: int, spec: ProbeSpec, seed: int, tick: Tick,
               ) -> tuple[pd.DataFrame, Probe]:
    """LCA over all layers' neurons at once, on all training words (draw 0) and on resamples of the sentences."""
    train = splits["train"]
    tick("reading all layers")
    fitter = WideProbes(train.layers, train.rows, train.y, n_labels, spec)
    tick("probe on all layers")
    whole = fitter.fit()
    parts = [_rows("lca", 0, lca(whole.weight))]
    for number, counts in enumerate(resamples(train, seed), 1):
        tick(f"resample {number} of {RESAMPLES}")
        parts.append(_rows("lca", number, lca(fitter.fit(counts, start=whole).weight)))
    return pd.concat(parts, ignore_index=True), whole


def resamples(train: Words, seed: int) -> Iterator[np.ndarray]:
    """How often each word counts when the training sentences are drawn with replacement, RESAMPLES times."""
    _, sentence = np.unique(train.sentence, return_inverse=True)
    n = sentence.max() + 1
    random = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield random.multinomial(n, np.full(n, 1 / n))[sentence]


def rankings(splits: dict[str, Words], whole: Probe, spec: ProbeSpec, seed: int, tick: Tick,
             only_once: bool = False) -> pd.DataFrame:
    """The order of neurons by every method, on all training words (draw 0) and on resamples of the sentences."""
    train = splits["train"]
    fitter: WideProbes | None = None
    parts = []
    draws = [np.ones(len(train.y), np.int64), *([] if only_once else resamples(train, seed))]
    for number, counts in enumerate(draws):
        for method in METHODS:
            tick(f"{method}, resample {number}" if number else method)
            if method == "lca" and number == 0:
                ranking = lca(whole.weight)
            elif method == "lca":
                fitter = fitter or WideProbes(train.layers, train.rows, train.y, whole.weight.shape[1], spec)
                ranking = lca(fitter.fit(counts, start=whole).weight)
            else:
                ranking = rank(method, train, counts, whole.weight.shape[1], spec)
            parts.append(_rows(method, number, ranking))
    return pd.concat(parts, ignore_index=True)


def rank(method: str, train: Words, counts: np.ndarray, n_labels: int, spec: ProbeSpec) -> Ranking:
    """Neurons by a method that needs no probe of all words, with counts (words,) as weights."""
    if method == "probeless":
        score = [probeless(standardised(layer[train.rows]), train.y, counts).score for layer in train.layers]
        return Ranking(np.argsort(-np.concatenate(score), kind="stable"), np.concatenate(score))
    chosen = np.repeat(np.arange(len(train.y)), counts)
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, SAMPLE).astype(int))]
    x, y = standardised(gather(train.layers, train.rows[chosen])), train.y[chosen]
    if method == "iou":
        return iou(x, y)
    if method == LIKELIHOOD:
        return gaussian(x, y, by=LIKELIHOOD)
    return gaussian(x, y) if method == "gaussian" else l1_path(x, y, n_labels, spec)


def likelihood(splits: dict[str, Words], n_labels: int, spec: ProbeSpec) -> pd.DataFrame:
    """The order of neurons by the likelihood of Gaussians, on all training words, as draw 0."""
    train = splits["train"]
    return _rows(LIKELIHOOD, 0, rank(LIKELIHOOD, train, np.ones(len(train.y), np.int64), n_labels, spec))


def _rows(method: str, draw: int, ranking: Ranking) -> pd.DataFrame:
    return pd.DataFrame({"method": method, "draw": draw, "neuron": np.arange(len(ranking.order)),
                         "place": places(ranking.order), "score": ranking.score})


def controls(splits: dict[str, Words], whole: Probe, top: dict[int, Probe], ks: Sequence[int], spec: ProbeSpec,
             seed: int, tick: Tick) -> pd.DataFrame:
    """Accuracy on the first k neurons by LCA, the last k and k random ones: columns order, probe, draw, k, dev, test.

    probe is 'retrained' or 'masked': the whole probe with all other neurons at their training mean. top holds probes
    of the layer that are there already. Random neurons have DRAWS draws, retrained at about FEW of the k's.
    """
    order = lca(whole.weight).order
    random = np.random.default_rng(seed)
    sparse = [k for k in _few(ks) if k <= len(order) // 2]
    known = {len(order): whole}  # in whatever order
    orders = [("top", 0, order), ("bottom", 0, order[::-1]),
              *(("random", draw, shuffled(len(order), random).order) for draw in range(DRAWS))]
    retrain = Retrain(splits, spec, whole, len(order) <= max(ks))
    rows = []
    for name, draw, neurons in orders:
        tick(f"{name} neurons" + (f", draw {draw + 1} of {DRAWS}" if name == "random" else ""))
        for probe, accuracies in (("masked", masked(splits, whole, neurons, ks)),
                                  ("retrained", retrain(neurons, sparse if name == "random" else ks,
                                                        top if name == "top" else known))):
            rows += [{"order": name, "probe": probe, "draw": draw, **found} for found in accuracies]
    if len(order) > max(ks):  # the oracle of all layers
        rows.append({"order": "top", "probe": "retrained", "draw": 0, "k": len(order), **_accuracy(splits, whole)})
    return pd.DataFrame(rows)


def _few(ks: Sequence[int]) -> Sequence[int]:
    """About FEW of them, evenly, from the first on."""
    return ks[::max(1, len(ks) // FEW)]


def _accuracy(splits: dict[str, Words], probe: Probe) -> dict[str, float]:
    return {split: float((scores(probe, splits[split].layers, splits[split].rows).argmax(1) == splits[split].y).mean())
            for split in ("dev", "test")}


def methods(splits: dict[str, Words], whole: Probe, ranked: pd.DataFrame, ks: Sequence[int], spec: ProbeSpec,
            tick: Tick) -> pd.DataFrame:
    """Rank by each method, probe with the probe of the study: columns method, order, k, dev, test."""
    retrain = Retrain(splits, spec, whole, len(whole.neurons) <= max(ks))
    rows = []
    for method in METHODS:
        here = ranked[(ranked.method == method) & (ranked.draw == 0)]
        neurons = here.sort_values("place").neuron.to_numpy()
        for name, order in (("top", neurons), ("bottom", neurons[::-1])):
            tick(f"probes on the {name} neurons by {method}")
            found = retrain(order, _few(ks), {len(order): whole})
            rows += [{"method": method, "order": name, **accuracies} for accuracies in found]
    return pd.DataFrame(rows)


def masked(splits: dict[str, Words], whole: Probe, order: np.ndarray, ks: Sequence[int]) -> Iterator[dict]:
    """Accuracy of the whole probe with all but the first k of an order at their training mean, for rising ks."""
    columns = order[:max(ks)]
    z = {split: (splits[split].x(columns) - whole.mean[columns]) / whole.scale[columns] for split in ("dev", "test")}
    score = {split: np.tile(whole.bias, (len(x), 1)) for split, x in z.items()}
    for first, k in zip([0, *ks[:-1]], ks, strict=True):
        found = {"k": k}
        for split, x in z.items():
            score[split] += x[:, first:k] @ whole.weight[columns[first:k]]
            found[split] = (score[split].argmax(1) == splits[split].y).mean()
        yield found


class Retrain:
    """Accuracy of probes trained on the first k neurons of an order alone.

    Where the neurons are those of one layer, its probe on all of them is where the others start; of all layers, only
    the neurons of an order up to the largest k are read.
    """

    def __init__(self, splits: dict[str, Words], spec: ProbeSpec, whole: Probe, one_layer: bool) -> None:
        self.splits, self.spec, self.n_labels = splits, spec, whole.weight.shape[1]
        self.dropped = np.zeros(len(whole.neurons), bool)
        if spec.drop_outliers and not one_layer:  # each layer's: of some neurons together others would be far out
            train = splits["train"]
            values = (layer[train.rows].astype(np.float32) for layer in train.layers)
            self.dropped = np.concatenate([outliers(x.mean(0), x.std(0)) for x in values])
            self.spec = dataclasses.replace(spec, drop_outliers=False)
        self.whole_layer = self.on(None) if one_layer else None
        self.start = whole

    def on(self, columns: np.ndarray | None) -> tuple[LayerProbes, dict[str, np.ndarray]]:
        """What fits probes on these neurons, which are columns to it, and each split's activations of them."""
        x = {split: self.splits[split].x(columns) for split in SPLITS}
        if columns is not None:
            x["train"][:, self.dropped[columns]] = 0.0
        fitter = LayerProbes(x["train"], self.splits["train"].y, self.n_labels, self.spec,
                             (x["dev"], self.splits["dev"].y))
        return fitter, x

    def __call__(self, order: np.ndarray, ks: Sequence[int], known: dict[int, Probe]) -> Iterator[dict]:
        if self.whole_layer:
            fitter, x = self.whole_layer
            start = self.start
        else:
            order = order[:max(ks)]
            fitter, x = self.on(order)
            order, start = np.arange(len(order)), fitter.fit()
        for k in ks:
            probe = known.get(k) or fitter.fit(order[:k], start=start)
            yield {"k": k, **{split: probe.accuracy(x[split], self.splits[split].y) for split in ("dev", "test")}}
