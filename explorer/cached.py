"""The only st.cache_* wrappers. Studies are named by their keys, which stand for all that they depend on."""
from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from explorer import card, corpus, errors, estimate, neuron, overview, patterns, scoring, search, study, trajectory
from explorer.charts import audit, measures
from explorer.charts import errors as error_charts
from explorer.charts import layers as charts
from explorer.charts import neuron as neuron_charts
from explorer.charts import neurons as neurons_charts
from explorer.charts import overview as small
from explorer.charts import runs as run_charts
from explorer.charts import trajectory as along_charts
from explorer.evidence import Evidence
from explorer.history import History, histories
from explorer.neurons import tables
from explorer.neurons.analysis import Neurons
from explorer.probe import Probe
from explorer.ranking import Ranking
from explorer.store import Store, default_root
from explorer.work import RunRequest

if TYPE_CHECKING:
    from explorer.reading import Reader, Reading


def store() -> Store:
    """The cache folder of this process."""
    return store_at(default_root())


@st.cache_resource(max_entries=4)
def store_at(root: Path) -> Store:
    """The cache in a folder, which knows what of it was found whole."""
    gc.freeze()  # Streamlit collects garbage after each run: 80 ms, were it to look through all modules every time
    return Store(root)


@st.cache_data(max_entries=4)
def finished(root: Path, changed: int) -> list[study.Summary]:
    """The studies in the cache when its folder of results was last changed."""
    return study.finished(store_at(root))


def load(root: Path, key: str) -> study.Study:
    """A finished study; to be read only."""
    return _load(root, key, store_at(root).version(key))


@st.cache_resource(max_entries=8)
def _load(root: Path, key: str, version: list[int]) -> study.Study:
    """Stored again under its key, it may have other notes and paths."""
    return study.load(store_at(root), key)


@st.cache_resource(max_entries=8)
def complete(root: Path, key: str, changed: tuple[int, ...]) -> bool:
    """Whether the cache held all that lies behind a study when its folders were last changed."""
    return Evidence(store_at(root), load(root, key)).complete()


@st.cache_resource(max_entries=64)
def grid(root: Path, key: str, finetuned: str, measure: str = "Accuracy", together: bool = False,
         random: tuple[str, str] | None = None) -> pd.DataFrame:
    """measures.grid of a pair, with random weights where a study's key and checkpoint has them; to be read only."""
    found = measures.grid(load(root, key).table, load(root, key).base, finetuned, measure, together)
    return measures.with_random(found, load(root, random[0]).table, random[1], measure, together) if random else found


@st.cache_resource(max_entries=32)
def labels(root: Path, key: str, finetuned: str, metric: str) -> pd.DataFrame:
    """measures.labels of a pair; to be read only."""
    return measures.labels(load(root, key).table, load(root, key).base, finetuned, metric)


@st.cache_resource(max_entries=32)
def measured(root: Path, key: str) -> list[str]:
    """Titles of the measures that a study has."""
    return measures.offered(load(root, key).table)


@st.cache_resource(max_entries=64)
def layer_charts(root: Path, key: str, steps: tuple[tuple[int, str], ...], measure: str = "Accuracy",
                 together: bool = False, random: tuple[str, str] | None = None) -> list[dict]:
    """Vega-Lite of the Layers page, of a checkpoint or of all of a run's steps: slower to build than to draw."""
    parts = [grid(root, key, name, measure, together, random).assign(step=step) for step, name in steps]
    shown = pd.concat(parts) if len(parts) > 1 else parts[0].drop(columns="step")
    lines = measures.baselines(load(root, key).table, load(root, key).base, measure)
    return [chart.to_dict(validate=False) for chart in charts.drawn(shown, measures.MEASURES[measure], lines, together)]


@st.cache_resource(max_entries=64)
def headline(root: Path, key: str, steps: tuple[tuple[int, str], ...], measure: str = "Accuracy",
             together: bool = False, random: tuple[str, str] | None = None) -> list[list]:
    """measures.headline of a checkpoint or of each of a run's steps; to be read only."""
    return [measures.headline(grid(root, key, name, measure, together, random), measures.MEASURES[measure])
            for _, name in steps]


@st.cache_resource(max_entries=32)
def scale_of_layers(root: Path, key: str, finetuned: str) -> pd.DataFrame:
    """measures.scale_of_layers of a pair; to be read only."""
    return measures.scale_of_layers(load(root, key).table, load(root, key).base, finetuned)


@st.cache_resource(max_entries=8)
def scored(root: Path, keys: tuple[str, ...], changed: int) -> scoring.Scored:
    """The scorecard of these studies when the folder of results was last changed; to be read only."""
    return scoring.scored(keys, store_at(root))


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
def run_headline(root: Path, key: str, run: str) -> list[list]:
    """Headline figures of the Trajectory page; to be read only."""
    return along_charts.headline(along(root, key, run), {known.name: known for known in runs(root, key)}[run])


@st.cache_resource(max_entries=32)
def run_charts_of(root: Path, key: str, run: str) -> dict[str, dict]:
    """Vega-Lite of the Trajectory page, by name; no dev score, no charts of it."""
    rows, of = along(root, key, run), {known.name: known for known in runs(root, key)}[run]
    drawn = {"accuracy": along_charts.accuracy_map(rows), "delta": along_charts.delta_map(rows),
             "lines": along_charts.by_step(rows)}
    if rows.score.notna().any():
        drawn |= {"score": along_charts.score_by_step(rows, of.metric, of.baseline),
                  "path": along_charts.path(rows, of.metric)}
    return {name: chart.to_dict() for name, chart in drawn.items()}


@st.cache_resource(max_entries=8)
def growing(root: Path, key: str) -> dict:
    """Vega-Lite of a run at work, from the study so far."""
    found = load(root, key)
    return run_charts.growing(trajectory.trajectory(found.table, found.base, histories(found.finetuned)[0])).to_dict()


@st.cache_data(max_entries=32, ttl=600)
def expected(request: RunRequest) -> tuple[estimate.Estimate | None, float]:
    """What a run will take, and the speed that this was reckoned with; files may change, so not for long."""
    speed = matrix_speed()
    return estimate.estimate(request, speed), speed


@st.cache_data(ttl=60)
def matrix_speed() -> float:
    """estimate.matrix_speed, so that an estimate changes with what is asked for and not from moment to moment."""
    return estimate.matrix_speed()


@st.cache_resource(max_entries=8)
def compared(root: Path, keys: tuple[str, ...]) -> list[dict]:
    """Vega-Lite of the runs in these studies, the one that forgets most first."""
    return [chart.to_dict() for chart in run_charts.multiples(trajectory.compared([load(root, key) for key in keys]))]


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


def evidence(root: Path, key: str) -> Evidence:
    """What lies behind a study; it only names things, so there is nothing to keep."""
    return Evidence(store_at(root), load(root, key))


@st.cache_data(max_entries=32)
def label_names(root: Path, key: str) -> tuple[str, ...]:
    """The labels that a study's probes tell apart, in the order of their weights."""
    return evidence(root, key).labels()


@st.cache_data(max_entries=32)
def best_neuron(root: Path, key: str) -> str:
    """The best by LCA of the pre-trained checkpoint's last layer."""
    here = evidence(root, key)
    last = here.activations(here.study.base, "test").n_layers - 1
    return str(neuron.Neuron(last, int(here.ranking(here.study.base, last).order[0])))


@st.cache_resource(max_entries=8)
def words(root: Path, key: str, split: str) -> pd.DataFrame:
    """neuron.kept_words of a split; to be read only."""
    return neuron.kept_words(evidence(root, key), split)


@st.cache_resource(max_entries=4)
def sentences(root: Path, key: str, split: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Words and labels of every sentence of a split; to be read only."""
    groups = evidence(root, key).words(split).groupby("sentence")
    return [(tuple(group.word), tuple(group.label)) for _, group in groups]


@st.cache_resource(max_entries=2)
def sample(root: Path, key: str, pair: tuple[str, str], split: str) -> neuron.Sample:
    """neuron.Sample of a pair: 8 bytes for each of its words and neurons; to be read only."""
    return neuron.Sample.draw(evidence(root, key), pair, split)


@st.cache_resource(max_entries=64)
def probes(root: Path, key: str, checkpoint: str, layer: int) -> dict[int, Probe]:
    """The probes of a layer; to be read only."""
    return evidence(root, key).probes(checkpoint, layer)


@st.cache_resource(max_entries=64)
def rankings(root: Path, key: str, checkpoint: str, layer: int, stored: bool) -> dict[str, Ranking]:
    """neuron.rankings, with those of the analysis or before they are stored; to be read only."""
    return neuron.rankings(neurons(root, key, checkpoint), checkpoint, layer)


@st.cache_resource(max_entries=32)
def neuron_card(root: Path, key: str, pair: tuple[str, str], split: str, name: neuron.Neuron, stored: bool
                ) -> tuple[card.Card, list[dict]]:
    """card.card and its Vega-Lite, with the rankings of the analysis or before they are stored; to be read only."""
    found = card.card(evidence(root, key), pair, split, name, words(root, key, split), sample(root, key, pair, split),
                      [rankings(root, key, checkpoint, name.layer, stored) for checkpoint in pair])
    return found, neuron_charts.charts(found)


@st.cache_resource(max_entries=16)
def found(root: Path, key: str, pair: tuple[str, str], split: str, way: str, query: str) -> tuple[pd.DataFrame, int]:
    """search.search, and of how many words; to be read only."""
    hits = search.matches(words(root, key, split), way, query)
    return search.search(evidence(root, key), pair, split, hits), int(hits.sum())


@st.cache_resource(max_entries=8)
def predictions(root: Path, key: str, pair: tuple[str, str], split: str, layer: int, k: int) -> pd.DataFrame:
    """errors.predictions; to be read only."""
    return errors.predictions(evidence(root, key), pair, split, layer, k)


@st.cache_resource(max_entries=24)
def confusion(root: Path, key: str, pair: tuple[str, str], split: str, layer: int, k: int, which: str) -> dict:
    """Vega-Lite of a confusion matrix."""
    frame = predictions(root, key, pair, split, layer, k)
    return error_charts.confusion(errors.confusion(frame), which).to_dict()


@st.cache_resource(max_entries=3, show_spinner="Loading the models, once")
def reader(name: str, digest: str) -> Reader:
    """A loaded checkpoint; to be read only."""
    from explorer.reading import Reader

    return Reader.open(name, digest)


@st.cache_resource(max_entries=32, show_spinner=False)
def reading(name: str, digest: str, words: tuple[str, ...], pooling: str) -> Reading:
    """What a checkpoint makes of one sentence; to be read only."""
    return reader(name, digest).read(words, pooling)


def neurons(root: Path, key: str, finetuned: str) -> Neurons:
    """The analysis of a pair, as far as it is there; what follows is called for parts that are."""
    return Neurons(store_at(root), load(root, key), finetuned)


@st.cache_resource(max_entries=64)
def neuron_table(root: Path, key: str, finetuned: str, what: str) -> Any:
    """What tables.<what> makes of a pair; to be read only."""
    return getattr(tables, what)(neurons(root, key, finetuned))


@st.cache_resource(max_entries=32)
def curves(root: Path, key: str, finetuned: str, method: str, probe: str, over_all: bool) -> tuple[pd.DataFrame, dict]:
    """Accuracy on the top, random and bottom neurons by a method: the figures, and their Vega-Lite."""
    here = neurons(root, key, finetuned)
    shown = tables.curves_of(neuron_table(root, key, finetuned, "curves"), method,
                             None if method == "lca" else neuron_table(root, key, finetuned, "audit"))
    shown = shown[shown.probe == probe]
    heading = f"Accuracy by number of neurons, by {audit.METHODS[method]}"
    return shown, neurons_charts.curves(shown, here.study.spec.k, over_all, heading).to_dict()


@st.cache_resource(max_entries=8)
def histograms(root: Path, key: str, finetuned: str) -> list[dict]:
    """Vega-Lite of where the top neurons of all layers live."""
    counts, centres = neuron_table(root, key, finetuned, "where")
    return [chart.to_dict() for chart in neurons_charts.histograms(counts, centres, load(root, key).spec.k)]


@st.cache_resource(max_entries=8)
def movement(root: Path, key: str, finetuned: str) -> list[dict]:
    """Vega-Lite of where the neurons went."""
    table = neuron_table(root, key, finetuned, "moved")
    return [draw(table, load(root, key).spec.k).to_dict() for draw in (neurons_charts.moved, neurons_charts.similarity)]


@st.cache_resource(max_entries=32)
def sets(root: Path, key: str, finetuned: str, delta: float) -> list[dict]:
    """Vega-Lite of the minimal sets, of layers and of labels."""
    here = neurons(root, key, finetuned)
    return [draw(tables.roles(here, found(here.study, here.pair, delta)), here.study.spec.k, delta).to_dict()
            for found, draw in ((tables.minimal, neurons_charts.minimal), (tables.needed, audit.needed))]


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
            audit.overlap(pairs, ks, role, over_all).to_dict(), audit.stability(stable, ks, role).to_dict()]
