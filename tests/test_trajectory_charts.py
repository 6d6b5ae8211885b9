"""Charts along a run: they hold every cell, stand on one time axis, and follow the page's inputs."""
import itertools

import pandas as pd
import pytest

from explorer.charts import runs
from explorer.charts import trajectory as charts
from explorer.history import History, Point

RUN = History("r", tuple(Point(step, f"r/checkpoint-{step}", dev_loss=0.5, dev_score=0.5 + step / 100)
                         for step in (0, 4, 8)), task="t", metric="accuracy", train_rows=9, steps=8, baseline=0.4)


@pytest.fixture
def rows() -> pd.DataFrame:
    cells = itertools.product((0, 4, 8), (0, 1, 2), (1, 16))
    found = pd.DataFrame(list(cells), columns=["step", "layer", "k"])
    found["accuracy"], found["delta"], found["score"], found["n"] = 80.0 - found.layer, -0.1 * found.step, 50.0, 10
    for column in ("accuracy", "delta"):
        found[f"{column}_low"], found[f"{column}_high"] = found[column] - 1, found[column] + 1
    return found


@pytest.mark.parametrize("draw", [
    charts.accuracy_map, charts.delta_map, charts.by_step, lambda rows: charts.score_by_step(rows, "f1", 0.4),
    lambda rows: charts.path(rows, "f1")])
def test_charts_hold_all_and_follow_the_sliders(rows: pd.DataFrame, draw: object) -> None:
    spec = draw(rows).to_dict()  # type: ignore[operator]
    bound = {param["name"]: param["bind"]["element"] for param in spec["params"] if "bind" in param}
    assert bound == {"live_layer": "#live-layer", "live_k": "#live-k", "live_step": "#live-step"}
    assert next(param["value"] for param in spec["params"] if param["name"] == "steps") == [0, 4, 8]
    assert spec["autosize"]["type"] == "fit-x"


def test_the_headline_has_the_figures_of_every_position(rows: pd.DataFrame) -> None:
    rows.loc[rows.step == 0, ["score", "accuracy_low"]] = float("nan")
    found = charts.headline(rows, RUN)
    assert [len(found), len(found[0]), len(found[0][0])] == [3, 3, 2]  # steps, layers, numbers of neurons
    assert found[2][1][0] == [["8", "of 8"], ["50.0 %", "9 training rows"], ["79.0 %", "95 %: 78.0 to 80.0"],
                              ["−0.8", "95 %: −1.8 to +0.2"]]
    assert [value for value, _ in found[0][2][1]] == ["0", "unknown", "78.0 %", "0.0"]
    assert found[0][2][1][2][1] == "no interval"


def test_a_step_without_a_score_keeps_its_place_on_the_time_axis(rows: pd.DataFrame) -> None:
    rows.loc[rows.step == 0, "score"] = float("nan")
    spec = charts.score_by_step(rows, "f1", None).to_dict()
    scales = [layer["encoding"]["x"]["scale"] for layer in spec["layer"] if "x" in layer["encoding"]]
    assert all(scale["domain"] == [0, 4, 8] for scale in scales)


def test_a_map_has_a_number_in_every_cell_unless_there_are_too_many(rows: pd.DataFrame) -> None:
    marks = [layer["mark"]["type"] for layer in charts.delta_map(rows).to_dict()["layer"]]
    assert marks == ["rect", "text", "rect"]
    many = pd.concat([rows.assign(step=step) for step in range(60)])
    assert "text" not in [layer["mark"]["type"] for layer in charts.delta_map(many).to_dict()["layer"]]


def test_small_multiples_share_their_scale_and_tell_what_they_are_of(rows: pd.DataFrame) -> None:
    one, two = (chart.to_dict() for chart in runs.multiples([(RUN, rows), (RUN, rows.assign(delta=-3.0))]))
    scales = [chart["layer"][0]["encoding"]["color"]["scale"] for chart in (one, two)]
    assert scales[0] == scales[1]
    assert one["title"]["subtitle"] == "t, 9 rows, 8 steps, dev accuracy 50 → 58 %, loses 0.8 points"


def test_losses_are_thinned_and_end_where_the_run_does() -> None:
    chart = runs.losses([(step, 0.5) for step in range(1, 5001)], [(0, 0.7)], 6000, most=100).to_dict()
    assert sum(len(rows) for rows in chart["datasets"].values()) == 101
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 6000]


def test_a_run_that_has_just_begun() -> None:
    assert runs.losses([], [], None).to_dict()
