"""The Neurons page in a real browser: every section draws, follows, computes what is missing, and gives files."""
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import Browser, Page, expect

from explorer.neurons.analysis import Neurons
from explorer.neurons.tables import ranked
from tests.browser import ROOT, served, tab

CHART = ".stVegaLiteChart canvas, .stVegaLiteChart svg"


@pytest.fixture(scope="module")
def address(neurons: Neurons, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a copy of the cache, which lacks the tables of 'moves'."""
    cache = Path(shutil.copytree(neurons.store.root, tmp_path_factory.mktemp("page") / "cache"))
    for cell in neurons.cells("moves"):
        (cache / "results" / f"{neurons.spec(cell).key()}.parquet").unlink()
    with served(ROOT / "streamlit_app.py", cache) as running:
        yield f"{running.url}neurons"


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    return tab(browser, height=1400)


def open_section(page: Page, address: str, section: str, more: str = "") -> None:
    page.goto(f"{address}?section={quote_plus(section)}{more}")
    expect(page.get_by_text("Top-k neurons of the layer")).to_be_visible()


@pytest.mark.parametrize(("section", "charts"), [
    ("Minimal set", 1), ("Where they live", 3), ("Labels", 2), ("Ranking audit", 3), ("Top and bottom", 1),
])
def test_every_section_draws(page: Page, address: str, section: str, charts: int) -> None:
    open_section(page, address, section, "&k=4")
    expect(page.locator(CHART)).to_have_count(charts)
    expect(page.locator(".stException")).to_have_count(0)


def test_what_is_missing_is_computed_at_a_press(page: Page, address: str) -> None:
    open_section(page, address, "Where they went", "&k=4&layer=1")
    expect(page.get_by_text("Not computed yet")).to_be_visible()
    page.get_by_role("button", name="Compute").click()
    expect(page.locator(CHART)).to_have_count(2)
    expect(page.get_by_text("of the top 4")).to_have_count(3)
    assert "section=Where+they+went" in page.url
    assert "layer=1" in page.url


def test_a_click_on_a_cell_of_the_map_opens_the_neurons_card_and_back_comes_back(
    page: Page, address: str, neurons: Neurons,
) -> None:
    open_section(page, address, "Labels", "&k=4&layer=1")
    cell = page.locator("path[aria-label*='label: VERB; share']").first
    name = re.search(r"neuron: (L1:\d+);", cell.get_attribute("aria-label") or "")
    assert name
    cell.click()
    page.wait_for_url(f"**/neuron?**neuron={quote_plus(name[1])}")
    expect(page.get_by_label("Neuron (layer and number)")).to_have_value(name[1])
    page.go_back()
    page.wait_for_url("**/neurons?section=Labels&k=4&layer=1**")
    expect(page.get_by_text("Top-k neurons of the layer")).to_be_visible()


def test_a_click_on_a_point_of_the_rank_changes_opens_the_neurons_card(
    page: Page, address: str, neurons: Neurons,
) -> None:
    open_section(page, address, "Where they went", "&k=4&layer=1")
    expect(page.get_by_text("of the top 4")).to_have_count(3)
    best = ranked(neurons, neurons.study.base, 1, top=1).neuron[0]
    page.locator("path[aria-label^='before: 1; after: ']").first.click()
    page.wait_for_url(f"**/neuron?**neuron={quote_plus(best)}")


def test_lists_follow_the_slider(page: Page, address: str) -> None:
    open_section(page, address, "Take it away", "&k=4&layer=1")
    expect(page.get_by_text("The first 4 of layer 1")).to_be_visible()
    page.locator(".st-key-k input[type=range]").press("ArrowRight")
    expect(page.get_by_text("The first 8 of layer 1")).to_be_visible()
    assert "k=8" in page.url


def test_the_slowest_ranking_is_there_over_all_layers(page: Page, address: str) -> None:
    open_section(page, address, "Take it away", "&k=4&method=Gaussian%2C+by+likelihood&over=all+layers")
    expect(page.get_by_text("The first 4 of all layers")).to_be_visible()


def test_a_ranking_comes_as_a_file_with_what_made_it(page: Page, address: str, neurons: Neurons) -> None:
    open_section(page, address, "Take it away", "&k=4&layer=1")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Ranking as JSON").click()
    assert re.fullmatch(r"checkpoint-pre-trained-layer-1-method-lca-k-4-ranking-\w{8}\.json",
                        waiting.value.suggested_filename)
    found = json.loads(Path(waiting.value.path()).read_text())
    assert found["made_of"]["study"] == neurons.study.key
    assert [row["place"] for row in found["rows"]] == [1, 2, 3, 4]
    assert all(row["neuron"].startswith("L1:") for row in found["rows"])
