"""Studies: probe accuracy of a pre-trained and its fine-tuned checkpoints, by layer and number of neurons.

Importing this module, listing studies and looking at one import neither torch nor transformers.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath

import numpy as np
import pandas as pd

from explorer.corpus import Corpus, CorpusRequest, Split, read_corpus
from explorer.models import Checkpoint, check_pair, resolve
from explorer.probe import Probe, from_arrays, to_arrays
from explorer.ranking import k_grid, lca
from explorer.specs import InputError, LayerSpec, ProbeSpec, Progress, Spec, WordsSpec, digest, silent
from explorer.stats import interval, resamples
from explorer.store import SHIPPED, Activations, Store

COLUMNS = ["checkpoint", "layer", "k", "split", "label", "metric", "value", "n"]
SPLITS = ("train", "dev", "test")
UNSEEN = -1  # code of a label that training does not have: no prediction equals it, so it counts as an error


@dataclass(frozen=True)
class StudyRequest:
    """What a user asks for, by name; run_study finds out what the names stand for."""

    base: str
    finetuned: tuple[str, ...]
    corpus: CorpusRequest
    pooling: str = "last"
    k: tuple[int, ...] = ()  # numbers of neurons; empty: a log-spaced grid; the whole layer is always added
    probe: ProbeSpec = field(default_factory=ProbeSpec)

    @classmethod
    def from_dict(cls, fields: dict) -> StudyRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        corpus = dict(fields["corpus"])
        if corpus["columns"] is not None:
            corpus["columns"] = tuple(corpus["columns"])
        return cls(**fields | {
            "finetuned": tuple(fields["finetuned"]), "k": tuple(fields["k"]),
            "corpus": CorpusRequest(**corpus), "probe": ProbeSpec.from_dict(fields["probe"]),
        })


@dataclass(frozen=True)
class StudySpec(Spec):
    """What a study's table depends on."""

    checkpoints: tuple[tuple[str, LayerSpec], ...]  # display name; spec of layer 0, the others follow from it
    k: tuple[int, ...]

    @classmethod
    def from_dict(cls, fields: dict) -> StudySpec:
        """The spec that as_dict, or its JSON, was made of."""
        return cls(tuple((name, LayerSpec.from_dict(spec)) for name, spec in fields["checkpoints"]),
                   tuple(fields["k"]))


@dataclass(frozen=True)
class Study:
    """A finished study: the tidy table (columns COLUMNS) and what it is of."""

    key: str
    table: pd.DataFrame = field(repr=False)
    spec: StudySpec
    request: StudyRequest
    notes: tuple[str, ...]
    created: str

    @property
    def base(self) -> str:
        return self.request.base

    @property
    def finetuned(self) -> tuple[str, ...]:
        return self.request.finetuned

    @property
    def title(self) -> str:
        return title(self.request)

    def layers(self, split: str = "test") -> pd.DataFrame:
        """Accuracy of the whole layer's probe: one row a layer, one column a checkpoint."""
        rows = self.table.query("split == @split and label == '' and metric == 'accuracy' and k == k.max()")
        return rows.pivot_table(index="layer", columns="checkpoint", values="value")[[self.base, *self.finetuned]]


@dataclass(frozen=True)
class Summary:
    """A line in a list of studies."""

    key: str
    title: str
    created: str
    request: StudyRequest
    shipped: bool  # with the explorer


def title(request: StudyRequest) -> str:
    """One line that tells studies apart: property, corpus, base and fine-tuned checkpoints."""
    names = ", ".join(short_name(name) for name in request.finetuned)
    corpus = PurePath(request.corpus.train).name
    return f"{request.corpus.property} · {corpus} · {short_name(request.base)} → {names}"


def short_name(name: str) -> str:
    """The telling end of a folder's path: 'runs/sst2/checkpoint-40' -> 'sst2/checkpoint-40'; hub ids stay."""
    parts = PurePath(name).parts
    keep = 2 if parts and parts[-1].startswith("checkpoint-") else 1
    return name if len(parts) <= 2 and not name.startswith("/") else "/".join(parts[-keep:])


def finished(store: Store) -> list[Summary]:
    """The studies in the store, newest first."""
    found = []
    for key, meta in store.tables("StudySpec"):
        request = StudyRequest.from_dict(meta["request"])
        found.append(Summary(key, title(request), meta["created"], request, bool(meta.get(SHIPPED))))
    return sorted(found, key=lambda summary: summary.created, reverse=True)


def load(store: Store, key: str) -> Study:
    """A finished study; raises InputError when the store has none under the key."""
    found = store.table_by_key(key)
    if found is None:
        raise InputError(f"study {key!r}: there is none in {store.root}; run it again, or choose another")
    meta = found.meta
    return Study(key, found.table, StudySpec.from_dict(found.spec), StudyRequest.from_dict(meta["request"]),
                 tuple(meta["notes"]), meta["created"])


def run_study(request: StudyRequest, store: Store, on_progress: Progress = silent) -> Study:
    """Compute what the store does not have yet and return the study.

    Activations are kept per checkpoint and split, probes per checkpoint and layer: a run that was killed goes on
    where it stopped, and a study that shares parts with earlier ones computes only the rest. Raises InputError
    for whatever the user can mend.
    """
    on_progress(0, 1, "reading the corpus")
    corpus = read_corpus(request.corpus)
    checkpoints = _checkpoints(request, on_progress)
    k = _k(request.k, checkpoints[0].width)
    stages = _Stages(corpus, checkpoints, on_progress)
    activations = {c.name: _activations(c, corpus, request, store, stages) for c in checkpoints}
    of_labels = _labels_digest(corpus)
    _keep_words(corpus, of_labels, store)
    specs = tuple(
        (name, LayerSpec(found["train"].spec, found["dev"].spec, found["test"].spec, of_labels, 0, request.probe))
        for name, found in activations.items()
    )
    labels = _Labels(corpus, activations[checkpoints[0].name])
    tables = []
    for checkpoint, (name, spec) in zip(checkpoints, specs, strict=True):
        for layer in range(checkpoint.n_layers):
            progress = stages.run(f"{short_name(name)}: probes on layer {layer}", corpus.train.n_words)
            rows = probe_layer(dataclasses.replace(spec, layer=layer), activations[name], labels, k, store, progress)
            tables.append(rows.assign(checkpoint=name, layer=layer))
    parts = pd.concat(tables, ignore_index=True)
    table = pd.concat([parts, *_intervals(parts, checkpoints[0].name, labels.sentence_lengths)], ignore_index=True)
    table = table[COLUMNS]
    study_spec = StudySpec(specs, k)
    study = Study(study_spec.key(), table, study_spec, request, tuple(labels.notes), _now())
    store.put_table(study_spec, table, {
        "what": f"study: {study.title}", "request": dataclasses.asdict(request), "notes": labels.notes,
        "created": study.created,
    })
    on_progress(1, 1, "done")
    return study


def probe_layer(
    spec: LayerSpec, activations: dict[str, Activations], labels: _Labels, ks: Sequence[int], store: Store,
    on_progress: Progress = silent,
) -> pd.DataFrame:
    """Accuracy of probes on the k best neurons of one layer, for every k: columns k, split, label, metric, value, n.

    The best are those that rank first in the whole layer's probe (exact LCA, see ranking.lca); each k has a probe
    of its own, fitted on these neurons alone. Two processes that want the same layer take turns.
    """
    with store.lock(spec.key(), lambda: on_progress(0, 1, "waiting for another process at the same layer")):
        stored, probes = store.table(spec), layer_probes(store, spec)
        parts = [] if stored is None else [stored[stored.k.isin(list(probes))]]
        missing = sorted(set(ks).difference(*(part.k for part in parts)))
        if missing:
            what = {"what": f"probes: layer {spec.layer}, {labels.what}"}
            parts.append(pd.DataFrame(_fit(spec, activations, labels, missing, probes, on_progress)))
        table = pd.concat(parts).sort_values(["k", "split", "label", "metric"], ignore_index=True)
        if missing:
            store.put_arrays(spec, to_arrays(probes), what | {"labels": list(labels.inventory)})
            store.put_table(spec, table, what)
    return table[table.k.isin(ks)]


def layer_probes(store: Store, spec: LayerSpec) -> dict[int, Probe]:
    """The probes of one layer that the store has, by their number of neurons."""
    found = store.arrays(spec)
    return {} if found is None else from_arrays(found[0])


def _fit(
    spec: LayerSpec, activations: dict[str, Activations], labels: _Labels, ks: Sequence[int],
    probes: dict[int, Probe], on_progress: Progress,
) -> Iterator[dict]:
    """The rows of probe_layer's table for these k; the probes they come from are added to `probes`."""
    from explorer.probes import LayerProbes

    x = {split: activations[split].layer(spec.layer)[activations[split].kept] for split in SPLITS}
    y = labels.codes
    fitter = LayerProbes(x["train"], y["train"], len(labels.inventory), spec.probe, (x["dev"], y["dev"]))
    width = x["train"].shape[1]
    whole = probes.get(width) or fitter.fit()
    order = lca(whole.weight).order
    for i, k in enumerate(ks):
        on_progress(i, len(ks), f"top {k} neurons")
        probe = probes[k] = whole if k == width else fitter.fit(order[:k], start=whole)
        for split in ("dev", "test"):
            right = probe.predict(x[split]) == y[split]
            hits = np.bincount(labels.sentences[split], right).astype(np.uint16)
            for row in _accuracies(right, labels.names[split]):
                yield {"k": k, "split": split, "metric": "accuracy", **row,
                       "hits": hits if split == "test" and row["label"] == "" else None}


def _accuracies(right: np.ndarray, names: np.ndarray) -> Iterator[dict]:
    """One row for all words of a split and one for each of its labels."""
    by_label = pd.Series(right).groupby(names).agg(["mean", "size"])
    for label, value, n in [("", right.mean(), len(right)), *by_label.itertuples()]:
        yield {"label": label, "value": float(value), "n": int(n)}


def _intervals(parts: pd.DataFrame, base: str, sentence_lengths: np.ndarray) -> Iterator[pd.DataFrame]:
    """95 % bounds of every accuracy and delta over the whole test split: metrics accuracy_low, delta_high, ...

    One draw of sentences (seed 0) serves all of them, so that a delta is paired.
    """
    drawn = resamples(len(sentence_lengths), np.random.default_rng(0))
    whole = parts[parts.hits.notna()].sort_values(["layer", "k"])
    hits = {name: np.stack(list(rows.hits), 1).astype(np.int32) for name, rows in whole.groupby("checkpoint")}
    for name, rows in whole.groupby("checkpoint"):
        measured = {"accuracy": hits[name]} | ({"delta": hits[name] - hits[base]} if name != base else {})
        for metric, found in measured.items():
            low, high = interval(found, sentence_lengths, drawn)
            yield rows.assign(metric=f"{metric}_low", value=low)
            yield rows.assign(metric=f"{metric}_high", value=high)
        if name != base:
            yield rows.assign(metric="delta", value=measured["delta"].sum(0) / sentence_lengths.sum())


class _Labels:
    """The labels of the words that have activations, as codes, and what the user should know of the others."""

    def __init__(self, corpus: Corpus, activations: dict[str, Activations]) -> None:
        splits = {split.name: split for split in (corpus.train, corpus.dev, corpus.test)}
        self.what = f"{corpus.property} of {corpus.train.words_digest()}"
        self.names = {name: _flat(split)[activations[name].kept] for name, split in splits.items()}
        self.sentences = {name: _sentences(split, activations[name].kept) for name, split in splits.items()}
        self.inventory = np.unique(self.names["train"])
        self.codes = {name: pd.Index(self.inventory).get_indexer(names) for name, names in self.names.items()}
        self.notes = [note for name in splits for note in self._notes(name, ~activations[name].kept)]
        if len(self.inventory) < 2:
            raise InputError(f"property {corpus.property}: every training word that the model keeps has the label "
                             f"{self.inventory[0]!r}; a probe takes two labels or more")

    @property
    def sentence_lengths(self) -> np.ndarray:
        """(sentences,) words in each test sentence that has any."""
        return np.bincount(self.sentences["test"])

    def _notes(self, split: str, masked: np.ndarray) -> Iterator[str]:
        if masked.any():
            yield (f"{split}: {_count(masked.sum(), 'word')} of {len(masked)} left out, cut off by the model's "
                   f"maximum length or dropped by its tokenizer")
        unseen = self.names[split][self.codes[split] == UNSEEN]
        if len(unseen):
            yield (f"{split}: {_count(len(unseen), 'word')} counted as errors: training never has their "
                   f"{_count(len(np.unique(unseen)), 'label')} ({', '.join(np.unique(unseen)[:5])}"
                   f"{', ...' if len(np.unique(unseen)) > 5 else ''})")


def _keep_words(corpus: Corpus, of_labels: str, store: Store) -> None:
    """Words and labels go into the store, so that pages that show words need not the corpus's files."""
    for split in (corpus.train, corpus.dev, corpus.test):
        spec = WordsSpec(split.words_digest(), of_labels)
        if store.table(spec) is None:
            number = np.repeat(np.arange(len(split.sentences)), [len(words) for words in split.sentences])
            words = [word for sentence in split.sentences for word in sentence]
            table = pd.DataFrame({"sentence": number.astype(np.int32), "word": words, "label": _flat(split)})
            store.put_table(spec, table, {"what": f"words: {split.name}, {split.n_words} words, {corpus.property}"})


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _flat(split: Split) -> np.ndarray:
    """The labels of a split, word by word, as objects."""
    return np.array([label for sentence in split.labels for label in sentence], dtype=object)


def _sentences(split: Split, kept: np.ndarray) -> np.ndarray:
    """(kept words,) number of the sentence that each is in, counting those alone that have any."""
    number = np.repeat(np.arange(len(split.sentences)), [len(sentence) for sentence in split.sentences])
    return np.unique(number[kept], return_inverse=True)[1]


class _Stages:
    """Progress over the whole study: stages weighted by the time they take, in words that cross a layer."""

    EXTRACTION = 0.3  # time of a forward pass per word and layer, against the probes' per training word and layer

    def __init__(self, corpus: Corpus, checkpoints: Sequence[Checkpoint], on_progress: Progress) -> None:
        words = sum(split.n_words for split in (corpus.train, corpus.dev, corpus.test))
        layers = sum(checkpoint.n_layers for checkpoint in checkpoints)
        self.total = layers * (self.EXTRACTION * words + corpus.train.n_words)
        self.done, self.on_progress = 0.0, on_progress

    def run(self, what: str, weight: float) -> Progress:
        """The callback of the next stage; what was begun before counts as done."""
        start = self.done
        self.done += weight

        def report(done: int, total: int, detail: str) -> None:
            permille = 1000 * (start + weight * done / max(total, 1)) / self.total
            self.on_progress(min(int(permille), 999), 1000, f"{what}, {detail}" if detail else what)

        report(0, 1, "")
        return report


def _checkpoints(request: StudyRequest, on_progress: Progress) -> list[Checkpoint]:
    """The base and the fine-tuned checkpoints, each checked against the base."""
    if not request.finetuned:
        raise InputError("fine-tuned checkpoint: none was given; a study compares at least one with its base")
    names = (request.base, *request.finetuned)
    if len(set(names)) < len(names):
        raise InputError(f"checkpoints: each is named once; got {', '.join(names)}")
    base = resolve(request.base, on_progress)
    found = [resolve(name, on_progress) for name in request.finetuned]
    for checkpoint in found:
        check_pair(base, checkpoint)
    return [base, *found]


def _activations(checkpoint: Checkpoint, corpus: Corpus, request: StudyRequest, store: Store, stages: _Stages
                 ) -> dict[str, Activations]:
    from explorer.extract import extract

    found = {}
    for split in (corpus.train, corpus.dev, corpus.test):
        progress = stages.run(f"{short_name(checkpoint.name)}: activations of {split.name}",
                              _Stages.EXTRACTION * split.n_words * checkpoint.n_layers)
        found[split.name] = extract(checkpoint, split, store, request.pooling, on_progress=progress)
    return found


def _k(asked: Sequence[int], width: int) -> tuple[int, ...]:
    """The grid of k, rising, the whole layer included."""
    wrong = [k for k in asked if not 1 <= k <= width]
    if wrong:
        raise InputError(f"k: {wrong[0]} neurons were asked for; this model's layers take 1 to {width}")
    return tuple(sorted({*(asked or k_grid(width)), width}))


def _labels_digest(corpus: Corpus) -> str:
    return digest(corpus.property, *(split.labels_digest() for split in (corpus.train, corpus.dev, corpus.test)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
