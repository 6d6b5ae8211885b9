"""A study along a run: right answers in plain cases."""
import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest

from explorer.corpus import CorpusRequest
from explorer.history import History, Point
from explorer.study import COLUMNS, StudyRequest, Summary
from explorer.trajectory import alike, compared, forgotten, gone_on, trajectory

RUN = History("r", (Point(0, "r/checkpoint-0", dev_score=0.5), Point(9, "r/checkpoint-9", dev_score=0.9)))


def table(accuracies: dict[str, float], base: str) -> pd.DataFrame:
    """One layer for each checkpoint; the whole of 16 neurons knows twice as much as one."""
    rows = []
    for name, accuracy in accuracies.items():
        for k, share in ((1, 0.5), (16, 1.0)):
            measured = {"accuracy": accuracy} | ({} if name == base else {"delta": accuracy - accuracies[base]})
            rows += [(name, 3, k, "test", "", metric + bound, share * (value + by), 10)
                     for metric, value in measured.items()
                     for bound, by in (("", 0), ("_low", -0.01), ("_high", 0.01))]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_each_step_has_its_figures_and_the_tasks_score() -> None:
    rows = trajectory(table({"b": 0.8, "r/checkpoint-0": 0.8, "r/checkpoint-9": 0.7}, "b"), "b", RUN)
    end = rows[(rows.step == 9) & (rows.k == 16)].iloc[0]
    assert (end.layer, end.n, end.score) == (3, 10, 90)
    assert (end.accuracy, end.accuracy_low, end.delta, end.delta_high) == pytest.approx((70, 69, -10, -9))
    assert list(rows.step.unique()) == [0, 9]
    assert forgotten(rows) == pytest.approx(10)


def test_the_base_is_step_0_where_the_run_kept_none() -> None:
    run = dataclasses.replace(RUN, points=RUN.points[1:])
    rows = trajectory(table({"b": 0.8, "r/checkpoint-9": 0.9}, "b"), "b", run)
    start = rows[(rows.step == 0) & (rows.k == 16)].iloc[0]
    assert (start.accuracy, start.delta, start.delta_low) == (80, 0, 0)
    assert pd.isna(start.score)
    assert forgotten(rows) == pytest.approx(-10)


def test_a_base_of_the_same_run_stands_at_its_own_step() -> None:
    run = History("p", (Point(8, "p@step8"), Point(64, "p@step64")))
    rows = trajectory(table({"p@step2": 0.5, "p@step8": 0.6, "p@step64": 0.7}, "p@step2"), "p@step2", run)
    assert list(rows.step.unique()) == [2, 8, 64]


def test_runs_are_ordered_by_what_they_forget_and_each_comes_once() -> None:
    def study(base: str, **ends: float) -> SimpleNamespace:
        names = {f"{run}/checkpoint-{step}": 0.8 + end * (step > 0) for run, end in ends.items() for step in (0, 9)}
        return SimpleNamespace(table=table({base: 0.8} | names, base), base=base, finetuned=tuple(names))

    found = compared([study("b", mild=-0.1), study("b", hard=-0.4, mild=-0.1), study("b", kind=0.1)])
    assert [run.name for run, _ in found] == ["hard", "mild", "kind"]


def test_runs_compare_whatever_their_studies_have_beside_the_figures() -> None:
    request = StudyRequest("b", ("r/checkpoint-9",), CorpusRequest("c"), k=(1, 5), control=6)
    other = dataclasses.replace(request, finetuned=("s/checkpoint-9",), k=(1, 2, 4), control=4, description=False)
    mean = dataclasses.replace(request, pooling="mean")
    one, two, three = (alike(Summary("", "", "", asked, False, ("words", "b"))) for asked in (request, other, mean))
    assert one == two != three


def test_a_study_is_gone_on_with_by_the_first_that_has_its_checkpoints_and_more() -> None:
    def summary(key: str, *finetuned: str, train: str = "c") -> Summary:
        return Summary(key, "", "", StudyRequest("b", finetuned, CorpusRequest(train)), False)

    one = summary("one", "x")
    others = [summary("other corpus", "x", "y", train="d"), summary("other start", "y", "x"), one]
    longer = summary("longer", "x", "y", "z")
    assert gone_on(one, [*others, longer, summary("older", "x", "y")]) == longer
    assert gone_on(one, others) is None
