"""Speed of probes, and their accuracy: python -m tests.benchmarks.probes.

Probes of all layers are compared with NeuroX's on the same activations: at its defaults (Adam, 10 epochs, batch 32) and
at batch 128. A top-k probe at a new k, as a slider would ask for, is compared with a page's 150 ms.
"""
import contextlib
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from explorer.activations import Activations
from explorer.corpus import Split, read_corpus
from explorer.extract import extract
from explorer.models import resolve
from explorer.probe import Probe
from explorer.probes import LayerProbes, fit_probe
from explorer.ranking import lca
from explorer.specs import ProbeSpec
from explorer.store import Store
from tests.benchmarks import MODEL, NEUROX, treebank

KS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)

Layer = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training activations (words, neurons) and labels (words,), and those of the test."""

Fit = Callable[[np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]
"""Of activations, labels and the number of labels: what predicts labels of activations."""


def main() -> None:
    corpus, checkpoint = read_corpus(treebank("dev", "dev", "test")), resolve(str(MODEL))
    with tempfile.TemporaryDirectory() as root:
        train, test = (extract(checkpoint, split, Store(Path(root))) for split in (corpus.train, corpus.test))
        n_labels = len(corpus.inventory())
        layers = [_layer(i, (train, test), (corpus.train, corpus.test)) for i in range(train.n_layers)]
        print(f"{len(layers[0][1])} words, {len(layers)} layers of {train.width} neurons, {n_labels} labels",
              flush=True)
        all_layers(layers, n_labels)
        top_k(layers, n_labels)


def _layer(layer: int, activations: Sequence[Activations], splits: Sequence[Split]) -> Layer:
    inventory = np.unique([label for sentence in splits[0].labels for label in sentence])
    found: list[np.ndarray] = []
    for part, split in zip(activations, splits, strict=True):
        labels = np.array([label for sentence in split.labels for label in sentence])
        found += [np.asarray(part.layer(layer)[part.kept]), pd.Index(inventory).get_indexer(labels[part.kept])]
    return found[0], found[1], found[2], found[3]


def all_layers(layers: Sequence[Layer], n_labels: int) -> None:
    """One probe a layer by each program in turn, so that what else the machine does meets all of them alike."""
    fits = {"ours": ours()} | neurox()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in fits}
    for layer in layers:
        for name, fit in fits.items():
            found[name].append(measured(fit, layer, n_labels))
    for name, figures in found.items():
        seconds, accuracy = zip(*figures, strict=True)
        ratio = sum(seconds) / sum(mine for mine, _ in found["ours"])
        print(f"{name:<20} {sum(seconds):6.2f} s" + ("" if name == "ours" else f", ours is {ratio:.1f} times as fast")
              + f"; test accuracy by layer {' '.join(f'{100 * value:.1f}' for value in accuracy)}")
    if len(fits) == 1:
        print(f"NeuroX: not installed; {NEUROX}")


def measured(fit: Fit, layer: Layer, n_labels: int) -> tuple[float, float]:
    """Seconds of the fit, and its test accuracy."""
    x, y, x_test, y_test = layer
    start = time.perf_counter()
    predict = fit(x, y, n_labels)
    return time.perf_counter() - start, float((predict(x_test) == y_test).mean())


def ours() -> Fit:
    """Each layer's probe begins at that of the layer below, as in a study."""
    below: Probe | None = None

    def fit(x: np.ndarray, y: np.ndarray, n_labels: int) -> Callable[[np.ndarray], np.ndarray]:
        nonlocal below
        below = fit_probe(x, y, n_labels, ProbeSpec(), near=below)
        return below.predict

    return fit


def neurox() -> dict[str, Fit]:
    """NeuroX's probe at two sizes of a batch; nothing where it is not installed."""
    try:
        from neurox.interpretation.linear_probe import train_logistic_regression_probe
    except ImportError:
        return {}

    def at(**batch: int) -> Fit:
        def fit(x: np.ndarray, y: np.ndarray, n_labels: int) -> Callable[[np.ndarray], np.ndarray]:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                probe = train_logistic_regression_probe(x.astype(np.float32), y, **batch)
            weight, bias = (parameter.detach().numpy() for parameter in probe.parameters())
            return lambda x_test: (x_test.astype(np.float32) @ weight.T + bias).argmax(1)

        return fit

    return {"NeuroX": at(), "NeuroX, batch 128": at(batch_size=128)}


def top_k(layers: Sequence[Layer], n_labels: int) -> None:
    """Milliseconds of a probe on the k best neurons of a layer whose probe on all is there."""
    spent: dict[int, list[float]] = {k: [] for k in KS}
    for x, y, _, _ in layers:
        probes = LayerProbes(x, y, n_labels, ProbeSpec())
        whole = probes.fit()
        order = lca(whole.weight).order
        for k in KS:
            start = time.perf_counter()
            probes.fit(order[:k], start=whole)
            spent[k].append(1000 * (time.perf_counter() - start))
    median = statistics.median(itertools.chain(*spent.values()))
    print(f"top-k probe at a new k: median {median:.0f} ms (150 ms at most); by k: "
          + ", ".join(f"{k}: {statistics.median(times):.0f}" for k, times in spent.items()))


if __name__ == "__main__":
    main()
