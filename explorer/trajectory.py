"""A study's figures along the runs whose checkpoints it has."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from explorer.history import History, histories
from explorer.models import place
from explorer.study import Study, StudyRequest, Summary

BOUNDS = ("", "_low", "_high")


def runs(study: Study) -> list[History]:
    """The runs of which the study has two steps or more."""
    return [found for found in histories(study.finetuned) if len(found.points) > 1]


def trajectory(table: pd.DataFrame, base: str, run: History) -> pd.DataFrame:
    """Figures on the whole test split along a run, from a study's table: one row for each step, layer and k.

    Columns step, layer, k, n (test words), accuracy (%) and delta (points against the base, which is step 0 where the
    run kept none), both with their bounds at 95 %, such as delta_low and delta_high; score (the task's dev score, %,
    missing where nobody wrote it down).
    """
    whole = table[(table.split == "test") & (table.label == "")]
    points = [(point.step, point.checkpoint, point.dev_score) for point in run.points]
    at = place(base)
    start = at[1] if at and at[0] == run.name else 0
    if start not in [step for step, *_ in points]:
        points = sorted([(start, base, None), *points])
    parts = []
    for step, checkpoint, score in points:
        rows = whole[whole.checkpoint == checkpoint].pivot_table(
            index=["layer", "k"], columns="metric", values="value")
        figures = {column + bound: 100 * rows[column + bound] if column + bound in rows else 0.0
                   for column in ("accuracy", "delta") for bound in BOUNDS}
        score = None if score is None else 100 * score
        parts.append(pd.DataFrame(figures, index=rows.index).round(3).assign(step=step, score=score))
    n = whole.groupby(["layer", "k"]).n.first()
    return pd.concat(parts).astype({"score": float}).join(n).reset_index()


def forgotten(trajectory: pd.DataFrame) -> float:
    """Points lost at the run's end, on average over layers, all neurons in the probe; negative for a gain."""
    end = trajectory[(trajectory.step == trajectory.step.max()) & (trajectory.k == trajectory.k.max())]
    return -float(end.delta.mean())


def alike(study: Study | Summary) -> tuple[StudyRequest, tuple[str, ...]]:
    """What two studies share whose runs may be compared: what was asked for, the data and the base.

    The control task and the description length change no figure that is compared.
    """
    return dataclasses.replace(study.request, finetuned=(), k=(), control=0, description=False), study.made_of[:2]


def gone_on(study: Study | Summary, studies: Sequence[Summary]) -> Summary | None:
    """The first of the studies that is the same but for more checkpoints after those of this one."""
    n = len(study.request.finetuned)
    return next((other for other in studies if len(other.request.finetuned) > n and dataclasses.replace(
        other.request, finetuned=other.request.finetuned[:n]) == study.request
        and other.made_of[:n + 2] == study.made_of), None)


def compared(studies: Sequence[Study]) -> list[tuple[History, pd.DataFrame]]:
    """The runs in these studies and their trajectories, the one that forgets most first; each once, at its longest."""
    found: dict[str, tuple[History, pd.DataFrame]] = {}
    for study in studies:
        for run in runs(study):
            if run.name not in found or len(run.points) > len(found[run.name][0].points):
                found[run.name] = run, trajectory(study.table, study.base, run)
    return sorted(found.values(), key=lambda one: forgotten(one[1]), reverse=True)
