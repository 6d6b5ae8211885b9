"""Extraction on a GPU beside the same machine's CPU: its rate, and what bfloat16 changes. Without a GPU it says so."""
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from explorer.corpus import Corpus, read_corpus
from explorer.extract import extract
from explorer.models import STARTER, Checkpoint, resolve
from explorer.starter.build.card import by_layer
from explorer.store import Store
from tests.benchmarks import treebank
from tests.benchmarks.extraction import ours

SENTENCES = {"cuda": 8000, "cpu": 400}


def main() -> None:
    if not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    print(f"{torch.cuda.get_device_name()}; {torch.get_num_threads()} CPU threads; torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as room:
        rate(base_sized(Path(room)))
    corpus = read_corpus(treebank("dev", "dev", "test"))
    for name in sorted(path.name for path in STARTER.glob("starter-*") if (path / "config.json").is_file()):
        agreement(resolve(name), corpus)


def base_sized(folder: Path) -> Checkpoint:
    """BERT at the size of bert-base, 12 blocks of 768 neurons, with random weights."""
    tokenizer = AutoTokenizer.from_pretrained(STARTER / "starter-bert")
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return resolve(str(folder))


def rate(checkpoint: Checkpoint) -> None:
    """Words a second from an empty cache to layers on disk, loading the model apart; the first round warms up."""
    found = {}
    for device, sentences in SENTENCES.items():
        split = read_corpus(treebank("train", "dev", "dev", sentences)).train
        found[device] = max(split.n_words / ours(checkpoint, split, device)[0] for _ in range(3))
        print(f"BERT of base size, {split.n_words:,} words on {device}: {found[device]:,.0f} words/s")
    print(f"the GPU is {found['cuda'] / found['cpu']:.0f} times as fast")


def agreement(checkpoint: Checkpoint, corpus: Corpus) -> None:
    """Distance of activations under bfloat16 from float32's, and the accuracies of probes on either, by layer."""
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        accuracies = {device: by_layer(checkpoint.folder, corpus, room, device) for device in SENTENCES}
        rounded, exact = (extract(checkpoint, corpus.test, Store(room), device=device) for device in SENTENCES)
        distances = [distance(rounded.layer(layer), exact.layer(layer)) for layer in range(checkpoint.n_layers)]
    print(f"{checkpoint.name}, layers 0 to {checkpoint.n_layers - 1}, upos")
    print("  activations differ by (%)  " + " ".join(f"{100 * value:5.2f}" for value in distances))
    for device, values in accuracies.items():
        print(f"  accuracy, {device:4} (%)         " + " ".join(f"{100 * value:5.2f}" for value in values))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Of two matrices, as a share of the second's norm."""
    return float(np.linalg.norm(one.astype(np.float32) - other) / np.linalg.norm(other.astype(np.float32)))


if __name__ == "__main__":
    main()
