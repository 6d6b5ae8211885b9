"""What is known of a run: its steps, losses and dev scores, whoever made it.

Ours have run.json and losses.json. Runs of transformers' Trainer have trainer_state.json, in the run's folder or in
each checkpoint's. Of revisions on the hub there are the steps alone.
"""
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.models import folder_of, place, steps
from explorer.runs import LOSSES, RECORD
from explorer.specs import InputError
from explorer.tasks import task_name

TRAINER = "trainer_state.json"
METRICS = ("accuracy", "matthews_correlation", "pearson", "spearmanr", "f1", "combined_score")  # best first
NO_SCORES = ("runtime", "_time", "_per_second", "loss", "epoch", "mse", "mae", "error", "perplexity")  # ends of names


@dataclass(frozen=True)
class Point:
    """A step of a run at which a checkpoint was kept."""

    step: int
    checkpoint: str  # as resolve() takes it
    epoch: float | None = None
    loss: float | None = None  # in training, mean since the checkpoint before
    dev_loss: float | None = None
    dev_score: float | None = None  # from 0 to 1


@dataclass(frozen=True)
class History:
    """A run as far as it is known."""

    name: str  # its folder, or what its checkpoints' names have in common
    points: tuple[Point, ...]  # in the order of their steps
    task: str = ""
    metric: str = ""  # what dev_score is
    train_rows: int | None = None
    steps: int | None = None  # of the whole run
    baseline: float | None = None  # dev score of one answer for all
    losses: tuple[tuple[int, float], ...] = ()  # step and loss in training
    unreadable: str = ""  # why its record tells nothing

    def at(self, checkpoint: str) -> Point | None:
        """The point of a checkpoint's name, or None."""
        return next((point for point in self.points if point.checkpoint == checkpoint), None)

    def place(self, point: Point) -> str:
        """How far along the run a point is, in words."""
        total = f"of {self.steps:,}" if self.steps else ""
        return total + (f", epoch {point.epoch:.3g}" if point.epoch is not None else "")


def histories(checkpoints: Sequence[str]) -> list[History]:
    """The runs that these checkpoints are steps of, each with those of its steps alone; others are left out.

    Where a record cannot be read the steps are all that is known, as of revisions on the hub.
    """
    return [_lenient(bare) for bare in _bare(checkpoints)]


def read_run(folder: Path) -> History:
    """A run's folder; raises InputError where it has no checkpoints, or a record that cannot be read."""
    found = steps(folder)
    if not found:
        raise InputError(f"run {folder}: there are no checkpoint-STEP folders in it")
    return _known(_bare([str(path) for path in found])[0])


def _bare(checkpoints: Sequence[str]) -> list[History]:
    """The runs as far as the names tell."""
    found: dict[str, list[Point]] = {}
    for name in checkpoints:
        if at := place(name):
            found.setdefault(at[0], []).append(Point(at[1], name))
    return [History(name, tuple(sorted(points, key=lambda point: point.step))) for name, points in found.items()]


def _lenient(bare: History) -> History:
    try:
        return _known(bare)
    except InputError as error:
        return replace(bare, unreadable=str(error))


def _known(bare: History) -> History:
    """With what its record tells; raises InputError for one that cannot be read."""
    folder = folder_of(bare.name)
    if (folder / RECORD).is_file():
        return _ours(bare, folder)
    states = [folder / TRAINER, *(path / TRAINER for path in reversed(steps(folder)))]
    latest = next((path for path in states if path.is_file()), None)
    return _trainers(bare, latest) if latest else bare


def _ours(bare: History, folder: Path) -> History:
    trained = losses(folder)
    with _record(folder / RECORD) as record:
        kept = {kept["step"]: kept for kept in record["checkpoints"]}
        points = tuple(
            replace(point, **{field: kept[point.step][field] for field in ("epoch", "loss", "dev_loss", "dev_score")})
            if point.step in kept else point for point in bare.points)
        return replace(
            bare, points=points, task=task_name(record["task"], record["data"]), metric=record["metric"],
            train_rows=record["train_rows"], steps=record["steps"], baseline=record["baseline"][record["metric"]],
            losses=trained)


def losses(folder: Path) -> tuple[tuple[int, float], ...]:
    """Step and loss of every step so far of a run of ours."""
    if not (folder / LOSSES).is_file():
        return ()
    with _record(folder / LOSSES) as found:
        return tuple(enumerate(map(float, found["losses"]), 1))


def _trainers(bare: History, state: Path) -> History:
    """A Trainer does not write the task down: the folder's name has to do."""
    with _record(state) as record:
        log = [line for line in record["log_history"] if isinstance(line.get("step"), int)]
        trained = tuple((line["step"], float(line["loss"])) for line in log if _number(line.get("loss")))
        scored = {line["step"]: line for line in log if "eval_loss" in line}
        metric = _metric(scored.values())
        points, before = [], 0
        for point in bare.points:
            line = scored.get(point.step, {})
            since = [loss for step, loss in trained if before < step <= point.step]
            points.append(replace(
                point, epoch=line.get("epoch"), loss=sum(since) / len(since) if since else None,
                dev_loss=line.get("eval_loss"), dev_score=line.get(f"eval_{metric}")))
            before = point.step
        return replace(bare, points=tuple(points), metric=metric, steps=record.get("max_steps"), losses=trained)


def _metric(lines: Iterable[dict]) -> str:
    """What a Trainer scored on dev: the first of METRICS that is there, else any other figure."""
    names = {name.removeprefix("eval_"): None for line in lines for name, value in line.items()
             if re.fullmatch(r"eval_\w+", name) and _number(value) and not name.endswith(NO_SCORES) and abs(value) <= 1}
    return next((name for name in (*METRICS, *names) if name in names), "")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@contextmanager
def _record(path: Path) -> Iterator[dict]:
    """The JSON object in a file; what it does not hold as expected is an InputError."""
    try:
        yield json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not the record of a run ({type(error).__name__}: {error})") from error
