"""Studies: probe accuracy of a pre-trained and its fine-tuned checkpoints, by layer and number of neurons.

Importing this module, listing studies and looking at one import neither torch nor transformers.
"""
from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import PurePath

import numpy as np
import pandas as pd

from explorer.baselines import control_task
from explorer.confounds import FAR
from explorer.corpus import Corpus, CorpusRequest, read_corpus
from explorer.figures import COLUMNS, tabulate
from explorer.labels import SPLITS, Labels, flat
from explorer.layer import Arrays, Wanted, fit_layer
from explorer.models import Checkpoint, check_pair, place, resolve, tuning
from explorer.probe import from_arrays
from explorer.ranking import k_grid
from explorer.specs import InputError, LayerSpec, ProbeSpec, Progress, Spec, WordsSpec, digest, silent
from explorer.store import SHIPPED, Activations, Store
from explorer.tasks import task_name

__all__ = ["COLUMNS", "SPLITS", "Study", "StudyRequest", "StudySpec", "Summary", "finished", "load", "run_study",
           "short_name", "title"]
PACKAGES = ("numpy", "pandas", "torch", "transformers", "tokenizers", "scipy", "scikit-learn", "seqeval")


@dataclass(frozen=True)
class StudyRequest:
    """What a user asks for, by name; run_study finds out what the names stand for."""

    base: str
    finetuned: tuple[str, ...]
    corpus: CorpusRequest
    pooling: str = "last"
    k: tuple[int, ...] = ()  # numbers of neurons; empty: a log-spaced grid; the whole layer is always added
    probe: ProbeSpec = field(default_factory=ProbeSpec)
    control: int = 6  # of the numbers of neurons, how many have a control task: the whole layer, others evenly; 0: none
    description: bool = True  # whether the description length is computed

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
    control: tuple[int, ...] = ()  # those of k that have a control task
    description: bool = False

    @property
    def made_of(self) -> tuple[str, ...]:
        """Digests: of words and labels, then of each checkpoint. Names and paths may come to stand for other things."""
        first = self.checkpoints[0][1]
        data = digest(first.labels, *(getattr(first, split).words for split in SPLITS))
        return data, *(spec.train.checkpoint for _, spec in self.checkpoints)

    @classmethod
    def from_dict(cls, fields: dict) -> StudySpec:
        """The spec that as_dict, or its JSON, was made of."""
        checkpoints = tuple((name, LayerSpec.from_dict(spec)) for name, spec in fields["checkpoints"])
        return cls(checkpoints, tuple(fields["k"]), tuple(fields.get("control", ())), fields.get("description", False))


@dataclass(frozen=True)
class Study:
    """A finished study: the tidy table (columns COLUMNS) and what it is of."""

    key: str
    table: pd.DataFrame = field(repr=False)
    spec: StudySpec
    request: StudyRequest
    notes: tuple[str, ...]
    created: str
    made: dict = field(default_factory=dict, repr=False)  # versions, size of the corpus, how checkpoints were tuned

    @property
    def base(self) -> str:
        return self.request.base

    @property
    def finetuned(self) -> tuple[str, ...]:
        return self.request.finetuned

    @property
    def made_of(self) -> tuple[str, ...]:
        return self.spec.made_of

    @property
    def title(self) -> str:
        return title(self.request)

    def layers(self, split: str = "test") -> pd.DataFrame:
        """Accuracy of the whole layer's probe: one row a layer, one column a checkpoint."""
        table = self.table
        whole = (table.label == "") & (table.k == table.k.max())
        rows = table[whole & (table.split == split) & (table.metric == "accuracy")]
        return rows.pivot_table(index="layer", columns="checkpoint", values="value")[[self.base, *self.finetuned]]


@dataclass(frozen=True)
class Summary:
    """A line in a list of studies."""

    key: str
    title: str
    created: str
    request: StudyRequest
    shipped: bool  # with the explorer
    made_of: tuple[str, ...] = ()  # see StudySpec
    tasks: dict[str, str] = field(default_factory=dict, hash=False)  # of fine-tuned checkpoints, see tasks_of
    architecture: str = ""  # of its pre-trained model, as transformers calls the type; empty where it is not known


def tasks_of(made: dict) -> dict[str, str]:
    """What fine-tuned checkpoints were tuned on, keys of TASKS or other names, as far as their runs' records say it."""
    return {name: task_name(record["task"]) for name, record in made.get("tuning", {}).items() if record.get("task")}


def unusual(request: StudyRequest) -> str:
    """The settings that are not as they are unasked, in words: studies that differ in one do not compare."""
    probe, usual = request.probe, ProbeSpec()
    return ", ".join(text for differs, text in (
        (request.corpus.limit, f"sample of {request.corpus.limit or 0:,} sentences"),
        (request.pooling != "last", f"{request.pooling} sub-word"),
        (probe.l2_grid, "strength chosen on dev"),
        (not probe.l2_grid and probe.l2 != usual.l2, f"L2 {probe.l2:g}"),
        (probe.l1 != usual.l1, f"L1 {probe.l1:g}"),
        (not probe.standardise, "not standardised"),
        (probe.drop_outliers, "without outliers"),
        (probe.seed != usual.seed, f"seed {probe.seed}"),
    ) if differs)


def title(request: StudyRequest) -> str:
    """One line that tells studies apart: property, corpus, base and fine-tuned checkpoints."""
    names = ", ".join(_named(request.finetuned))
    corpus = PurePath(request.corpus.train).name
    return f"{request.corpus.property} · {corpus} · {short_name(request.base)} → {names}"


def _named(checkpoints: Sequence[str]) -> Iterator[str]:
    """Short names, the steps of a run counted where there are several."""
    places = [place(name) for name in checkpoints]
    for name, found in zip(checkpoints, places, strict=True):
        of_run = [other for other in places if found and other and other[0] == found[0]]
        if len(of_run) < 2:
            yield short_name(name)
        elif found == of_run[0]:
            yield f"{short_name(found[0])} ({len(of_run)} steps)"


def short_name(name: str) -> str:
    """The telling end of a folder's path: 'runs/sst2/checkpoint-40' -> 'sst2/checkpoint-40'; hub ids stay."""
    if name.startswith("random:"):
        return "random:" + short_name(name.removeprefix("random:"))
    parts = PurePath(name).parts
    keep = 2 if parts and parts[-1].startswith("checkpoint-") else 1
    return name if len(parts) <= 2 and not name.startswith("/") else "/".join(parts[-keep:])


def telling_name(name: str, names: Iterable[str]) -> str:
    """The short name, unless that of another of the names is the same."""
    short = short_name(name)
    return short if sum(short_name(other) == short for other in set(names)) == 1 else name


def finished(store: Store) -> list[Summary]:
    """The studies in the store, newest first, but for those that another has gone on with, checkpoint by checkpoint."""
    found = []
    for key, spec, meta in store.tables("StudySpec"):
        try:
            request, made = StudyRequest.from_dict(meta["request"]), meta.get("made", {})
        except (KeyError, TypeError):  # of a version that asked for other things: to be run again
            continue
        found.append(Summary(key, title(request), meta["created"], request, bool(meta.get(SHIPPED)),
                             StudySpec.from_dict(spec).made_of, tasks_of(made), _architecture(made, request.base)))
    grown = {(dataclasses.replace(summary.request, finetuned=summary.request.finetuned[:n]), summary.made_of[:n + 2])
             for summary in found for n in range(1, len(summary.request.finetuned))}
    return sorted((summary for summary in found if (summary.request, summary.made_of) not in grown),
                  key=lambda summary: summary.created, reverse=True)


def _architecture(made: dict, base: str) -> str:
    return str(made.get("models", {}).get(base, {}).get("type", ""))


def load(store: Store, key: str, rows: list[tuple] | None = None) -> Study:
    """A finished study, its table in full or some rows alone; raises InputError when the store has none of the key."""
    found = store.table_by_key(key, rows)
    if found is None:
        raise InputError(f"study {key!r}: there is none in {store.root}; run it again, or choose another")
    meta = found.meta
    return Study(key, found.table, StudySpec.from_dict(found.spec), StudyRequest.from_dict(meta["request"]),
                 tuple(meta["notes"]), meta["created"], meta.get("made", {}))


def run_study(request: StudyRequest, store: Store, on_progress: Progress = silent, device: str | None = None) -> Study:
    """Compute what the store does not have yet and return the study; device is where models run, see extract.

    Activations are kept per checkpoint and split, probes per checkpoint and layer: a run that was killed goes on
    where it stopped, and a study that shares parts with earlier ones computes only the rest. Raises InputError
    for whatever the user can mend.
    """
    request.probe.check()
    on_progress(0, 1, "reading the corpus")
    corpus = read_corpus(request.corpus)
    checkpoints = _checkpoints(request, on_progress)
    k = _k(request.k, checkpoints[0].width)
    stages = _Stages(corpus, checkpoints, on_progress)
    activations = {c.name: _activations(c, corpus, request, store, stages, device) for c in checkpoints}
    of_labels = _labels_digest(corpus)
    _keep_words(corpus, of_labels, store)
    specs = tuple(
        (name, LayerSpec(found["train"].spec, found["dev"].spec, found["test"].spec, of_labels, 0, request.probe))
        for name, found in activations.items()
    )
    labels = Labels(corpus, activations[checkpoints[0].name])
    wanted = Wanted(k, _spread(k, request.control), request.description)
    fitted: dict[str, list[Arrays]] = {name: [] for name, _ in specs}
    for checkpoint, (name, spec) in zip(checkpoints, specs, strict=True):
        for layer in range(checkpoint.n_layers):
            progress = stages.run(f"{short_name(name)}: probes on layer {layer}", corpus.train.n_words)
            below = fitted[name][-1] if layer else None
            fitted[name].append(fit_layer(dataclasses.replace(spec, layer=layer), activations[name], labels, wanted,
                                          store, below, progress))
    on_progress(999, 1000, "figures and their intervals")
    seed = request.probe.seed
    control = control_task(labels.words, labels.codes["train"], seed)["test"]
    table = tabulate(fitted, labels, wanted, control, seed)
    study_spec = StudySpec(specs, k, wanted.control, wanted.description)
    notes = (*labels.notes, *_outliers(fitted), *_unfinished(fitted, k))
    known = store.table_by_key(study_spec.key())
    created = known.meta["created"] if known else _now()
    study = Study(study_spec.key(), table, study_spec, request, notes, created, _made(labels, checkpoints))
    store.put_table(study_spec, table, {
        "what": f"study: {study.title}", "request": dataclasses.asdict(request), "notes": notes,
        "created": study.created, "made": study.made,
    })
    on_progress(1, 1, "done")
    return study


def _keep_words(corpus: Corpus, of_labels: str, store: Store) -> None:
    """Words and labels go into the store, so that pages that show words need not the corpus's files."""
    for split in (corpus.train, corpus.dev, corpus.test):
        spec = WordsSpec(split.words_digest(), of_labels)
        if store.table(spec) is None:
            number = np.repeat(np.arange(len(split.sentences)), [len(words) for words in split.sentences])
            table = pd.DataFrame({"sentence": number.astype(np.int32), "word": flat(split.sentences),
                                  "label": flat(split.labels)})
            store.put_table(spec, table, {"what": f"words: {split.name}, {split.n_words} words, {corpus.property}"})


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


def _activations(checkpoint: Checkpoint, corpus: Corpus, request: StudyRequest, store: Store, stages: _Stages,
                 device: str | None) -> dict[str, Activations]:
    from explorer.extract import extract

    found = {}
    for split in (corpus.train, corpus.dev, corpus.test):
        progress = stages.run(f"{short_name(checkpoint.name)}: activations of {split.name}",
                              _Stages.EXTRACTION * split.n_words * checkpoint.n_layers)
        found[split.name] = extract(checkpoint, split, store, request.pooling, device=device, on_progress=progress)
    return found


def _k(asked: Sequence[int], width: int) -> tuple[int, ...]:
    """The grid of k, rising, the whole layer included."""
    wrong = [k for k in asked if not 1 <= k <= width]
    if wrong:
        raise InputError(f"k: {wrong[0]} neurons were asked for; this model's layers take 1 to {width}")
    return tuple(sorted({*(asked or k_grid(width)), width}))


def _spread(k: Sequence[int], n: int) -> tuple[int, ...]:
    """n of these numbers of neurons, evenly over their grid, the largest first to be taken."""
    if n < 0:
        raise InputError(f"control: got {n}; takes how many numbers of neurons have a control task, 0 or more")
    places = np.linspace(0, len(k) - 1, min(n, len(k))).round().astype(int) if n > 1 else [-1] * n
    return tuple(k[place] for place in places)


def _outliers(fitted: dict[str, list[Arrays]]) -> list[str]:
    """A note for each checkpoint that has neurons far out."""
    far = {name: [f"L{layer}:{neuron}" for layer, arrays in enumerate(layers) for neuron in arrays["outliers"]]
           for name, layers in fitted.items()}
    return [f"{short_name(name)}: neurons whose mean lies over {FAR:g} standard deviations from their layer's: "
            f"{', '.join(neurons)}" for name, neurons in far.items() if neurons]


def _unfinished(fitted: dict[str, list[Arrays]], ks: Sequence[int]) -> list[str]:
    """A note for each checkpoint some of whose probes did not come to the tolerance."""
    notes = []
    for name, layers in fitted.items():
        ended = [f"layer {layer}, {k} neurons" for layer, arrays in enumerate(layers)
                 for k, probe in from_arrays(arrays).items() if k in ks and not probe.converged]
        if ended:
            notes.append(f"{short_name(name)}: {len(ended)} probes ended before they came to the tolerance: "
                         f"{'; '.join(ended[:5])}{'; ...' if len(ended) > 5 else ''}")
    return notes


def _made(labels: Labels, checkpoints: Sequence[Checkpoint]) -> dict:
    """What a reader of the figures wants to know of how they came about."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "sizes": {split: {"words": len(labels.codes[split]), "sentences": int(labels.sentences[split].max()) + 1}
                  for split in SPLITS},
        "labels": len(labels.inventory),
        "models": {c.name: {"type": c.model_type, "layers": c.n_layers, "width": c.width} for c in checkpoints},
        "tuning": {c.name: found for c in checkpoints
                   if c.seed is None and (found := tuning(c.folder))},
    }


def _labels_digest(corpus: Corpus) -> str:
    return digest(corpus.property, *(split.labels_digest() for split in (corpus.train, corpus.dev, corpus.test)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
