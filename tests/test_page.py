"""The page as its users meet it: a real server, a real browser, real jobs, on small models with random weights."""
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from streamlit.testing.v1 import AppTest

from explorer.corpus import CorpusRequest
from explorer.store import Store
from explorer.study import Study, StudyRequest, run_study
from tests.browser import ROOT, Server, served, tab
from tests.tiny import build
from tests.words import write_conllu, write_corpus

HOSTILE = "<img src=x onerror=document.title='owned'> **bold** :red[red] $x^2$ [link](http:x)"
CHARTS = ["by_layer", "delta", "by_k"]  # in the page's order


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checkpoints, and files of a corpus, by the sidebar's names for them."""
    folder = tmp_path_factory.mktemp("given")
    return {
        "Pre-trained model": str(build(folder / "base", "bert", seed=0)),
        "Fine-tuned checkpoint": str(build(folder / "tuned", "bert", seed=1)),
        "Corpus: training file": write_corpus(folder / "corpus")["train"],
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def study(store: Store, given: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study whose every name that comes from outside is hostile."""
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE.replace("/", "")
    folder.mkdir()
    tuned = folder / HOSTILE
    tuned.symlink_to(given["Fine-tuned checkpoint"])
    files = {name: Path(path) for name, path in write_corpus(folder / "corpus").items()}
    for path in files.values():
        path.write_text(path.read_text().replace("NOUN", HOSTILE))
    corpus = CorpusRequest(**{name: str(path) for name, path in files.items()})
    return run_study(StudyRequest(given["Pre-trained model"], (str(tuned),), corpus, k=(1, 2, 4, 8)), store)


@pytest.fixture(scope="module")
def server(store: Store) -> Iterator[Server]:
    with served(ROOT / "streamlit_app.py", store.root) as running:
        yield running


def figures(page: Page) -> Locator:
    """Pre-trained, fine-tuned, delta, number of test words."""
    return page.locator(".headline strong")


def notes(page: Page) -> Locator:
    """Below the figures: three intervals, and the position."""
    return page.locator(".headline small")


def slider(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} input[type=range]")


def chart(page: Page, name: str) -> Locator:
    return page.locator(".stVegaLiteChart svg.marks").nth(CHARTS.index(name))


def fill(page: Page, given: dict[str, str]) -> None:
    """The sidebar, as somebody types it."""
    for label, text in given.items():
        page.get_by_label(label, exact=True).fill(text)
        page.keyboard.press("Enter")


def test_a_study_from_the_sidebar_to_a_link(
    browser: Browser, page: Page, server: Server, given: dict[str, str], tmp_path: Path,
) -> None:
    page.goto(server.url)
    fill(page, given | {"Corpus: training file": str(write_conllu(tmp_path / "corpus.conllu", 3000, 0))})
    expect(page.get_by_role("combobox", name="Property")).to_have_value("upos")
    page.get_by_role("button", name="Run study").click()
    expect(page.get_by_text(re.compile("^Study: (waiting|running)"))).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page).to_have_url(re.compile("study=[0-9a-f]{20}"))
    expect(figures(page)).to_have_count(4)
    expect(notes(page).last).to_have_text("layer 2, top 16")

    before = chart(page, "by_k").inner_html()
    slider(page, "layer").press("ArrowLeft")
    expect(notes(page).last).to_have_text("layer 1, top 16")
    expect(chart(page, "by_k")).not_to_have_js_property("innerHTML", before)
    slider(page, "k").press("Home")
    expect(notes(page).last).to_have_text("layer 1, top 1")
    expect(figures(page).first).not_to_have_text("100.0 %")
    expect(page).to_have_url(re.compile(r"k=1\b"))

    other = tab(browser)
    other.goto(page.url)
    expect(notes(other).last).to_have_text("layer 1, top 1")
    expect(figures(other)).to_have_text(figures(page).all_inner_texts())
    expect(slider(other, "layer")).to_have_value("1")
    other.context.close()


def test_charts_and_figures_follow_a_slider_while_it_is_dragged(page: Page, server: Server, study: Study) -> None:
    page.goto(f"{server.url}?study={study.key}")
    title = chart(page, "by_layer").locator(".role-title-text")
    expect(title).to_have_text("Accuracy by layer, all 16 neurons")
    here = page.locator(".st-key-k [data-testid=stSliderThumbValue]").locator("..").bounding_box()
    assert here
    page.mouse.move(here["x"] + here["width"] / 2, here["y"] + here["height"] / 2)
    page.mouse.down()
    page.mouse.move(here["x"] - 1000, here["y"], steps=5)
    expect(title).to_have_text("Accuracy by layer, top 1 of 16 neurons")
    expect(notes(page).last).to_have_text("layer 2, top 1")
    assert "k=1" not in page.url  # it follows on release
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"k=1\b"))
    expect(notes(page).last).to_have_text("layer 2, top 1")
    expect(title).to_have_text("Accuracy by layer, top 1 of 16 neurons")


def test_texts_from_outside_are_text(page: Page, server: Server, study: Study) -> None:
    page.goto(f"{server.url}?study={study.key}")
    expect(figures(page)).to_have_count(4)
    page.get_by_text("About this study").click()
    expect(page.get_by_text(f"Fine-tuned: {study.finetuned[0]}")).to_be_visible()
    expect(page.locator("table.sortable")).to_contain_text("<img src=x")
    assert page.locator("img[src=x], strong:text-is('bold'), a:text-is('link'), .katex").count() == 0
    assert page.title() != "owned"


def test_the_table_of_labels_is_sorted_by_its_headings_and_stays_so(page: Page, server: Server, study: Study) -> None:
    def words() -> list[int]:
        return [int(text.replace(",", "")) for text in page.locator("table.sortable td:nth-child(6)").all_inner_texts()]

    page.goto(f"{server.url}?study={study.key}")
    heading = page.locator("table.sortable th").nth(5)
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert words() == sorted(words(), reverse=True)
    slider(page, "layer").press("Home")
    expect(page.get_by_text("layer 0, top")).to_be_visible()
    expect(heading).to_have_attribute("aria-sort", "descending")
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert words() == sorted(words())


def test_a_cancelled_study_can_be_run_again_or_dismissed(
    page: Page, server: Server, study: Study, given: dict[str, str], tmp_path: Path,
) -> None:
    page.goto(server.url)
    fill(page, given | {"Corpus: training file": str(write_conllu(tmp_path / "long.conllu", 20000, 0))})
    page.get_by_role("button", name="Run study").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled. Finished work is kept")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("Cancelled. Finished work is kept")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("job="))
    expect(figures(page)).to_have_count(4)


def test_a_failed_study_says_why_on_whatever_page_one_looks_at(
    page: Page, server: Server, study: Study, given: dict[str, str], tmp_path: Path,
) -> None:
    page.goto(server.url)
    fill(page, given | {"Fine-tuned checkpoint": str(build(tmp_path / "wide", "bert", seed=0, width=32))})
    page.get_by_role("button", name="Run study").click()
    expect(page.get_by_text("The study failed")).to_be_visible()
    expect(page.get_by_text(re.compile("width 32 against 16"))).to_be_visible()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Overview", exact=True).click()
    expect(page).to_have_url(re.compile("/overview.*job="))
    expect(page.get_by_text("What fine-tuning changes, by layer")).to_be_visible()
    expect(page.get_by_text(re.compile("width 32 against 16"))).to_be_visible()


def test_a_link_copied_from_a_page_opened_unasked_names_its_study(page: Page, server: Server, study: Study) -> None:
    page.goto(server.url)
    expect(page).to_have_url(re.compile("study=[0-9a-f]{20}"))


@pytest.mark.parametrize("field", ["Pre-trained model", "Fine-tuned checkpoint", "Corpus: training file"])
def test_a_name_of_any_length_is_refused_in_its_place(page: Page, server: Server, study: Study, field: str) -> None:
    page.goto(server.url)
    fill(page, {field: "/" + "a" * 300})
    expect(page.get_by_text(re.compile("cannot (be used|run)"))).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.parametrize(("query", "message"), [
    ("study=00000000000000000000", "The study in this link is not here"),
    ("study=../../etc/passwd", "The study in this link is not here"),
    ("job=20260101-000000-abcdef", "The job in this link is not here"),
    ("job=../x", "The job in this link is not here"),
])
def test_links_to_what_is_not_there(page: Page, server: Server, study: Study, query: str, message: str) -> None:
    page.goto(f"{server.url}?{query}")
    expect(page.get_by_text(message)).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_the_menu_takes_the_study_along(page: Page, server: Server, study: Study) -> None:
    page.goto(f"{server.url}layers?study={study.key}&layer=1")
    expect(notes(page).last).to_have_text("layer 1, top 16")
    for name in ("Jobs", "Neurons", "Layers"):
        page.get_by_test_id("stSidebar").get_by_role("link", name=name, exact=True).click()
        expect(page).to_have_url(re.compile(rf"/{name.lower() if name != 'Layers' else ''}\?.*study={study.key}"))
    expect(figures(page)).to_have_count(4)


def test_a_position_out_of_range_falls_back(page: Page, server: Server, study: Study) -> None:
    page.goto(f"{server.url}?study={study.key}&layer=99&k=3")
    expect(notes(page).last).to_have_text("layer 2, top 16")


def test_a_training_file_that_cannot_be_read_is_told_at_once(page: Page, server: Server, study: Study) -> None:
    page.goto(server.url)
    fill(page, {"Corpus: training file": "/no/such.conllu"})
    expect(page.get_by_text("/no/such.conllu: No such file")).to_be_visible()
    expect(page.get_by_role("button", name="Run study")).to_be_disabled()
    expect(page.get_by_text("Still to choose")).to_have_count(0)


def test_a_table_with_a_broken_row_is_told_at_once_and_runs_once_mended(
    page: Page, server: Server, study: Study, tmp_path: Path,
) -> None:
    broken, mended = tmp_path / "broken.tsv", tmp_path / "mended.tsv"
    broken.write_text("token\tsem\na\tDIS\ndog\n")
    mended.write_text("token\tsem\na\tDIS\ndog\tCON\n")
    page.goto(server.url)
    run = page.get_by_role("button", name="Run study")
    fill(page, {"Corpus: training file": str(broken)})
    expect(page.get_by_text("line 3: 1 columns in 'dog'")).to_be_visible()
    expect(run).to_be_disabled()
    fill(page, {"Corpus: training file": str(mended)})
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_role("combobox", name="Property", disabled=False)).to_have_value("sem")
    expect(run).to_be_enabled()


def test_what_a_study_lacks_is_named_before_it_can_run(page: Page, server: Server, study: Study) -> None:
    page.goto(server.url)
    fill(page, {"Pre-trained model": "", "Fine-tuned checkpoint": ""})
    expect(page.get_by_text("Still to choose: a pre-trained model, a fine-tuned checkpoint.")).to_be_visible()
    expect(page.get_by_role("button", name="Run study")).to_be_disabled()


@pytest.mark.parametrize("wrong", ["0", "-5", "2.5", "many"])
def test_a_sample_size_out_of_range_is_told_by_its_field(page: Page, server: Server, study: Study, wrong: str) -> None:
    page.goto(server.url)
    run = page.get_by_role("button", name="Run study")
    fill(page, {"Sample size (sentences per split)": wrong})
    told = page.get_by_text(f"Sample size (sentences per split): {wrong}; takes a whole number, 1 or more")
    expect(told).to_be_visible()
    expect(run).to_be_disabled()
    fill(page, {"Sample size (sentences per split)": ""})
    expect(run).to_be_enabled()


@pytest.mark.parametrize(("state", "text"), [("queued", "It starts once"), ("running", "Its first step is under way")])
def test_a_job_that_has_told_nothing_yet_is_described_by_its_state(store: Store, state: str, text: str) -> None:
    def script(root, state):  # read alone, without this file's imports
        from explorer.jobs import Job
        from explorer.store import Store
        from explorer.views.progress import at_work

        at_work(Store(root), Job("1", "download", state, {"name": "sst2"}, created=0))

    shown = AppTest.from_function(script, kwargs={"root": store.root, "state": state}).run()
    assert not shown.exception
    assert shown.text[-1].value.startswith(text)
