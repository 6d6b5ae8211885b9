"""The only st.cache_* wrappers. Studies are named by their keys, which stand for all that they depend on."""
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer import corpus, study
from explorer import scorecard as cards
from explorer.charts import layers as charts
from explorer.charts import measures
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


@st.cache_resource(max_entries=64)
def grid(root: Path, key: str, finetuned: str, measure: str = "Accuracy", together: bool = False) -> pd.DataFrame:
    """measures.grid of a pair; to be read only."""
    return measures.grid(load(root, key).table, load(root, key).base, finetuned, measure, together)


@st.cache_resource(max_entries=32)
def labels(root: Path, key: str, finetuned: str) -> pd.DataFrame:
    """measures.labels of a pair; to be read only."""
    return measures.labels(load(root, key).table, load(root, key).base, finetuned)


@st.cache_resource(max_entries=32)
def measured(root: Path, key: str) -> list[str]:
    """Titles of the measures that a study has."""
    return measures.offered(load(root, key).table)


@st.cache_resource(max_entries=64)
def layer_charts(root: Path, key: str, finetuned: str, measure: str = "Accuracy", together: bool = False) -> list[dict]:
    """Vega-Lite of the Layers page: to build it takes longer than to draw it."""
    shown, of = grid(root, key, finetuned, measure, together), measures.MEASURES[measure]
    lines = measures.baselines(load(root, key).table, load(root, key).base, measure)
    return [charts.by_layer(shown, of, lines).to_dict(), charts.delta_by_layer(shown, of, together).to_dict(),
            charts.by_k(shown, of, lines).to_dict()]


@st.cache_resource(max_entries=32)
def scale_of_layers(root: Path, key: str, finetuned: str) -> pd.DataFrame:
    """measures.scale_of_layers of a pair; to be read only."""
    return measures.scale_of_layers(load(root, key).table, load(root, key).base, finetuned)


@st.cache_resource(max_entries=8)
def scorecard(root: Path, keys: tuple[str, ...], changed: int) -> list[cards.Line]:
    """The scorecard of these studies when arrays of the cache were last changed; to be read only."""
    return cards.scorecard([load(root, key) for key in keys], Store(root))


@st.cache_data(max_entries=32)
def offered(path: str, changed: int) -> list[str]:
    """The properties that a corpus file has labels of."""
    return corpus.properties(path)
