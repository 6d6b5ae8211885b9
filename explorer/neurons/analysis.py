"""The analysis of a study's neurons: which parts it has, their place in the cache, and the job that computes them."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from explorer.evidence import Evidence, Missing
from explorer.neurons import parts
from explorer.neurons.parts import ALL, DRAWS, LIKELIHOOD, RESAMPLES, SAMPLE
from explorer.probe import Probe, from_arrays, to_arrays
from explorer.specs import InputError, LayerSpec, Progress, Spec, silent
from explorer.store import ARRAYS, TABLE, Store
from explorer.study import Study, load, short_name, title

PARTS = {
    "moves": "correlation of every neuron before and after, and CKA of every layer",
    "everywhere": "ranking over all layers at once, and 5 resamples of the training sentences",
    "controls": "probes on the top, the bottom and random neurons, retrained and masked",
    "rankings": "every method's ranking, and 5 resamples of the training sentences",
    "likelihood": "Gaussian ranking by likelihood, of each layer and over all layers at once",
    "methods": "probes on the neurons that each method ranks first and last",
}


@dataclass(frozen=True)
class NeuronsRequest:
    """What a user asks for: parts of the analysis of a pair of a finished study's checkpoints."""

    study: str  # its key
    finetuned: str  # one of its checkpoints
    parts: tuple[str, ...] = tuple(PARTS)

    @classmethod
    def from_dict(cls, fields: dict) -> NeuronsRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        return cls(**fields | {"parts": tuple(fields["parts"])})


@dataclass(frozen=True)
class NeuronsSpec(Spec):
    """What one table depends on: a part, for one layer of one checkpoint."""

    part: str
    of: LayerSpec  # layer ALL: all layers at once
    after: LayerSpec | None = None  # of 'moves': the fine-tuned checkpoint's
    k: tuple[int, ...] = ()  # of 'controls' and 'methods'
    seed: int = 0
    resamples: int = RESAMPLES
    draws: int = DRAWS
    sample: int = SAMPLE


@dataclass(frozen=True)
class Cell:
    """One table: a part, for a checkpoint and a layer."""

    part: str
    checkpoint: str
    layer: int

    @property
    def what(self) -> str:
        """In words."""
        where = "all layers" if self.layer == ALL else f"layer {self.layer}"
        return f"{short_name(self.checkpoint)}: {self.part}, {where}"


@dataclass(frozen=True)
class Neurons:
    """The analysis of a pair, as far as the cache has it."""

    store: Store
    study: Study
    finetuned: str

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.store, self.study)

    @property
    def pair(self) -> tuple[str, str]:
        """The pre-trained and the fine-tuned checkpoint."""
        return self.study.base, self.finetuned

    @property
    def n_layers(self) -> int:
        return int(self.study.table.layer.max()) + 1

    @property
    def width(self) -> int:
        return max(self.study.spec.k)

    def cells(self, part: str) -> Iterator[Cell]:
        """The tables of a part, in the order in which they are computed."""
        single = range(self.n_layers)
        layers = {"moves": single, "everywhere": [ALL]}.get(part, [*single, ALL])
        for checkpoint in self.pair[:1] if part == "moves" else self.pair:
            for layer in layers:
                yield Cell(part, checkpoint, layer)

    def spec(self, cell: Cell) -> NeuronsSpec:
        """What the table depends on: the key it has in the cache."""
        of = self.evidence.spec(cell.checkpoint, cell.layer)
        if cell.part == "moves":
            return NeuronsSpec(cell.part, of, self.evidence.spec(self.finetuned, cell.layer))
        return NeuronsSpec(cell.part, of, k=self.study.spec.k if cell.part in ("controls", "methods") else ())

    def table(self, part: str) -> pd.DataFrame | None:
        """All tables of a part in one, with the columns checkpoint and layer; None while any is missing."""
        found = []
        for cell in self.cells(part):
            table = self.store.table(self.spec(cell))
            if table is None:
                return None
            found.append(table.assign(checkpoint=cell.checkpoint, layer=cell.layer))
        return pd.concat(found, ignore_index=True)

    def has(self, part: str) -> bool:
        """Whether nothing of a part is missing or damaged."""
        return all(self.there(cell) for cell in self.cells(part))

    def there(self, cell: Cell) -> bool:
        """Whether the cache has a table whole, and the probe beside it: pruning takes one without the other."""
        return self.store.has(self.spec(cell), TABLE, *([ARRAYS] if cell.part == "everywhere" else []))

    def probe_on_all(self, checkpoint: str) -> Probe:
        """The probe on all layers at once; raises Missing before 'everywhere' is there."""
        found = self.store.arrays(self.spec(Cell("everywhere", checkpoint, ALL)))
        if found is None:
            raise Missing(f"probe of {checkpoint} on all layers: not in {self.store.root}")
        return from_arrays(found[0])[self.width * self.n_layers]


def opened(request: NeuronsRequest, store: Store) -> Neurons:
    """The analysis that a request is of; raises InputError for a study, checkpoint or part that is not there."""
    study = load(store, request.study)
    if request.finetuned not in study.finetuned:
        raise InputError(f"checkpoint {request.finetuned!r}: the study has {', '.join(study.finetuned)}")
    unknown = [part for part in request.parts if part not in PARTS]
    if unknown or not request.parts:
        raise InputError(f"parts: got {', '.join(unknown) or 'none'}; takes {', '.join(PARTS)}")
    return Neurons(store, study, request.finetuned)


def run_neurons(request: NeuronsRequest, store: Store, on_progress: Progress = silent) -> Neurons:
    """Compute what the cache does not have yet of the parts asked for, table by table.

    A run that was killed goes on at the table where it stopped. What lies behind the study and was pruned from the
    cache is computed again first. Raises InputError for whatever the user can mend.
    """
    neurons = opened(request, store)
    if not neurons.evidence.complete():
        neurons.evidence.restore(on_progress)
    wanted = set(request.parts)
    wanted |= {"everywhere"} if wanted & {"controls", "rankings", "methods"} else set()
    wanted |= {"rankings"} if "methods" in wanted else set()
    cells = [cell for part in PARTS if part in wanted for cell in neurons.cells(part)]
    for i, cell in enumerate(cells):
        def tick(step: str, i: int = i, what: str = cell.what) -> None:
            on_progress(i, len(cells), f"{what}, {step}")

        with store.lock(neurons.spec(cell).key(), partial(tick, "waiting for another job")):
            if not neurons.there(cell):
                _compute(neurons, cell, tick)
    on_progress(1, 1, "done")
    return neurons


def _compute(neurons: Neurons, cell: Cell, tick: parts.Tick) -> None:
    """One table, into the store."""
    evidence, spec = neurons.evidence, neurons.spec(cell)
    what = {"what": f"neurons: {cell.what}; {title(neurons.study.request)}"}
    tick("reading")
    if cell.part == "moves":
        neurons.store.put_table(spec, parts.moves(evidence, *neurons.pair, cell.layer), what)
        return
    splits, settings = parts.words(evidence, cell.checkpoint, cell.layer), evidence.settings(cell.checkpoint)
    if cell.part == "everywhere":
        table, probe = parts.everywhere(splits, len(evidence.labels()), settings, spec.seed, tick)
        neurons.store.put_arrays(spec, to_arrays({len(probe.neurons): probe}), what)
    elif cell.part == LIKELIHOOD:
        tick("selecting neurons")
        table = parts.likelihood(splits, len(evidence.labels()), settings)
    else:
        found = {} if cell.layer == ALL else evidence.probes(cell.checkpoint, cell.layer)
        whole = neurons.probe_on_all(cell.checkpoint) if cell.layer == ALL else found[neurons.width]
        if cell.part == "controls":
            table = parts.controls(splits, whole, found, spec.k, settings, spec.seed, tick)
        elif cell.part == "rankings":
            table = parts.rankings(splits, whole, settings, spec.seed, tick, only_once=cell.layer == ALL)
        else:
            ranked = neurons.store.table(dataclasses.replace(spec, part="rankings", k=()))
            table = parts.methods(splits, whole, ranked, spec.k, settings, tick)
    neurons.store.put_table(spec, table, what)
