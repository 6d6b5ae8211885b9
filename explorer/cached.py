"""The only st.cache_* wrappers. Studies are named by their keys, which stand for all that they depend on."""
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer import corpus, estimate, study, trajectory
from explorer.charts import layers as charts
from explorer.charts import trajectory as run_charts
from explorer.history import History, histories
from explorer.store import Store, default_root
from explorer.work import RunRequest


@st.cache_resource(max_entries=1)
def store() -> Store:
    """The cache folder of this process."""
    return Store(default_root())


@st.cache_data(max_entries=4)
def finished(root: Path, changed: int) -> list[study.Summary]:
    """The studies in the cache when its folder of results was last changed."""
    return study.finished(Store(root))


@st.cache_resource(max_entries=8)
def load(root: Path, key: str) -> study.Study:
    """A finished study; to be read only."""
    return study.load(Store(root), key)


@st.cache_resource(max_entries=32)
def grid(root: Path, key: str, finetuned: str) -> pd.DataFrame:
    """charts.grid of a pair; to be read only."""
    return charts.grid(load(root, key).table, load(root, key).base, finetuned)


@st.cache_resource(max_entries=32)
def labels(root: Path, key: str, finetuned: str) -> pd.DataFrame:
    """charts.labels of a pair; to be read only."""
    return charts.labels(load(root, key).table, load(root, key).base, finetuned)


@st.cache_resource(max_entries=32)
def layer_charts(root: Path, key: str, finetuned: str) -> list[dict]:
    """Vega-Lite of the Layers page: to build it takes longer than to draw it."""
    shown = grid(root, key, finetuned)
    return [draw(shown).to_dict() for draw in (charts.by_layer, charts.delta_by_layer, charts.by_k)]


@st.cache_resource(max_entries=32)
def runs(root: Path, key: str) -> list[History]:
    """The runs that a study has steps of."""
    return trajectory.runs(load(root, key))


@st.cache_resource(max_entries=32)
def along(root: Path, key: str, run: str) -> pd.DataFrame:
    """trajectory.trajectory of one of a study's runs; to be read only."""
    found, of = load(root, key), {known.name: known for known in runs(root, key)}
    return trajectory.trajectory(found.table, found.base, of[run])


@st.cache_resource(max_entries=32)
def run_charts_of(root: Path, key: str, run: str) -> dict[str, dict]:
    """Vega-Lite of the Trajectory page, by name; no dev score, no charts of it."""
    rows, of = along(root, key, run), {known.name: known for known in runs(root, key)}[run]
    drawn = {"accuracy": run_charts.accuracy_map(rows), "delta": run_charts.delta_map(rows),
             "lines": run_charts.by_step(rows)}
    if rows.score.notna().any():
        drawn |= {"score": run_charts.score_by_step(rows, of.metric, of.baseline),
                  "path": run_charts.path(rows, of.metric)}
    return {name: chart.to_dict() for name, chart in drawn.items()}


@st.cache_resource(max_entries=8)
def growing(root: Path, key: str) -> dict:
    """Vega-Lite of a run at work, from the study so far."""
    found = load(root, key)
    return run_charts.growing(trajectory.trajectory(found.table, found.base, histories(found.finetuned)[0])).to_dict()


@st.cache_data(max_entries=32, ttl=600)
def expected(request: RunRequest) -> tuple[estimate.Estimate, float]:
    """What a run will take, and the speed that this was reckoned with; files may change, so not for long."""
    speed = estimate.matrix_speed()
    return estimate.estimate(request, speed), speed


@st.cache_resource(max_entries=8)
def compared(root: Path, keys: tuple[str, ...]) -> list[dict]:
    """Vega-Lite of the runs in these studies, the one that forgets most first."""
    return [chart.to_dict() for chart in run_charts.multiples(trajectory.compared([load(root, key) for key in keys]))]


@st.cache_data(max_entries=32)
def offered(path: str, changed: int) -> list[str]:
    """The properties that a corpus file has labels of."""
    return corpus.properties(path)
