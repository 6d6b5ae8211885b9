"""A neuron that weights make fire on one label alone, in a browser: found, opened, seen in a sentence; and the tour."""
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from explorer.card import WHEN
from explorer.charts.sentence import BOX
from explorer.evidence import Evidence
from tests.browser import ROOT, chart, click_row, exported, served, settled, show, table
from tests.planted import LABEL, WIRED, wired

UNIT = "Standard deviations from the training mean"
MIDDLE = 51  # pixels from the heat-map's lower end to the middle of its last boxes


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return wired(tmp_path_factory.mktemp("wired"))


@pytest.fixture(scope="module")
def url(evidence: Evidence) -> Iterator[str]:
    with served(ROOT / "streamlit_app.py", evidence.store.root) as running:
        yield running.url.rstrip("/")


def test_a_planted_neuron_is_found_right_on_its_card_and_lit_in_the_heat_map(
    page: Page, url: str, evidence: Evidence,
) -> None:
    page.set_viewport_size({"width": 1400, "height": 1400})
    show(page, f"{url}/find?by=label&label={LABEL}")
    click_row(table(page, "found"))
    page.wait_for_url("**/neuron?**")
    settled(page)
    assert parse_qs(urlsplit(page.url).query)["neuron"] == [WIRED]
    card = pd.read_csv(exported(page, "Labels as CSV").path(), skiprows=1).set_index(["checkpoint", "label"])
    before, after = card.loc[WHEN[0]], card.loc[WHEN[1]]
    assert before["q05"][LABEL] > before["q95"].drop(LABEL).max()
    assert before.weight.idxmax() == LABEL
    assert after["q05"][LABEL] < after["q95"].drop(LABEL).max()
    assert set(pd.read_csv(exported(page, "Highest pre-trained as CSV").path(), skiprows=1).label[:4]) == {LABEL}
    page.reload()  # a table takes no notice of the first click after a list was closed
    settled(page)
    click_row(table(page, f"Highest-activations--pre-trained-{WIRED.replace(':', '-')}-test"))
    page.wait_for_url("**/sentence?**")
    settled(page)
    state = parse_qs(urlsplit(page.url).query)
    words = evidence.words("test")
    words = words[words.sentence == int(state["sentence"][0])]
    label = dict(zip(words.word, words.label, strict=True))
    seen = boxes(page)
    assert {(when, word) for when, word in seen} == {(when, word) for when in WHEN for word in label}
    lit = {word: value > 1 and green > 40 for (when, word), (value, green) in seen.items() if when == WHEN[0]}
    assert lit == {word: of == LABEL for word, of in label.items()}
    dim = {value for (when, word), (value, _) in seen.items() if when == WHEN[1] and label[word] == LABEL}
    assert max(dim) < min(value for (when, word), (value, _) in seen.items() if when == WHEN[0] and lit[word])


def boxes(page: Page) -> dict[tuple[str, str], tuple[float, float]]:
    """Value, as the mouse is told, and share of green, as it is painted, of each box; by checkpoint and word."""
    found = chart(page, 0)
    picture = Image.open(BytesIO(found.screenshot())).convert("RGB")
    tooltip = page.locator("#vg-tooltip-element")
    seen = {}
    for y in (picture.height - MIDDLE - BOX - 2, picture.height - MIDDLE):  # of the two rows, in one line of words
        for x in range(10, picture.width // 2, 16):
            found.hover(position={"x": x, "y": y})
            said = dict(row.split("\t")[:2] for row in tooltip.inner_text().replace("\t\n", "\t").split("\n") if row)
            if "word" in said and "visible" in (tooltip.get_attribute("class") or ""):
                colours = [picture.getpixel((x, y + dy)) for dy in range(-8, 9)]
                green = max((g - (r + b) / 2 for r, g, b in colours), key=abs)
                seen[said["checkpoint"], said["word"]] = float(said[UNIT].replace("−", "-")), green
    return seen


def test_the_tour_computes_what_the_cache_lacks_and_goes_there_and_back(
    page: Page, evidence: Evidence, tmp_path: Path,
) -> None:
    cache = shutil.copytree(evidence.store.root, tmp_path / "cache")
    shutil.rmtree(cache / "activations")
    with served(ROOT / "streamlit_app.py", cache) as running:
        show(page, running.url)
        page.get_by_role("button", name="Tour in six steps").click()
        page.get_by_role("button", name="Compute them again").click()
        expect(page.get_by_role("button", name="Compute them again")).to_have_count(0)
        for key, numbers in (("PageDown", range(2, 7)), ("PageUp", range(5, 0, -1))):
            for number in numbers:
                page.keyboard.press(key)
                expect(page.get_by_text(f"{number} of 6")).to_be_visible()
                settled(page)
                expect(chart(page, 0).or_(table(page, "found"))).to_be_visible()
                expect(page.get_by_test_id("stException")).to_have_count(0)
