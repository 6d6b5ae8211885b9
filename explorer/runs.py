"""Runs: what is asked of a fine-tuning, and the folder that it fills. Needs no torch.

The folder holds checkpoint-STEP folders in transformers' usual form, run.json, losses.json (of every step so far), and
until the end resume.pt.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from explorer.files import explained
from explorer.models import Checkpoint
from explorer.specs import FORMAT, InputError, whole
from explorer.tasks import TaskData

FRACTIONS = (0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # most of the change comes early
RECORD, LOSSES, RESUME = "run.json", "losses.json", "resume.pt"


def _number(fits: Callable[[float], bool]) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, int | float) and fits(x)


TAKES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "learning_rate": (_number(lambda x: 0 < x <= 1), "a number above 0, at most 1"),
    "epochs": (_number(lambda x: 0 < x <= 10_000), "a number above 0, at most 10,000"),
    "batch_size": whole(1),
    "max_length": whole(8),  # special sub-words, and some of each sentence
    "weight_decay": (lambda x: 0 <= x < math.inf, "0 or more"),
    "warmup": (lambda x: 0 <= x < 1, "0 or more and less than 1"),
    "seed": whole(0, 2**32 - 1),
    "limit": whole(2, absent=True),
    "freeze": whole(0, absent=True),
    "reinitialise": whole(0),
    "fractions": (lambda x: bool(x) and all(0 <= part <= 1 for part in x), "numbers from 0 to 1"),
}


DEFAULTS = {"freeze": None, "reinitialise": 0}  # of settings that older runs do not tell


@dataclass(frozen=True)
class FinetuneRequest:
    """What a user asks for, by name; finetune() finds out what the names stand for."""

    model: str  # hub id[@revision], folder or starter name
    task: str  # a key of TASKS
    data: str  # a GLUE folder, one of its tasks' folders, or a TSV of one's own
    out: str  # folder of the run
    learning_rate: float = 5e-5
    epochs: float = 3.0
    batch_size: int = 32
    max_length: int = 128  # sub-words of a row, special ones and both sentences included
    weight_decay: float = 0.01
    warmup: float = 0.0  # share of the steps over which the rate rises
    seed: int = 0  # of the new head, dropout, the order of rows, the sample and the cut
    limit: int | None = None  # train on so many rows, sampled
    fractions: tuple[float, ...] = FRACTIONS  # of the run, at which a checkpoint is kept
    freeze: int | None = None  # keep the embeddings and so many of the lowest blocks as they are
    reinitialise: int = 0  # begin so many of the highest blocks anew

    @classmethod
    def from_dict(cls, fields: dict) -> FinetuneRequest:
        """The request that dataclasses.asdict, or its JSON, was made of."""
        return cls(**fields | {"fractions": tuple(fields["fractions"])})

    def check(self, blocks: float = math.inf) -> None:
        """Raises InputError for a setting out of range, for a model of so many blocks; no name is looked up."""
        for name, (fits, takes) in TAKES.items():
            value = getattr(self, name)
            if not fits(value):
                raise InputError(f"{name}: {value}; takes {takes}")
        for name, asked in (("freeze", self.freeze or 0), ("reinitialise", self.reinitialise)):
            if asked > blocks:
                raise InputError(f"{name}: {asked}; takes 0 to {blocks}, the blocks that this model has")


class Run:
    """A run's folder and what its run.json says, in `record`."""

    def __init__(self, folder: Path, record: dict) -> None:
        self.folder, self.record = folder, record

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.record["steps"]

    @property
    def due(self) -> list[int]:
        """Steps at which a checkpoint is kept, in order."""
        return sorted({round(part * self.steps) for part in self.record["fractions"]})

    @property
    def saved(self) -> list[int]:
        """Those at which one has been."""
        return [checkpoint["step"] for checkpoint in self.record["checkpoints"]]

    @property
    def finished(self) -> bool:
        return self.saved == self.due

    def add(self, step: int, **figures: object) -> None:
        """Write down a checkpoint that is in its place."""
        self.record["checkpoints"].append({"step": step, **figures})
        self.write()

    def tell(self, losses: list[float]) -> None:
        """Write the loss of every step so far, for those who watch."""
        with into_place(self.folder / LOSSES) as path:
            path.write_text(json.dumps({"losses": [float(f"{loss:.5g}") for loss in losses]}))

    def write(self) -> None:
        with into_place(self.folder / RECORD) as path:
            path.write_text(json.dumps(self.record, indent=1, ensure_ascii=False), encoding="utf-8")

    def check_space(self, weights: int) -> None:
        """Raises InputError when the disk cannot hold what is to come, at so many bytes a checkpoint."""
        states = 2 * 3 * weights  # resume.pt: weights and two moments, beside the one that it replaces
        need = weights * (len(self.due) - len(self.saved)) + states
        free = shutil.disk_usage(self.folder).free
        if need > free:
            raise InputError(f"out: the run needs {need / 1e9:.1f} GB in {self.folder}, where "
                             f"{free / 1e9:.1f} GB is free; make room or ask for fewer fractions")


@contextlib.contextmanager
def opened(request: FinetuneRequest, base: Checkpoint, data: TaskData) -> Iterator[Run]:
    """The run that is asked for, new or as far as it came, and nobody else's until the block ends.

    Raises InputError when the folder holds another run or other things, or another process is at work in it.
    """
    folder = Path(request.out)
    lock = filelock.FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / RECORD).is_file() and any(not p.name.startswith(".") for p in folder.iterdir()):
            raise InputError(f"out: {folder} holds something other than a run; choose a new folder")
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(f"out: another process is at work in {folder}; wait for it to end") from error
    except OSError as error:
        raise InputError(f"out: {folder}: {error.strerror}; takes a folder that can be written to") from error
    try:
        yield _open(folder, request, base, data)
    finally:
        lock.release()


def _open(folder: Path, request: FinetuneRequest, base: Checkpoint, data: TaskData) -> Run:
    settings = {k: v for k, v in dataclasses.asdict(request).items() if k not in ("model", "data", "out")}
    identity = {
        "format": FORMAT, "base_digest": base.digest, "data_digest": data.digest(), **settings,
        "fractions": list(request.fractions),
        "steps": max(1, round(request.epochs * math.ceil(len(data.train) / request.batch_size))),
    }
    if (folder / RECORD).is_file():
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        differ = [f"{k} {found}, asked for {v}" for k, v in identity.items()
                  if (found := record.get(k, DEFAULTS.get(k))) != v]
        if differ:
            raise InputError(f"out: {folder} holds another run ({'; '.join(differ)}); choose a new folder")
        return Run(folder, record)
    run = Run(folder, {
        "base": base.name, "data": request.data, **identity, "labels": list(data.labels),
        "train_rows": len(data.train), "dev_rows": len(data.dev), "dev_set": data.dev_set,
        "metric": data.task.metrics[0], "baseline": data.baseline(), "checkpoints": [],
    })
    run.write()
    return run


@contextlib.contextmanager
def into_place(path: Path) -> Iterator[Path]:
    """A temporary name to write a file or folder to: moved to path if all goes well, removed if not.

    Raises InputError for a disk that is full or may not be written to.
    """
    temporary = path.with_name(f".{path.name}")
    with explained(path):
        _remove(temporary)
        try:
            yield temporary
            if path.is_dir():  # of a run that was killed before it wrote the folder down
                _remove(path)
            temporary.replace(path)
        finally:
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
