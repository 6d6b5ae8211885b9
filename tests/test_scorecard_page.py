"""The Scorecard page in a real browser: what is lacking is computed at a click, and a link opens the same scorecard."""
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from explorer.corpus import CorpusRequest
from explorer.store import Store
from explorer.study import Study, StudyRequest, run_study
from tests.browser import ROOT, Server, served, tab
from tests.tiny import build
from tests.words import write_corpus


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Study]]:
    """Two studies, each of a pair of checkpoints."""
    folder = tmp_path_factory.mktemp("card")
    models = [str(build(folder / name, "bert", seed=i)) for i, name in enumerate(("base", "tuned", "other", "its"))]
    store, corpus = Store(folder / "cache"), CorpusRequest(**write_corpus(folder))
    requests = [StudyRequest(base, (tuned,), corpus, k=(1, 4)) for base, tuned in (models[:2], models[2:])]
    return store, [run_study(request, store) for request in requests]


@pytest.fixture(scope="module")
def server(studies: tuple[Store, list[Study]]) -> Iterator[Server]:
    with served(ROOT / "streamlit_app.py", studies[0].root) as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    return tab(browser)


def test_a_link_opens_the_same_scorecard(page: Page, server: Server, studies: tuple[Store, list[Study]]) -> None:
    page.goto(f"{server.url}scorecard")
    expect(page.get_by_text("Each of 2")).to_have_count(6)
    chosen = page.get_by_test_id("stMultiSelect").filter(has=page.get_by_label("Studies"))
    chosen.locator("input").click()
    page.get_by_role("option", name=re.compile("→")).first.click()
    expect(page).to_have_url(re.compile("studies=[0-9a-f]{20}$"))
    expect(page.get_by_text("Each of 2")).to_have_count(0)
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_text("Before fine-tuning, accuracy rises")).to_be_visible()
    expect(chosen.get_by_text("upos")).to_have_count(1)
    expect(page.get_by_text("Each of 2")).to_have_count(0)
    page.goto(f"{address},absent")
    expect(page.get_by_text("Some studies in this link are not here")).to_be_visible()
    expect(page.get_by_text("absent", exact=True)).to_be_visible()


def test_what_is_lacking_is_computed_at_a_click(page: Page, server: Server, studies: tuple[Store, list[Study]]) -> None:
    page.goto(f"{server.url}scorecard?studies={studies[1][0].key}")
    expect(page.get_by_text("which are not computed yet")).to_have_count(3)
    page.get_by_role("button", name="Compute").click()
    expect(page.get_by_text(re.compile("Scorecard: (waiting|running)"))).to_be_visible()
    expect(page.get_by_text("which are not computed yet")).to_have_count(0)
    expect(page.get_by_text(re.compile("^mean layer .* before, .* after"))).to_be_visible()
    expect(page).to_have_url(re.compile(f"scorecard\\?studies={studies[1][0].key}$"))
