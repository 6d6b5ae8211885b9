"""Speed and memory of rankings and top-k probes: python -m tests.benchmarks.neurons [--layers 0,3,6].

Rankings run on activations that are made up, shaped as a 13 x 768 model's; the grid of probes on all-MiniLM-L6-v2 and
EWT's dev split, from ../shared beside the repository, against NeuroX's probes on the same neurons in the same run:
pip install --no-deps neurox==1.0.9 imbalanced-learn sklearn-compat h5py. Seconds are of the wall and of the processor:
on a busy machine trust the latter.
"""
import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from explorer.corpus import CorpusRequest, read_corpus
from explorer.extract import extract
from explorer.gaussian import gaussian
from explorer.models import resolve
from explorer.neurons.parts import SAMPLE
from explorer.probes import LayerProbes
from explorer.ranking import k_grid, lca, standardised
from explorer.specs import ProbeSpec
from explorer.store import Store
from explorer.wide import WideProbes, gather
from tests import SHARED

LAYERS, WIDTH, WORDS, LABELS = 13, 768, 25_000, 17
THEIRS = (20, 98)  # numbers of neurons that NeuroX is measured on, of the grid's 24
EPOCHS = 10  # NeuroX's default, as is its batch of 32


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", default="0,1,2,3,4,5,6", help="of the grid; the whole takes 14 such layers")
    parser.add_argument("--only", choices=("wide", "likelihood"), help="one of the rankings over all layers")
    options = parser.parse_args([] if arguments is None else arguments)
    if options.only:
        {"wide": wide, "likelihood": likelihood}[options.only]()
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}", flush=True)
    exact_lca()
    for one in ("wide", "likelihood"):  # each in a process of its own, for its peak memory
        subprocess.run([sys.executable, "-m", "tests.benchmarks.neurons", "--only", one], check=True)
    grid([int(layer) for layer in options.layers.split(",")])


class Clock:
    """Seconds since it was made: of the wall, and of this process."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.wall, time.process_time() - self.processor


def exact_lca() -> None:
    weight = np.random.default_rng(0).normal(size=(2688, LABELS))
    found = []
    for _ in range(50):
        clock = Clock()
        lca(weight)
        found.append(clock.read())
    wall, processor = (1000 * statistics.median(column) for column in zip(*found, strict=True))
    print(f"exact LCA of 2,688 x {LABELS}: {wall:.1f} ms (processor {processor:.1f} ms)", flush=True)


def wide() -> None:
    """One probe on all layers and its ranking; layers lie on disk, as the store keeps them."""
    with tempfile.TemporaryDirectory() as folder:
        y = np.random.default_rng(0).integers(LABELS, size=WORDS)
        layers = list(made_up(Path(folder), y))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        clock = Clock()
        fitter = WideProbes(layers, np.arange(WORDS), y, LABELS, ProbeSpec())
        wall, processor = clock.read()
        print(f"covariance of all layers: {wall:.0f} s (processor {processor:.0f} s)", flush=True)
        probe = fitter.fit()
        ranking = lca(probe.weight)
        wall, processor = clock.read()
        print(f"ranking of {len(ranking.order):,} neurons, {WORDS:,} words, {probe.n_iter} steps, converged: "
              f"{probe.converged}: {wall:.0f} s (processor {processor:.0f} s)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory {peak:.1f} GB, pages of the files included; {before:.1f} GB before", flush=True)


def likelihood() -> None:
    """The Gaussian ranking by likelihood over all layers, of as many words as a study samples."""
    y = np.random.default_rng(0).integers(LABELS, size=SAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        layers = list(made_up(Path(folder), y))
        x = standardised(gather(layers, np.arange(SAMPLE)))
        clock = Clock()
        order = gaussian(x, y, by="likelihood").order
        wall, processor = clock.read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"Gaussian ranking of {len(order):,} neurons by likelihood, {SAMPLE:,} words: {wall:.0f} s (processor "
          f"{processor:.0f} s), peak memory {peak:.1f} GB", flush=True)


def made_up(folder: Path, y: np.ndarray) -> Iterator[np.ndarray]:
    """Layers that share what they know of the label, and noise of low rank."""
    random = np.random.default_rng(1)
    words = len(y)
    shared = random.normal(size=(words, 100)).astype(np.float32)
    shared[:, :LABELS] += 2 * np.eye(LABELS, dtype=np.float32)[y]
    for number in range(LAYERS):
        mixed = shared @ random.normal(size=(100, WIDTH)).astype(np.float32) / 10
        mixed += random.standard_normal(mixed.shape, dtype=np.float32)
        mixed.astype(np.float16).tofile(folder / f"{number}")
        yield np.memmap(folder / f"{number}", np.float16, "r", shape=(words, WIDTH))


def grid(numbers: list[int]) -> None:
    """Every k of a layer retrained, for some layers, against NeuroX on some of these cells."""
    dev = str(SHARED / "data" / "ud_ewt" / "en_ewt-ud-dev.conllu.xz")
    split = read_corpus(CorpusRequest(dev, dev, dev)).train
    names, y = np.unique([label for labels in split.labels for label in labels], return_inverse=True)
    ours, pairs = [], []
    with tempfile.TemporaryDirectory() as root:
        checkpoint = resolve(str(SHARED / "models" / "all-MiniLM-L6-v2"))
        activations = extract(checkpoint, split, Store(Path(root)), device="cpu")
        for number in numbers:
            x, labels = activations.layer(number)[activations.kept], y[activations.kept]
            cells, whole, order = layer_grid(x, labels, len(names))
            ours.append(whole)
            print(f"layer {number}, every k: {whole[0]:.1f} s (processor {whole[1]:.1f} s)", flush=True)
            pairs += [(k, cells[k], neurox(x[:, order[:k]].astype(np.float32), labels)) for k in THEIRS]
    wall, processor = np.mean(ours, axis=0) * 14
    print(f"7 layers x 2 checkpoints at this rate: {wall:.0f} s (processor {processor:.0f} s)")
    for k, own, other in pairs:
        print("NeuroX is not installed" if other is None else
              f"k = {k}: NeuroX {other[0]:.1f} s (processor {other[1]:.1f} s), ours {own[0]:.2f} s (processor "
              f"{own[1]:.2f} s): {other[1] / own[1]:.0f} times as fast by the processor")


def layer_grid(x: np.ndarray, y: np.ndarray, n_labels: int) -> tuple[dict, tuple[float, float], np.ndarray]:
    """Seconds of each k's probe and of the whole layer, and the layer's ranking."""
    clock, cells = Clock(), {}
    fitter = LayerProbes(x, y, n_labels, ProbeSpec())
    whole = fitter.fit()
    order = lca(whole.weight).order
    for k in k_grid(x.shape[1])[:-1]:
        cell = Clock()
        fitter.fit(order[:k], start=whole)
        cells[k] = cell.read()
    return cells, clock.read(), order


def neurox(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Seconds of NeuroX's training on the same words, at its defaults, what it prints thrown away."""
    try:
        from neurox.interpretation import linear_probe
    except ImportError:
        return None
    clock = Clock()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere), \
            contextlib.redirect_stderr(nowhere):
        linear_probe.train_logistic_regression_probe(x, y, lambda_l1=0.0, lambda_l2=0.001, num_epochs=EPOCHS)
    return clock.read()


if __name__ == "__main__":
    main(sys.argv[1:])
