"""Speed and memory of extraction: python -m tests.benchmarks.extraction (takes two minutes).

It is compared with the machine's float32 matrix products, with NeuroX's extractor, and with a process that only loads
the model.
"""
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from explorer import extract as extract_module
from explorer.corpus import Split, read_corpus
from explorer.models import Checkpoint, load, resolve
from explorer.store import Store
from tests.benchmarks import MODEL, NEUROX, treebank

ROUNDS = 5
SIDE = 2048  # of the matrices
EVERY = 7  # NeuroX gets each seventh sentence: it takes a minute for all


def main() -> None:
    corpus, checkpoint = read_corpus(treebank("train", "dev", "dev")), resolve(str(MODEL))
    speed(checkpoint, corpus.dev)
    memory(checkpoint, corpus.train)


def speed(checkpoint: Checkpoint, split: Split) -> None:
    model, tokenizer = load(checkpoint)
    subwords = extract_module.encode(tokenizer, split.sentences, checkpoint.max_length)
    work = flops(model, subwords.lengths.tolist())
    rounds = [(products(), *ours(checkpoint, split)) for _ in range(ROUNDS)]
    machine, whole, passes = (statistics.median(column) for column in zip(*rounds, strict=True))
    rate = int(subwords.lengths.sum()) / whole
    print(f"{split.n_words} words, {subwords.lengths.sum()} sub-words, {work / 1e9:.0f} GFLOP; "
          f"medians of {ROUNDS} rounds")
    print(f"products of {SIDE}-square matrices   {machine / 1e9:8.0f} GFLOP/s")
    print(f"extraction, all but loading      {work / whole / 1e9:8.0f} GFLOP/s {work / whole / machine:7.0%} of that, "
          f"{rate:,.0f} sub-words/s")
    print(f"its forward passes alone         {work / passes / 1e9:8.0f} GFLOP/s {work / passes / machine:7.0%}")
    theirs = neurox(split)
    print(f"NeuroX: not installed; {NEUROX}" if theirs is None else
          f"NeuroX's extractor               {theirs:8,.0f} sub-words/s, ours is {rate / theirs:.1f} times as fast")


def flops(model: nn.Module, lengths: list[int]) -> float:
    """Of the encoder's linear maps, and of attention: two products of (length, width) matrices a block."""
    linear = sum(module.weight.numel() for name, module in model.named_modules()
                 if isinstance(module, nn.Linear) and "pooler" not in name)
    attention = 2 * model.config.num_hidden_layers * model.config.hidden_size
    return 2 * sum(n * (linear + n * attention) for n in lengths)


def products() -> float:
    """Floating-point operations a second."""
    left, right = torch.randn(2, SIDE, SIDE)
    _ = left @ right
    start = time.perf_counter()
    for _ in range(10):
        _ = left @ right
    return 10 * 2 * SIDE**3 / (time.perf_counter() - start)


def ours(checkpoint: Checkpoint, split: Split, device: str = "cpu") -> tuple[float, float]:
    """Seconds of an extraction into an empty cache without loading the model, and of its forward passes."""
    spent = {"load": 0.0, "_forward": 0.0}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as root:
        for name in spent:
            stack.enter_context(timed(name, spent))
        start = time.perf_counter()
        extract_module.extract(checkpoint, split, Store(Path(root)), device=device)
        return time.perf_counter() - start - spent["load"], spent["_forward"]


@contextlib.contextmanager
def timed(name: str, spent: dict[str, float]) -> Iterator[None]:
    """Add up the time in a function of the module."""
    function: Callable = getattr(extract_module, name)

    def measured(*arguments: object) -> object:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            spent[name] += time.perf_counter() - start

    setattr(extract_module, name, measured)
    try:
        yield
    finally:
        setattr(extract_module, name, function)


def neurox(split: Split) -> float | None:
    """Sub-words a second of NeuroX's extractor, in float32 as ours, what it prints thrown away."""
    try:
        from neurox.data.extraction import transformers_extractor as theirs
        from neurox.data.writer import ActivationsWriter
    except ImportError:
        return None
    model, tokenizer = theirs.get_model_and_tokenizer(str(MODEL))
    model.float().eval()  # it would compute in the file's float16, which is slower by far on a CPU
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        writer = ActivationsWriter.get_writer(f"{folder}/activations.hdf5", filetype="hdf5")
        start = time.perf_counter()
        with contextlib.redirect_stdout(nowhere):
            n = 0
            for i, words in enumerate(split.sentences[::EVERY]):
                sentence = " ".join(words)
                states, found = theirs.extract_sentence_representations(sentence, model, tokenizer,
                                                                        tokenization_counts=counts)
                writer.write_activations(i, found, states)
                n += len(tokenizer(sentence).input_ids)
        writer.close()
        return n / (time.perf_counter() - start)


def memory(checkpoint: Checkpoint, split: Split) -> None:
    alone = peak(checkpoint, split, 0)
    print(f"peak memory: model loaded        {alone:8,.0f} MB")
    for n in (500, 5000):
        found = peak(checkpoint, split, n)
        print(f"             {n} sentences        "[:33] + f"{found:8,.0f} MB {found - alone:+7.0f} MB")


def peak(checkpoint: Checkpoint, split: Split, n: int) -> float:
    """Largest resident size, in MB, of a process that extracts n sentences, or for 0 only loads the model."""
    with tempfile.TemporaryDirectory() as folder:
        sentences = Path(folder) / "sentences.json"
        sentences.write_text(json.dumps(split.sentences[:n]))
        done = subprocess.run([sys.executable, "-m", "tests.benchmarks.extraction", str(checkpoint.folder), folder],
                              capture_output=True, text=True, check=True)
    return float(done.stdout)


def child(model: str, folder: str) -> None:
    sentences = tuple(map(tuple, json.loads((Path(folder) / "sentences.json").read_text())))
    if sentences:
        split = Split("train", sentences, sentences)
        extract_module.extract(resolve(model), split, Store(Path(folder) / "cache"), device="cpu")
    else:
        load(resolve(model))
    # not ru_maxrss, which begins with that of the process that started this one
    peak_kb = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak_kb[1]) / 1024)


if __name__ == "__main__":
    child(*sys.argv[1:]) if len(sys.argv) > 1 else main()
