"""A neuron's card, search and errors: on arrays whose answer is known, and on a planted neuron."""
import dataclasses
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest

from explorer import cached, errors, neuron, search, sentence
from explorer.card import WHEN
from explorer.charts.export import svg
from explorer.charts.sentence import WIDTH, heatmap
from explorer.evidence import Evidence
from explorer.neuron import Neuron, Sample
from explorer.neurons import tables
from explorer.neurons.analysis import Neurons
from explorer.neurons.parts import METHODS
from explorer.specs import InputError
from explorer.store import Store
from tests.planted import LABEL, PLANTED, planted


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def pair(evidence: Evidence) -> tuple[str, str]:
    return evidence.study.base, evidence.study.finetuned[0]


def find(evidence: Evidence, pair: tuple[str, str], way: str, query: str) -> pd.DataFrame:
    hits = search.matches(neuron.kept_words(evidence, "test"), way, query)
    return search.search(evidence, pair, "test", hits)


@pytest.mark.parametrize(("text", "found"), [("L5:117", Neuron(5, 117)), (" l0:0 ", Neuron(0, 0)),
                                             ("6 383", Neuron(6, 383))])
def test_a_neuron_has_a_name(text: str, found: Neuron) -> None:
    assert Neuron.parse(text, 7, 384) == found
    assert Neuron.parse(str(found), 7, 384) == found


@pytest.mark.parametrize("text", ["", "L7:0", "L0:384", "5", "L5:", "<script>", "L-1:3", "٣:٤", "L1:2" * 5000])
def test_what_names_no_neuron_is_said(text: str) -> None:
    with pytest.raises(InputError, match="neuron"):
        Neuron.parse(text, 7, 384)


def test_word_forms_are_folded_and_counted() -> None:
    words = pd.DataFrame({"word": ["a", "b", "a", "c"]})
    top = neuron.top_words(np.array([1.0, 2, 3, -1]), words, n=2)
    assert top[["word", "activation", "mean", "times"]].to_numpy().tolist() == [["a", 3, 2, 2], ["b", 2, 2, 1]]
    assert neuron.top_words(np.array([1.0, 2, 3, -1]), words, n=2, lowest=True).word.tolist() == ["c", "a"]


def test_context_stands_on_either_side_and_ends_with_the_sentence() -> None:
    words = pd.DataFrame({"sentence": [0, 0, 0, 1], "position": [0, 1, 2, 0], "word": ["x", "<b>", "z", "other"]})
    found = neuron.with_context(words.iloc[[1]], words)
    assert found[["left", "right"]].to_numpy().tolist() == [["x", "z"]]


def test_labels_come_by_their_mean() -> None:
    table = neuron.by_label(np.array([0.0, 0, 1, 3]), ["low", "low", "high", "high"])
    assert table.label.tolist() == ["high", "low"]
    assert table["mean"].tolist() == [2, 0]
    assert table["median"].tolist() == [2, 0]


def test_quantiles_are_numpys() -> None:
    random = np.random.default_rng(0)
    values, labels = random.normal(size=200).astype(np.float32), random.choice(["a", "b", "c"], 200)
    labels[0] = "once"
    for row in neuron.by_label(values, labels).itertuples():
        here = values[labels == row.label]
        assert (row.n, row.mean) == (len(here), pytest.approx(here.mean(), abs=1e-6))
        assert [row.q05, row.q25, row.median, row.q75, row.q95] == pytest.approx(
            np.quantile(here, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist(), abs=1e-6)


def test_figures_of_a_neuron_that_is_mostly_silent() -> None:
    found = neuron.figures(np.array([0.0, 0, 0, 4]), False)
    assert (found.mean, found.variance, found.sparsity, found.outlier) == (1, 3, 0.75, False)
    assert neuron.figures(np.array([0.0, 0]), True).sparsity == 1


def test_a_histogram_counts_every_word() -> None:
    table = neuron.histogram({"pre-trained": np.arange(10.0), "fine-tuned": np.arange(5.0)}, bins=5)
    assert table.groupby("checkpoint").share.sum().tolist() == pytest.approx([1, 1])
    assert table[table.checkpoint == "fine-tuned"].share.tolist() == [0.4, 0.4, 0.2, 0, 0]


def test_correlation_is_pearsons() -> None:
    x = np.random.default_rng(0).normal(size=50)
    assert neuron.correlation(x, 3 - 2 * x) == pytest.approx(-1)
    assert neuron.correlation(x, np.ones(50)) == 0


def test_a_planted_neuron_stands_out_on_its_card(evidence: Evidence, pair: tuple[str, str]) -> None:
    planted = Neuron.parse(PLANTED, 3, 16)
    words, labels = neuron.kept_words(evidence, "test"), evidence.labels()
    before, after = (neuron.activation(evidence, name, "test", planted) for name in pair)
    assert set(neuron.top_words(before, words, n=4).label) == {LABEL}
    assert neuron.by_label(before, words.label).label[0] == LABEL
    assert neuron.by_label(before, words.label)["mean"][0] > 5
    assert neuron.by_label(after, words.label)["mean"].abs().max() < 1.5
    assert labels[neuron.weights(evidence, pair[0], planted).argmax()] == LABEL
    assert abs(neuron.correlation(before, after)) < 0.3


def test_a_planted_neuron_is_first_by_every_ranking_that_is_there(evidence: Evidence, pair: tuple[str, str]) -> None:
    analysis, there = Neurons(evidence.store, evidence.study, pair[1]), Neuron.parse(PLANTED, 3, 16)
    found = neuron.rankings(analysis, pair[0], 1)
    assert {method: neuron.rank(ranking, 7) for method, ranking in found.items()} == {"lca": 1, "probeless": 1}
    assert neuron.best_label(evidence, pair[0], there) == (LABEL, 1)
    weighed = tables.label_map(analysis, pair[0], 1, 4).sort_values("weight").iloc[-1]
    assert (weighed.neuron, weighed.label, weighed.serves) == (PLANTED, LABEL, True)


def test_the_charts_of_a_card_are_vega_lite(
    evidence: Evidence, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(evidence.store.root))
    card, charts = cached.neuron_card(evidence.store.root, evidence.study.key, pair, "test",
                                      Neuron.parse(PLANTED, 3, 16), False)
    assert str(card.neuron) == PLANTED
    assert len(charts) == 3
    for chart in charts:
        alt.Chart.from_dict(chart)  # checks it


def test_rankings_that_the_analysis_stored_are_all_on_the_card(neurons: Neurons) -> None:
    found = neuron.rankings(neurons, neurons.study.base, 1)
    assert list(found) == list(METHODS)
    for method, ranking in found.items():
        assert ranking.order.tolist() == tables.ranking(neurons, neurons.study.base, 1, method).order.tolist()


def test_probeless_before_the_analysis_is_that_of_the_analysis(neurons: Neurons, tmp_path: Path) -> None:
    bare = dataclasses.replace(neurons, store=Store(shutil.copytree(neurons.store.root, tmp_path / "cache")))
    for cell in bare.cells("rankings"):
        (bare.store.root / "results" / f"{bare.spec(cell).key()}.parquet").unlink()
    found = neuron.rankings(bare, bare.study.base, 1)
    assert set(found) == {"lca", "probeless"}
    stored = tables.ranking(neurons, neurons.study.base, 1, "probeless")
    assert found["probeless"].order.tolist() == stored.order.tolist()


def test_the_heat_map_is_green_where_the_planted_neuron_fires_and_nowhere_else(
    evidence: Evidence, pair: tuple[str, str],
) -> None:
    words, at = neuron.kept_words(evidence, "test").query("sentence == 3"), Neuron.parse(PLANTED, 3, 16)
    green: dict[tuple[str, int], float] = {}  # of red, green and blue the share of green, by checkpoint and word
    for name, when in zip(pair, WHEN, strict=True):
        x = evidence.activations(name, "test").layer(at.layer)[words.index].astype(np.float32)
        value = sentence.of_neuron(x, evidence.probes(name, at.layer)[16], at.index)
        boxes = sentence.flow(tuple(f"{place}:{word}" for place, word in enumerate(words.word)), WIDTH)
        root = ET.fromstring(svg(heatmap(boxes.assign(checkpoint=when, value=value, activation=value), "x", "y")))
        for node in root.iter():
            found = re.search(r"word: (\d+):", node.get("aria-label", ""))
            colour = re.findall(r"\d+", node.get("fill", ""))
            if found and len(colour) == 3:
                red, of_green, blue = map(int, colour)
                green[when, int(found[1])] = of_green - (red + blue) / 2
    fires = {when: [green[when, i] for i, label in enumerate(words.label) if label == LABEL] for when in WHEN}
    silent = {when: [green[when, i] for i, label in enumerate(words.label) if label != LABEL] for when in WHEN}
    assert min(fires[WHEN[0]]) > 40
    assert max(silent[WHEN[0]]) < 10
    assert len(silent[WHEN[1]]) == len(silent[WHEN[0]]) > 2


def test_the_most_alike_is_not_the_neuron_itself(evidence: Evidence, pair: tuple[str, str]) -> None:
    sample = Sample.draw(evidence, pair, "test")
    alike = sample.alike(pair[0], Neuron(1, 7))
    assert not ((alike.checkpoint == pair[0]) & (alike.neuron == PLANTED)).any()
    there = Neuron.parse(alike.neuron[0], 3, 16)
    exact = neuron.correlation(neuron.activation(evidence, pair[0], "test", Neuron(1, 7)),
                               neuron.activation(evidence, alike.checkpoint[0], "test", there))
    assert alike.correlation[0] == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize(("way", "query"), [("label", LABEL), ("words", "sees Finds likes paints"),
                                            ("pattern", "sees|finds|likes|paints")])
def test_search_finds_the_planted_neuron(evidence: Evidence, pair: tuple[str, str], way: str, query: str) -> None:
    best = find(evidence, pair, way, query).iloc[0]
    assert (best.neuron, best.on_matches) == (PLANTED, "high")
    assert best.ap_before > 0.95
    assert best.auc_before > 0.99
    assert best.ap_change < -0.5


def test_commas_between_words_are_no_part_of_them() -> None:
    words = pd.DataFrame({"word": ["The", "of", ",", "cat"], "label": "X"})
    assert search.matches(words, "words", "the, of,").tolist() == [True, True, False, False]
    assert search.matches(words, "words", "cat ,").tolist() == [False, False, True, True]


def test_a_pattern_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PATIENCE", 0.05)
    words = pd.DataFrame({"word": ["a" * 60, "b"], "label": "X"})
    with pytest.raises(InputError, match="fewer ways to fit"):
        search.matches(words, "pattern", "(a|aa)+b")


@pytest.mark.parametrize(("way", "query"), [("words", " "), ("words", "absent"), ("pattern", "("), ("pattern", ".*"),
                                            ("label", "NONE"), ("pattern", "a" * 999)])
def test_a_search_that_cannot_be_says_why(evidence: Evidence, pair: tuple[str, str], way: str, query: str) -> None:
    with pytest.raises(InputError, match=way):
        find(evidence, pair, way, query)


def test_separation_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    random = np.random.default_rng(0)
    values, hits = random.integers(0, 9, 200).astype(float), random.random(200) < 0.3
    assert search.separation(values, hits) == pytest.approx(
        (roc_auc_score(hits, values), average_precision_score(hits, values)))
    assert search.separation(hits.astype(float), hits) == (1, 1)
    assert search.separation(np.zeros(200), hits)[0] == 0.5


def test_errors_are_those_of_the_table(evidence: Evidence, pair: tuple[str, str]) -> None:
    frame = errors.predictions(evidence, pair, "test", 1, 4)
    table = evidence.study.table.query("split == 'test' and label == '' and layer == 1 and k == 4")
    for when, name in zip(("before", "after"), pair, strict=True):
        value = table[(table.checkpoint == name) & (table.metric == "accuracy")].value.item()
        assert (frame[when] == frame.gold).mean() == pytest.approx(value)
    assert set(frame[frame.kind == errors.LOST].gold) >= {LABEL}
    assert (frame[frame.kind == errors.LOST].before == frame[frame.kind == errors.LOST].gold).all()
    assert frame.confidence_before.between(0.25, 1).all()


def test_confusion_counts_every_word_and_folds_rare_labels() -> None:
    frame = pd.DataFrame({"gold": ["A", "A", "B", "C"], "before": ["A", "B", "B", "A"], "after": ["A", "A", "C", "C"]})
    table = errors.confusion(frame)
    assert (table.before.sum(), table.after.sum(), table.difference.sum()) == (4, 4, 0)
    assert table.set_index(["gold", "predicted"]).difference["A", "A"] == 1
    folded = errors.confusion(frame, n=1)
    assert set(folded.gold) == {"A", errors.OTHER}
    assert folded.before.sum() == 4


def test_looking_at_neurons_imports_no_torch() -> None:
    code = "import sys, explorer.card, explorer.search, explorer.errors, explorer.sentence, explorer.charts.neuron, " \
           "explorer.charts.sentence, explorer.charts.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
