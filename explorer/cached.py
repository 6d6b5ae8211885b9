"""The only st.cache_* wrappers. Studies are named by their keys, which stand for all that they depend on."""
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from explorer import corpus, study
from explorer.charts import audit
from explorer.charts import layers as charts
from explorer.charts import neurons as neuron_charts
from explorer.neurons import tables
from explorer.neurons.analysis import Neurons
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


@st.cache_data(max_entries=32)
def offered(path: str, changed: int) -> list[str]:
    """The properties that a corpus file has labels of."""
    return corpus.properties(path)


def neurons(root: Path, key: str, finetuned: str) -> Neurons:
    """The analysis of a pair, as far as it is there; what follows is called for parts that are."""
    return Neurons(Store(root), load(root, key), finetuned)


@st.cache_resource(max_entries=64)
def neuron_table(root: Path, key: str, finetuned: str, what: str) -> Any:
    """What tables.<what> makes of a pair; to be read only."""
    return getattr(tables, what)(neurons(root, key, finetuned))


@st.cache_resource(max_entries=32)
def curves(root: Path, key: str, finetuned: str, method: str, probe: str, over_all: bool) -> dict:
    """Vega-Lite of accuracy on the top, random and bottom neurons by a method."""
    here = neurons(root, key, finetuned)
    shown = tables.curves_of(neuron_table(root, key, finetuned, "curves"), method,
                             None if method == "lca" else neuron_table(root, key, finetuned, "audit"))
    heading = f"Accuracy by number of neurons, by {audit.METHODS[method]}"
    return neuron_charts.curves(shown[shown.probe == probe], here.study.spec.k, over_all, heading).to_dict()


@st.cache_resource(max_entries=8)
def histograms(root: Path, key: str, finetuned: str) -> list[dict]:
    """Vega-Lite of where the top neurons of all layers live."""
    counts, centres = neuron_table(root, key, finetuned, "where")
    return [chart.to_dict() for chart in neuron_charts.histograms(counts, centres, load(root, key).spec.k)]


@st.cache_resource(max_entries=8)
def movement(root: Path, key: str, finetuned: str) -> list[dict]:
    """Vega-Lite of where the neurons went."""
    table = neuron_table(root, key, finetuned, "moved")
    return [draw(table, load(root, key).spec.k).to_dict() for draw in (neuron_charts.moved, neuron_charts.similarity)]


@st.cache_resource(max_entries=32)
def sets(root: Path, key: str, finetuned: str, delta: float) -> list[dict]:
    """Vega-Lite of the minimal sets, of layers and of labels."""
    here = neurons(root, key, finetuned)
    return [draw(tables.roles(here, found(here.study, here.pair, delta)), here.study.spec.k, delta).to_dict()
            for found, draw in ((tables.minimal, neuron_charts.minimal), (tables.needed, audit.needed))]


@st.cache_resource(max_entries=64)
def label_map(root: Path, key: str, finetuned: str, role: str, layer: int, k: int) -> tuple[pd.DataFrame, dict]:
    """The map of a layer's top k and its Vega-Lite; to be read only."""
    here = neurons(root, key, finetuned)
    table = tables.label_map(here, here.pair[tables.ROLES.index(role)], layer, k)
    heading = f"What the top {k} neurons weigh for each label, layer {layer}, {role}"
    return table, audit.label_map(table, heading).to_dict()


@st.cache_resource(max_entries=16)
def audits(root: Path, key: str, finetuned: str, role: str, over_all: bool) -> list[dict]:
    """Vega-Lite of the ranking audit."""
    ks, (pairs, stable) = load(root, key).spec.k, neuron_table(root, key, finetuned, "overlaps")
    return [audit.audit(neuron_table(root, key, finetuned, "audit"), ks, role, over_all).to_dict(),
            audit.overlap(pairs, ks, role).to_dict(), audit.stability(stable, ks, role).to_dict()]
