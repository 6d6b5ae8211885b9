"""Studies: probe accuracy of a pre-trained and its fine-tuned checkpoints, by layer and number of neurons.

Importing this module, listing studies and looking at one import neither torch nor transformers.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from explorer.corpus import Corpus, CorpusRequest, Split, read_corpus
from explorer.models import Checkpoint, check_pair, resolve
from explorer.ranking import k_grid
from explorer.specs import ActivationSpec, InputError, LayerSpec, ProbeSpec, Progress, Spec, digest, silent
from explorer.store import Activations, Store

if TYPE_CHECKING:
    from explorer.probes import LayerProbes

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
    probe: ProbeSpec = ProbeSpec()

    @classmethod
    def from_dict(cls, fields: dict) -> StudyRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        corpus, probe = dict(fields["corpus"]), dict(fields["probe"])
        if corpus["columns"] is not None:
            corpus["columns"] = tuple(corpus["columns"])
        probe["l2_grid"] = tuple(probe["l2_grid"])
        return cls(**fields | {
            "finetuned": tuple(fields["finetuned"]), "k": tuple(fields["k"]),
            "corpus": CorpusRequest(**corpus), "probe": ProbeSpec(**probe),
        })


@dataclass(frozen=True)
class StudySpec(Spec):
    """What a study's table depends on."""

    checkpoints: tuple[tuple[str, LayerSpec], ...]  # display name; spec of layer 0, the others follow from it
    k: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """A finished study: the tidy table (columns COLUMNS) and what it is of."""

    key: str
    table: pd.DataFrame = field(repr=False)
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


@dataclass(frozen=True)
class Summary:
    """A line in a list of studies."""

    key: str
    title: str
    created: str


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
    found = [
        Summary(key, title(StudyRequest.from_dict(meta["request"])), meta["created"])
        for key, meta in store.tables("StudySpec")
    ]
    return sorted(found, key=lambda summary: summary.created, reverse=True)


def load(store: Store, key: str) -> Study:
    """A finished study; raises InputError when the store has none under the key."""
    found = store.table_by_key(key)
    if found is None:
        raise InputError(f"study {key!r}: there is none in {store.root}; run it again, or choose another")
    table, meta = found
    return Study(key, table, StudyRequest.from_dict(meta["request"]), tuple(meta["notes"]), meta["created"])


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
    specs = tuple(
        (c.name, LayerSpec(*(activations[c.name][split].spec for split in SPLITS), _labels_digest(corpus), 0,
                           request.probe))
        for c in checkpoints
    )
    labels = _Labels(corpus, activations[checkpoints[0].name])
    tables = []
    for checkpoint, (name, spec) in zip(checkpoints, specs, strict=True):
        for layer in range(checkpoint.n_layers):
            with stages.stage(f"{short_name(name)}: probes on layer {layer}", corpus.train.n_words) as progress:
                rows = probe_layer(dataclasses.replace(spec, layer=layer), activations[name], labels, k, store,
                                   progress)
            tables.append(rows.assign(checkpoint=name, layer=layer))
    table = pd.concat(tables, ignore_index=True)[COLUMNS]
    study_spec = StudySpec(specs, k)
    meta = {"request": dataclasses.asdict(request), "notes": labels.notes, "created": _now()}
    store.put_table(study_spec, table, {"what": f"study: {title(request)}", **meta})
    on_progress(1, 1, "done")
    return Study(study_spec.key(), table, request, tuple(labels.notes), meta["created"])
