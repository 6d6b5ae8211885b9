"""One probe on the neurons of all layers together: what it knows, and where the neurons are that it weighs most."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from explorer.evidence import Evidence
from explorer.probes import LayerProbes
from explorer.ranking import lca
from explorer.specs import LayerSpec, Progress, Spec, silent
from explorer.store import ARRAYS
from explorer.study import Study

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
    train, test = (evidence.activations(checkpoint, split) for split in ("train", "test"))
    x = {name: np.concatenate([part.layer(i)[part.kept] for i in range(part.n_layers)], axis=1)
         for name, part in (("train", train), ("test", test))}
    y = {name: evidence.codes(name)[part.kept] for name, part in (("train", train), ("test", test))}
    spec, settings = evidence.spec(checkpoint), evidence.settings(checkpoint)
    if settings.drop_outliers:  # each layer's: of all layers together others would be far out
        for layer in range(train.n_layers):
            x["train"][:, layer * train.width + evidence.outliers(checkpoint, layer)] = 0.0
    fitter = LayerProbes(x["train"], y["train"], len(evidence.labels()),
                         dataclasses.replace(settings, drop_outliers=False))
    whole = fitter.fit()
    order, n = lca(whole.weight).order, max(1, round(SHARE * x["train"].shape[1]))
    drawn = np.random.default_rng(spec.probe.seed).permutation(len(order))[:n]
    sentences = np.unique(evidence.words("test").sentence.to_numpy()[test.kept], return_inverse=True)[1]
    arrays = {"words": np.bincount(sentences), "layers": order[:n] // train.width}
    for i, (name, neurons) in enumerate(zip(SETS, (None, order[:n], drawn, order[-n:]), strict=True)):
        on_progress(i, len(SETS), f"probe on {name} neurons of all layers")
        probe = whole if neurons is None else fitter.fit(neurons, start=whole)
        arrays[name] = np.bincount(sentences, probe.predict(x["test"]) == y["test"]).astype(np.int64)
    what = f"all layers together: {checkpoint}"
    evidence.store.put_arrays(AllLayersSpec(spec), arrays, {"what": what})
    return AllLayers({name: arrays[name] for name in SETS}, arrays["words"], arrays["layers"])
