"""The only st.cache_* wrappers. Studies are named by their keys, which stand for all that they depend on."""
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer import corpus, overview, patterns, study
from explorer.charts import layers as charts
from explorer.charts import overview as small
from explorer.store import Store, default_root


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


@st.cache_resource(max_entries=256)
def layer_table(root: Path, key: str, base: str, finetuned: str) -> pd.DataFrame:
    """patterns.layer_table of a pair; to be read only."""
    return patterns.layer_table(load(root, key).table, base, finetuned)


@st.cache_resource(max_entries=32)
def overview_charts(root: Path, pairs: tuple[overview.Pair, ...]) -> dict[overview.Pair, dict]:
    """Vega-Lite of the Overview page."""
    return small.multiples({pair: layer_table(root, pair.key, pair.base, pair.finetuned) for pair in pairs})


@st.cache_data(max_entries=32)
def offered(path: str, changed: int) -> list[str]:
    """The properties that a corpus file has labels of."""
    return corpus.properties(path)
