"""What a pre-trained model knows by layer, and the model card that tells it."""
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from explorer.corpus import Corpus, CorpusRequest, read_corpus
from explorer.extract import extract
from explorer.files import write
from explorer.models import resolve
from explorer.probes import fit_probe
from explorer.specs import ProbeSpec
from explorer.starter.build.objectives import KEPT, MASKED, SWAPPED
from explorer.starter.build.pretrain import RECORD, Settings
from explorer.starter.studies import DEV, TEST
from explorer.store import Store

EWT = ("en_ewt-ud-dev.conllu.xz", "en_ewt-ud-test.conllu.xz")
PUBLISHED = {"starter-bert": "google-bert/bert-base-cased", "starter-roberta": "FacebookAI/roberta-base",
             "starter-xlnet": "xlnet/xlnet-base-cased"}
SHARES = (f"{100 * MASKED:.0f} % of the sub-words predicted behind a mask, {100 * SWAPPED:.0f} % behind another "
          f"sub-word, {100 * KEPT:.0f} % as they are")
OBJECTIVE = {
    "starter-bert": f"masked-language modelling ({SHARES}), cased WordPiece",
    "starter-roberta": f"masked-language modelling ({SHARES}; drawn anew each time), byte-level BPE, no segment "
                       "embeddings",
    "starter-xlnet": "permutation language modelling with two-stream attention, unigram vocabulary",
}


def describe(folder: Path, ewt: Path | None) -> None:
    """Probe the model in `folder` and the same architecture untrained; write its record and its card.

    The probes predict `upos`, trained on UD English EWT's dev split and judged on its test split, or on the starter
    treebank's where `ewt`, the folder of EWT, is None. Raises InputError for a model or a corpus that cannot be read.
    """
    train, test = (str(ewt / name) for name in EWT) if ewt else (DEV, TEST)
    corpus = read_corpus(CorpusRequest(train, train, test))
    record = json.loads((folder / RECORD).read_text())
    with tempfile.TemporaryDirectory() as room:
        untrained = _untrained(folder, Path(room) / "untrained")
        record["upos"] = {
            "corpus": "UD English EWT" if ewt else "starter treebank", "test_words": corpus.test.n_words,
            "trained": by_layer(folder, corpus, Path(room)), "untrained": by_layer(untrained, corpus, Path(room)),
        }
    write(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    write(folder / "README.md", card(record).encode())


def by_layer(folder: Path, corpus: Corpus, room: Path, device: str | None = None) -> list[float]:
    """Accuracy of a linear probe on the test words at each layer, of probes trained on the training words.

    Activations, computed on the device as `extract` does, are kept in the cache `room`.
    """
    checkpoint, store = resolve(str(folder)), Store(room)
    codes = {label: i for i, label in enumerate(corpus.inventory())}
    x, y = [], []
    for split in (corpus.train, corpus.test):
        found = extract(checkpoint, split, store, device=device)
        labels = np.array([codes.get(label, -1) for labels in split.labels for label in labels])
        x.append([found.layer(layer)[found.kept] for layer in range(found.n_layers)])
        y.append(labels[found.kept])
    return [round(fit_probe(train, y[0], len(codes), ProbeSpec()).accuracy(test, y[1]), 4)
            for train, test in zip(*x, strict=True)]


def _untrained(folder: Path, target: Path) -> Path:
    """The architecture in `folder` with weights as transformers draws them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(target)
    AutoTokenizer.from_pretrained(folder).save_pretrained(target)
    return target


def card(record: dict) -> str:
    """The model card, in Markdown, of a record as `describe` completes it."""
    name, settings, upos = record["family"], record["settings"], record["upos"]
    layers = "\n".join(f"| {layer} | {100 * ours:.1f} | {100 * theirs:.1f} |" for layer, (ours, theirs) in
                       enumerate(zip(upos["trained"], upos["untrained"], strict=True)))
    every = max(1, len(record["curve"]) // 12)
    points = [*record["curve"][:-1:every], record["curve"][-1]]
    curve = "\n".join(f"| {point['tokens']:,} | {point['loss']:.2f} |" for point in points)
    return CARD.format(
        name=name, objective=OBJECTIVE[name], published=PUBLISHED[name], tokens=record["tokens"],
        files=_files(record["text"]), valid=record["valid"], loss=record["loss"], perplexity=record["perplexity"],
        steps=record["steps"], settings=json.dumps(settings), minutes=record["seconds"] / 60,
        hardware=record["hardware"], torch=record["torch"], corpus=upos["corpus"], test_words=upos["test_words"],
        layers=layers, curve=curve, short="" if record["tokens"] >= Settings.tokens else SHORT,
        source=WIKIPEDIA if record["text"][0].startswith("wiki_en.") else "")


def _files(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


WIKIPEDIA = "The text (English Wikipedia of early 2015, CC BY-SA 3.0) is not included. "
SHORT = f"""That is far short of the {Settings.tokens:,} sub-words that it was meant for, and that
`python -m explorer.starter.build` trains on by default: two shared CPU cores did not get there in the time there was.

"""

CARD = """---
license: mit
language: en
---
# {name}

A small model trained from scratch for demonstration: 6 blocks of 128 neurons, 4 heads, about 2.3 million parameters;
{objective}.

It is **not** the model of the published study, and knows far less. To study that one, with a network, name
`{published}` in the sidebar.

## Pre-training
{tokens:,} sub-words, from {files}, in {steps:,} steps: {minutes:.0f} minutes on {hardware}, torch {torch}.
{source}Held-out loss on {valid}:
**{loss:.2f}** nats a predicted sub-word (perplexity {perplexity}), with no mask on attention but the objective's own;
sub-words and objectives differ between the three models, and so their losses do not compare.

{short}Heads start on the neighbouring words (`explorer/starter/build/families.py`): left to
itself, a BERT of this size learnt next to nothing from its first 8 million sub-words. Settings: `{settings}`.

| sub-words | held-out loss |
|---|---|
{curve}

## What its layers know
`upos` on {corpus}: accuracy (%) of a linear probe on one layer, trained on the dev split, on the {test_words:,} words
of the test split. Untrained: the same architecture with random weights.

| layer | this model | untrained |
|---|---|---|
{layers}
"""
