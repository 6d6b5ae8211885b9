"""Random weights as a baseline: found among the studies, drawn beside the checkpoints, computed at a click."""
import dataclasses
import re

import pytest
from playwright.sync_api import expect

from explorer.charts import layers as charts
from explorer.charts.measures import MEASURES, grid, with_random
from explorer.corpus import CorpusRequest
from explorer.specs import ProbeSpec
from explorer.store import Store
from explorer.study import Study, StudyRequest, Summary, run_study
from explorer.untrained import UntrainedRequest, find, tuned
from explorer.views.studies import first
from tests.browser import ROOT, chromium, served
from tests.tiny import build
from tests.words import write_corpus

ASKED = StudyRequest("bert", ("bert-sst2",), CorpusRequest("train.conllu"))


def listed(*requests: StudyRequest) -> list[Summary]:
    return [Summary(f"key{i}", "", "2030-01-01", request, False) for i, request in enumerate(requests)]


def opened(request: StudyRequest, study: Study) -> Study:
    return dataclasses.replace(study, key="shown", request=request)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def study(store: Store) -> Study:
    base, tuned = build(store.root / "base", "bert", seed=0), build(store.root / "tuned", "bert", seed=1)
    return run_study(StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(store.root)), k=(1, 4)), store)


def test_it_is_found_where_all_settings_are_the_same(study: Study) -> None:
    shown, baseline = opened(ASKED, study), UntrainedRequest(ASKED).of
    assert find(shown, listed(ASKED, baseline)) == ("key1", "random:bert")
    assert find(shown, listed(dataclasses.replace(baseline, finetuned=("random:bert@7",)))) == ("key0", "random:bert@7")
    assert find(shown, listed(dataclasses.replace(baseline, base="random:bert", finetuned=("x",)))) is not None
    for other in (dataclasses.replace(baseline, pooling="mean"), dataclasses.replace(baseline, probe=ProbeSpec(l2=1)),
                  dataclasses.replace(baseline, corpus=CorpusRequest("train.conllu", property="xpos")),
                  dataclasses.replace(baseline, finetuned=("random:roberta",)), ASKED):
        assert find(shown, listed(other)) is None


def test_a_study_may_have_its_own(study: Study) -> None:
    both = dataclasses.replace(ASKED, finetuned=("bert-sst2", "random:bert"))
    assert find(opened(both, study), listed(UntrainedRequest(ASKED).of)) == ("shown", "random:bert")
    assert tuned(both) == ["bert-sst2"]


def test_a_baseline_does_not_open_unasked() -> None:
    baseline, own = listed(UntrainedRequest(ASKED).of, ASKED)
    assert first([baseline, own]) is own
    assert first([baseline]) is baseline


def test_its_figures_stand_beside_the_checkpoints(study: Study) -> None:
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


def test_it_is_computed_at_a_click_and_the_study_stays(study: Study, store: Store) -> None:
    expect.set_options(timeout=60_000)
    with served(ROOT / "streamlit_app.py", store.root) as server, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(f"{server.url}?study={study.key}&layer=1")
        page.get_by_role("button", name="Compute them").click(timeout=60_000)
        expect(page.get_by_test_id("stMetricValue")).to_have_count(5)
        expect(page.get_by_test_id("stMetric").nth(3)).to_contain_text(re.compile(r"Random weights.*%.*95 %: "))
        expect(page.get_by_role("button", name="Compute them")).to_have_count(0)
        expect(page.get_by_text("random weights", exact=True).first).to_be_visible()
        expect(page).to_have_url(re.compile(f"study={study.key}&layer=1$"))
