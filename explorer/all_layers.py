"""One probe on the neurons of all layers together: what it knows, and where the neurons are that it weighs most."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.evidence import Evidence
from explorer.neurons.parts import ALL, Retrain, words
from explorer.ranking import lca
from explorer.specs import LayerSpec, Progress, Spec, silent
from explorer.store import ARRAYS
from explorer.study import Study
from explorer.wide import WideProbes, scores

SHARE = 0.1  # of all neurons: the salient ones
MOST = 10_000  # neurons that are fitted together: a base model's 13 layers
SETS = ("all", "top", "random", "bottom")


@dataclass(frozen=True)
class AllLayersSpec(Spec):
    """What depends on the probes of all layers of one checkpoint together."""

    layers: LayerSpec  # its layer is 0, and stands for all
    share: float = SHARE


@dataclass(frozen=True)
class AllLayers:
    """Of one checkpoint: test words that probes on sets of neurons get right, and the layers of the salient ones."""

    hits: dict[str, np.ndarray]  # of each of SETS: (test sentences,)
    words: np.ndarray  # (test sentences,)
    layers: np.ndarray  # (salient neurons,) the layer of each


def fits(study: Study) -> bool:
    """Whether the neurons of all layers are few enough."""
    return (study.table.layer.max() + 1) * max(study.spec.k) <= MOST


def known(evidence: Evidence, checkpoint: str) -> bool:
    """Whether it has been computed of a checkpoint, and is whole."""
    return evidence.store.has(AllLayersSpec(evidence.spec(checkpoint)), ARRAYS)


def stored(evidence: Evidence, checkpoint: str) -> AllLayers | None:
    """What has been computed of a checkpoint, if it has."""
    found = evidence.store.arrays(AllLayersSpec(evidence.spec(checkpoint)))
    if found is None:
        return None
    return AllLayers({name: found[0][name] for name in SETS}, found[0]["words"], found[0]["layers"])


def compute(evidence: Evidence, checkpoint: str, on_progress: Progress = silent) -> AllLayers:
    """Fit the probes, on all neurons and on the SHARE that rank highest, lowest, and drawn at random; and keep it.

    Ranked by exact LCA of the probe on all. Raises Missing where the cache lacks the activations; takes as many neurons
    as fits says.
    """
    spec, settings = evidence.spec(checkpoint), evidence.settings(checkpoint)
    splits = words(evidence, checkpoint, ALL)
    train, test = splits["train"], splits["test"]
    on_progress(0, len(SETS), "probe on all neurons of all layers")
    whole = WideProbes(train.layers, train.rows, train.y, len(evidence.labels()), settings).fit()
    order, n = lca(whole.weight).order, max(1, round(SHARE * len(whole.neurons)))
    drawn = np.random.default_rng(spec.probe.seed).permutation(len(order))[:n]
    predicted = {"all": scores(whole, test.layers, test.rows).argmax(1)}
    retrain = Retrain(splits, settings, whole, one_layer=False)
    for i, (name, neurons) in enumerate(zip(SETS[1:], (order[:n], drawn, order[-n:]), strict=True), 1):
        on_progress(i, len(SETS), f"probe on {name} neurons of all layers")
        fitter, x = retrain.on(neurons)
        predicted[name] = fitter.fit().predict(x["test"])
    sentences = np.unique(test.sentence, return_inverse=True)[1]
    arrays = {"words": np.bincount(sentences), "layers": order[:n] // train.layers[0].shape[1],
              **{name: np.bincount(sentences, found == test.y).astype(np.int64) for name, found in predicted.items()}}
    what = f"all layers together: {checkpoint}"
    evidence.store.put_arrays(AllLayersSpec(spec), arrays, {"what": what})
    return AllLayers({name: arrays[name] for name in SETS}, arrays["words"], arrays["layers"])
