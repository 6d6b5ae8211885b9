"""The Layers page: every metric's figures, and the page itself without a browser."""
import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from explorer.charts import layers as charts
from explorer.charts.measures import (
    MEASURES,
    Measure,
    baselines,
    grid,
    headline,
    labels,
    offered,
    scale_of_layers,
    with_random,
)
from explorer.corpus import CorpusRequest
from explorer.store import Store
from explorer.study import Study, StudyRequest, run_study
from explorer.views import by_label
from tests.browser import ROOT, served, tab
from tests.tiny import build
from tests.words import write_corpus

APP = str(ROOT / "streamlit_app.py")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def study(store: Store) -> Study:
    base, tuned = build(store.root / "base", "bert", seed=0), build(store.root / "tuned", "bert", seed=1)
    request = StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(store.root)), k=(1, 2, 4, 8),
                           control=2)
    return run_study(request, store)


def test_a_number_is_shown_with_a_true_minus_and_nothing_has_no_sign() -> None:
    measure = Measure("accuracy", "Accuracy")
    assert [measure.text(value, signed=True) for value in (-1.25, 0.04, -0.04, 3.0)] == ["−1.2", "0.0", "0.0", "+3.0"]


def test_headline_figures_have_their_unit_sign_and_interval() -> None:
    rows = pd.DataFrame({"layer": [1, 0], "k": 8, "at": 8, "n": 1234, "before": [90.0, 80.04], "after": [89.0, 81.0]})
    rows = rows.assign(delta=rows.after - rows.before, delta_low=-2.0, delta_high=[-0.5, np.nan])
    rows = rows.assign(**{f"{name}_{end}": np.nan for name in ("before", "after") for end in ("low", "high")})
    rows.loc[1, "delta_low"] = np.nan
    assert headline(rows, MEASURES["Accuracy"]) == [
        [[["80.0 %", "no interval"], ["81.0 %", "no interval"], ["+1.0", "no interval"], ["1,234", "layer 0, top 8"]]],
        [[["90.0 %", "no interval"], ["89.0 %", "no interval"], ["−1.0", "95 %: −2.0 to −0.5"],
          ["1,234", "layer 1, top 8"]]]]


@pytest.mark.parametrize("together", [False, True])
def test_every_measure_covers_the_whole_grid(study: Study, together: bool) -> None:
    for title in offered(study.table):
        found = grid(study.table, study.base, study.finetuned[0], title, together)
        assert len(found) == 3 * 5
        np.testing.assert_allclose(found.delta, found.after - found.before, atol=2e-4)
        of = MEASURES[title]
        assert found.delta_low.isna().all() == (of.split == "train")
        drawn = [charts.by_layer(found, of, baselines(study.table, study.base, title)), charts.by_k(found, of),
                 charts.delta_by_layer(found, of, together)]
        assert all(chart.to_dict()["$schema"] for chart in drawn)
    assert "Span F1" not in offered(study.table)


def test_what_is_measured_at_some_k_is_shown_at_the_nearest(study: Study) -> None:
    found = grid(study.table, study.base, study.finetuned[0], "Selectivity")
    assert found[found.layer == 0].set_index("k")["at"].to_dict() == {1: 1, 2: 1, 4: 1, 8: 16, 16: 16}


@pytest.mark.parametrize(("together", "metric"), [(False, "delta_low"), (True, "delta_low_all")])
def test_bounds_are_those_of_one_layer_or_of_all_at_once(study: Study, together: bool, metric: str) -> None:
    found = grid(study.table, study.base, study.finetuned[0], "Accuracy", together).set_index(["layer", "k"])
    rows = study.table[(study.table.metric == metric) & (study.table.split == "test") & (study.table.label == "")]
    wanted = rows.set_index(["layer", "k"]).value
    np.testing.assert_allclose(found.delta_low, 100 * wanted.reindex(found.index), atol=1e-3)


def test_a_delta_is_unsure_where_its_interval_holds_zero(study: Study) -> None:
    found = grid(study.table, study.base, study.finetuned[0])
    holds = (found.delta_low <= 0) & (found.delta_high >= 0)
    pd.testing.assert_series_equal(found.unsure, holds, check_names=False)


def test_tables_of_labels_and_layers(study: Study) -> None:
    recall = labels(study.table, study.base, study.finetuned[0])
    assert len(recall) == 3 * 5 * 4
    assert (recall.delta_low <= recall.delta_high).all()
    assert (recall.fewest == recall.n).all()
    precision = labels(study.table, study.base, study.finetuned[0], "precision").set_index(["layer", "k", "label"])
    told = study.table[(study.table.metric == "precision") & (study.table.split == "test")]
    fewest = told.groupby(["layer", "k", "label"]).n.min()
    pd.testing.assert_series_equal(precision.fewest, fewest.reindex(precision.index), check_names=False)
    assert (precision.fewest != precision.n).any()
    layers = scale_of_layers(study.table, study.base, study.finetuned[0])
    assert layers.index.tolist() == [0, 1, 2]
    assert {"● Norm", "◆ Outliers", "● Compression", "◆ Control task (%)"} <= set(layers)


@pytest.mark.parametrize(("fewest", "told"), [(4, "unsure"), (10, "sure")])
def test_a_change_of_few_words_is_not_sure(fewest: int, told: str) -> None:
    drawn: list[str] = []

    class Slot:
        def html(self, text: str) -> None:
            drawn.append(text)

    row = {"label": "DXT", "n": 13, "fewest": fewest, "before": 100.0, "after": 0.0, "delta": -100.0,
           "delta_low": -100.0, "delta_high": -100.0}
    by_label.show(Slot(), pd.DataFrame([row]), "")
    assert f'<tr class="{told}">' in drawn[0]


def test_the_page_runs(study: Study, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(store.root))
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params["study"] = study.key
    page.query_params["metric"] = "Cross-entropy"
    page.run()
    assert not page.exception
    assert page.selectbox(key="metric").value == "Cross-entropy"
    page.selectbox(key="metric").set_value("Compression").run()
    page.session_state["methods"] = True
    page.toggle(key="together").set_value(True).run()
    assert not page.exception
    assert any("Following Durrani" in code.value for code in page.code)


def test_the_figures_of_random_weights_stand_beside_the_checkpoints(study: Study) -> None:
    """A checkpoint in the place of random weights: the same figures stand there."""
    found = grid(study.table, study.base, study.finetuned[0])
    beside = with_random(found, study.table, study.finetuned[0])
    assert (beside.random == found.after).all()
    assert (beside.random_low == found.after_low).all()
    untested = study.table[study.table.metric != "selectivity"]
    assert "random" not in with_random(found, untested, study.finetuned[0], "Selectivity")
    chart = charts.by_layer(beside, MEASURES["Accuracy"], {"majority label": 1.0}).to_dict()
    assert "random weights" in str(chart)
    assert "random weights" not in str(charts.by_k(found, MEASURES["Accuracy"]).to_dict())


def test_the_axis_fits_the_lines_at_each_k(study: Study) -> None:
    found = grid(study.table, study.base, study.finetuned[0])
    chart = charts.by_layer(found, MEASURES["Accuracy"], {"majority label": 1.0}).to_dict()
    ends = {param["name"]: param["value"] for param in chart["params"] if param["name"] in ("lows", "highs")}
    for (_, rows), low, high in zip(found.groupby("k"), ends["lows"], ends["highs"], strict=True):
        figures = rows[["before", "after"]]
        assert low < figures.min(axis=None) <= figures.max(axis=None) < high
        assert high - low >= 5


@pytest.mark.parametrize(("reach", "unit", "ticks"), [
    (31, 1.0, [1, 3, 10, 30]), (2.4, 1.0, [0.3, 1]), (150, 1.0, [3, 10, 30, 100]), (0.24, 0.1, [0.03, 0.1]),
])
def test_a_delta_axis_has_the_numbers_that_it_has_room_for(reach: float, unit: float, ticks: list[float]) -> None:
    assert charts._delta_ticks(reach, unit) == pytest.approx(ticks)


def test_random_weights_are_computed_at_a_click_and_the_study_stays(
    study: Study, store: Store, browser: Browser,
) -> None:
    with served(ROOT / "streamlit_app.py", store.root) as server:
        page = tab(browser, height=1400)
        page.goto(f"{server.url}?study={study.key}&layer=1")
        page.get_by_role("button", name="Compute them").click()
        expect(page.locator(".headline strong")).to_have_count(5)
        expect(page.locator(".headline .random")).to_contain_text(re.compile(r"Random weights.*%.*95 %: "))
        expect(page.get_by_role("button", name="Compute them")).to_have_count(0)
        expect(page.get_by_text("random weights", exact=True).first).to_be_visible()
        expect(page).to_have_url(re.compile(f"study={study.key}&layer=1$"))


def test_a_link_to_a_study_that_has_gone_on_opens_what_it_has_become(
    study: Study, store: Store, monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = str(build(store.root / "more", "bert", seed=2))
    longer = run_study(dataclasses.replace(study.request, finetuned=(*study.finetuned, more)), store)
    monkeypatch.setenv("EXPLORER_CACHE", str(store.root))
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params["study"] = study.key
    page.run()
    assert not page.exception
    assert not page.error
    assert page.query_params["study"] == longer.key
