"""Runs in a real browser: started, watched, found again after a reload, stopped, slid along."""
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import ROOT, served, tab

PROBED = "checkpoints probed"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with an empty cache."""
    with served(ROOT / "streamlit_app.py", tmp_path_factory.mktemp("cache")) as running:
        yield running.url.rstrip("/")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    return tab(browser, height=1000)


def fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")


def start(page: Page, address: str, seed: int) -> None:
    """A short run on the starter, 60 sentences in 6 steps with 5 checkpoints, probed on 40."""
    page.goto(f"{address}/fine-tune")
    for label, value in (("Size (training rows)", "60"), ("Epochs", "1.5"), ("Sample (sentences per split)", "40"),
                         ("Seed", str(seed))):
        fill(page, label, value)
    expect(page.get_by_text("60 training rows")).to_be_visible()
    page.get_by_role("button", name="Start run").click()
    expect(page.get_by_text("Run: ")).to_be_visible()


def drawn(page: Page) -> bytes:
    """The chart of the layers as it looks."""
    return page.locator("[data-testid=stVegaLiteChart]").last.screenshot()


@pytest.mark.parametrize(("label", "wrong", "takes"), [
    ("Epochs", "0", "0; takes a number above 0, at most 10,000"),
    ("Epochs", "twelve", "twelve; takes a number above 0"),
    ("Learning rate", "2", "2; takes a number above 0, at most 1"),
    ("Size (training rows)", "1", "1; takes a whole number, 2 or more"),
    ("Seed", "-1", "-1; takes a whole number from 0 to 4,294,967,295"),
    ("Sample (sentences per split)", "0", "0; takes a whole number, 1 or more"),
    ("Freeze embeddings and lowest blocks", "99", "99; takes 0 to 6, the blocks that this model has"),
    ("Re-initialise top blocks", "0.5", "0.5; takes a whole number, 0 or more"),
])
def test_a_number_out_of_range_is_told_by_its_field_and_starts_nothing(
    page: Page, address: str, label: str, wrong: str, takes: str,
) -> None:
    page.goto(f"{address}/fine-tune")
    start = page.get_by_role("button", name="Start run")
    expect(start).to_be_enabled()
    page.get_by_label(label, exact=True).fill(wrong)
    page.keyboard.press("Tab")
    expect(page.get_by_text(f"{label}: {takes}")).to_be_visible()
    expect(start).to_be_disabled()


def test_a_run_is_started_watched_and_found_again(page: Page, address: str) -> None:
    start(page, address, seed=0)
    probed, layers = page.get_by_text(PROBED), page.locator(".stVegaLiteChart svg.marks").last
    told, first = probed.inner_text(), layers.inner_html()
    assert not told.startswith("5 of 5")  # still at work
    expect(probed).not_to_have_text(told)
    expect(layers).not_to_have_js_property("innerHTML", first)
    page.reload()
    expect(page.get_by_text(PROBED)).to_be_visible()
    expect(page.get_by_text(f"5 of 5 {PROBED}. Slide")).to_be_visible()
    expect(page).to_have_url(re.compile("study="))


def test_a_second_one_is_stopped_and_keeps_what_is_there(page: Page, address: str) -> None:
    start(page, address, seed=1)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Finished work is kept")).to_be_visible()
    page.goto(f"{address}/jobs")
    expect(page.get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_text("Done")).to_be_visible()
    page.get_by_role("link", name="Open", exact=True).click()
    expect(page).to_have_url(re.compile(r"/\?study=[0-9a-f]{20}"))
    expect(page.get_by_text("Test words", exact=True)).to_be_visible()


def test_the_first_is_slid_along_and_played(page: Page, address: str) -> None:
    page.goto(f"{address}/trajectory")
    thumb = page.locator(".st-key-step input[type=range]")
    expect(thumb).to_have_value("4")
    step = page.locator(".headline strong").first
    expect(step).to_have_text("6")
    before = drawn(page)
    thumb.press("ArrowLeft")
    expect(thumb).to_have_value("3")
    expect(page.locator("#live-step")).to_have_value("3")
    expect(step).to_have_text("3")
    assert drawn(page) != before
    assert "step=3" in page.url
    page.get_by_role("button", name="Play").click()
    expect(thumb).to_have_value("4")
    expect(step).to_have_text("6")


def test_the_slider_of_steps_stands_on_the_page_of_layers_too(page: Page, address: str) -> None:
    page.goto(f"{address}/?step=3")
    expect(page.get_by_text("3 steps of 6")).to_be_visible()


def test_the_charts_of_layers_follow_it_while_it_is_dragged(page: Page, address: str) -> None:
    page.goto(f"{address}/?k=1")
    charts = page.locator(".stVegaLiteChart svg.marks")
    expect(charts).to_have_count(3)
    before = [charts.nth(i).inner_html() for i in range(3)]
    here = page.locator(".st-key-step [data-testid=stSliderThumbValue]").locator("..").bounding_box()
    assert here
    page.mouse.move(here["x"] + here["width"] / 2, here["y"] + here["height"] / 2)
    page.mouse.down()
    page.mouse.move(here["x"] - 1000, here["y"], steps=5)
    expect(page.locator("#live-step")).to_have_value("0")
    for i in range(3):
        expect(charts.nth(i)).not_to_have_js_property("innerHTML", before[i])
    expect(page.get_by_text("6 steps of 6")).to_be_visible()  # words and figures follow on release
    dragged = [charts.nth(i).inner_html() for i in range(3)]
    page.mouse.up()
    expect(page.get_by_text("0 steps of 6")).to_be_visible()
    assert [charts.nth(i).inner_html() for i in range(3)] == dragged
