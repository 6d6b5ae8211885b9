"""Neurons, sentences, errors and the tour in a real browser, as a user would go about them."""
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, Download, Page, expect

from explorer.evidence import Evidence
from explorer.neuron import Neuron, Sample
from tests.browser import ROOT, chart, click_row, exported, served, show, tab, table
from tests.planted import LABEL, PLANTED, planted

HOSTILE = "<img/src=x/onerror=window.pwned=1>"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return planted(tmp_path_factory.mktemp("hands"), HOSTILE)


@pytest.fixture(scope="module")
def url(evidence: Evidence) -> Iterator[str]:
    with served(ROOT / "streamlit_app.py", evidence.store.root) as running:
        yield running.url.rstrip("/")


@pytest.fixture(scope="module")
def browser_page(browser: Browser) -> Page:
    return tab(browser, 1400, 1600)


@pytest.fixture
def page(browser_page: Page) -> Iterator[Page]:
    yield browser_page
    expect(browser_page.get_by_test_id("stException")).to_have_count(0)
    assert browser_page.evaluate("window.pwned") is None


def rows_of(file: Download, evidence: Evidence, **query: object) -> pd.DataFrame:
    """The table in a CSV file, whose first line has to name the study, the pair of checkpoints and the query."""
    made_of = json.loads(Path(file.path()).read_text().splitlines()[0].removeprefix("# "))
    request = evidence.study.request
    assert made_of.items() >= ({"study": evidence.study.key, "pre-trained": request.base,
                                "fine-tuned": request.finetuned[0]} | query).items()
    assert made_of["request"]["corpus"]["property"] == "upos"
    assert made_of["spec"]["checkpoints"]
    return pd.read_csv(file.path(), skiprows=1)


def test_search_finds_the_planted_neuron_and_opens_its_card(page: Page, url: str) -> None:
    show(page, f"{url}/find?by=label&label={LABEL}")
    expect(page.get_by_text("words match")).to_be_visible()
    click_row(table(page, "found"))
    page.wait_for_url(f"**/neuron?**neuron={PLANTED.replace(':', '%3A')}**")
    expect(page.get_by_label("Neuron (layer and number)")).to_have_value(PLANTED)
    expect(chart(page, 2)).to_be_visible()


def test_the_card_shows_what_the_planted_neuron_fires_on_and_a_click_opens_the_sentence(
    page: Page, url: str, evidence: Evidence,
) -> None:
    show(page, f"{url}/neuron?neuron={PLANTED}")
    click_row(table(page, f"Highest-activations--pre-trained-{PLANTED.replace(':', '-')}-test"))
    page.wait_for_url("**/sentence?**")
    state = parse_qs(urlsplit(page.url).query)
    words = evidence.words("test")
    there = words[words.sentence == int(state["sentence"][0])]
    assert there.label.iloc[int(state["mark"][0])] == LABEL
    expect(chart(page, 1)).to_be_visible()


def test_the_heat_map_is_dark_where_a_neuron_is_far_from_its_mean(
    page: Page, url: str, evidence: Evidence,
) -> None:
    show(page, f"{url}/sentence?sentence=3&neuron=L0:1")
    expect(chart(page, 0)).to_be_visible()
    there = evidence.words("test").query("sentence == 3").word.tolist()
    asked = {"sentence": 3, "split": "test", "text": " ".join(there)}
    words = rows_of(exported(page, "Activations as CSV"), evidence, neuron="L0:1", **asked)
    assert words.columns.tolist() == ["checkpoint", "position", "word", "value", "activation"]
    assert words.word.tolist() == 2 * there
    root = ET.fromstring(Path(exported(page, "Words as SVG").path()).read_text())
    green = {}  # of red, green and blue the share of green, by word and checkpoint
    for node in root.iter():
        found = re.search(r"word: (\S+); checkpoint: (\S+);", node.get("aria-label", ""))
        colour = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", node.get("fill", ""))
        if found and colour:
            red, of_green, blue = map(int, colour.groups())
            green[found[1], found[2]] = of_green - (red + blue) / 2
    assert len(green) == len(words.drop_duplicates(["checkpoint", "word"]))
    order = words.drop_duplicates(["checkpoint", "word"]).sort_values("value")
    ends = [green[row.word, row.checkpoint] for row in (order.iloc[0], order.iloc[-1])]
    assert ends[0] < 0 < ends[1]


@pytest.mark.parametrize("wrong", ["L9:1", "<script>", "L1:" + "9" * 50])
def test_a_link_to_a_neuron_that_there_is_not_says_so(page: Page, url: str, wrong: str) -> None:
    show(page, f"{url}/neuron?neuron={wrong}")
    expect(page.get_by_text("There is no such neuron")).to_be_visible()


def test_two_neurons_are_compared_by_a_click_or_by_a_link(page: Page, url: str, evidence: Evidence) -> None:
    show(page, f"{url}/neuron?neuron={PLANTED}&with=L2:3&y=pre-trained")
    expect(page.get_by_label("Up: neuron")).to_have_value("L2:3")
    expect(chart(page, 3)).to_be_visible()
    pair = evidence.study.base, evidence.study.finetuned[0]
    other = Sample.draw(evidence, pair, "test").alike(pair[0], Neuron.parse(PLANTED, 3, 16)).neuron[1]
    click_row(table(page, f"alike-pre-trained-{PLANTED.replace(':', '-')}"), 1)
    expect(page.get_by_label("Up: neuron")).to_have_value(other)
    page.wait_for_url(f"**with={other.replace(':', '%3A')}**")


def test_errors_are_filtered_and_open_their_sentence(page: Page, url: str, evidence: Evidence) -> None:
    show(page, f"{url}/errors?layer=1&gold={LABEL}")
    expect(page.get_by_text("words, the surest first")).to_be_visible()
    for which in ("Pre-trained", "Fine-tuned", "Change"):
        page.get_by_role("button", name=which, exact=True).or_(page.get_by_role("radio", name=which)).first.click()
        expect(chart(page, 0)).to_be_visible()
    page.get_by_label("Word contains").fill("no such word")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No words match.")).to_be_visible()
    show(page, f"{url}/errors?layer=1&gold={LABEL}&holds=s")
    expect(page.get_by_label("Word contains")).to_have_value("s")
    click_row(table(page, "errors"))
    page.wait_for_url("**/sentence?**")
    show(page, f"{url}/errors?layer=1&gold={LABEL}")
    words = rows_of(exported(page, "Words as CSV"), evidence, layer=1, k=16, kind="lost", gold=LABEL, holds="")
    assert set(words.gold) == {LABEL}
    assert (words.predicted_before == words.gold).all()
    assert {"sentence", "position", "word", "predicted_after", "confidence_after"} < set(words)
    counts = exported(page, "Confusion as CSV")
    assert rows_of(counts, evidence, layer=1, k=16).words_before.sum() == len(evidence.words("test"))
    assert "kind" not in Path(counts.path()).read_text().splitlines()[0]


@pytest.mark.parametrize("text", [
    HOSTILE, "I 👩‍👩‍👧 love 🎉 !", "שלום עולם", "**bold** [a](b) $x$", "\u200b", "the small cat " * 3400,
], ids=["script", "emoji", "right to left", "markdown", "dropped", "10,000 words"])
def test_any_sentence_can_be_typed(page: Page, url: str, text: str) -> None:
    show(page, f"{url}/sentence")
    page.get_by_label("or one of your own").fill(text)
    page.keyboard.press("Control+Enter")
    if text == "\u200b":
        expect(page.get_by_text("there is nothing to show").or_(page.get_by_text("Type a sentence, or choose"))
               ).to_be_visible()
        return
    if len(text) > 1000:
        expect(page.get_by_text("of its 10,200 words are read")).to_be_visible()
        expect(page.get_by_text("The model takes no more than")).to_be_visible()
        assert len(page.url) < 2000
        expect(page.get_by_text("a link holds 1,500")).to_be_visible()
    else:
        expect(page.get_by_text("a link holds")).to_have_count(0)
        page.wait_for_url("**text=**")
    expect(chart(page, 0)).to_be_visible()
    expect(chart(page, 1)).to_be_visible()


def test_a_word_opens_its_sentence_though_a_long_text_was_typed(page: Page, url: str) -> None:
    show(page, f"{url}/sentence")
    page.get_by_label("or one of your own").fill("the small cat " * 150)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("a link holds 1,500")).to_be_visible()
    page.get_by_role("link", name="Errors", exact=True).click()
    click_row(table(page, "errors"))
    page.wait_for_url("**/sentence?**sentence=**")
    expect(page.get_by_label("or one of your own")).to_have_value("")
    expect(chart(page, 0)).to_be_visible()


def test_a_hostile_word_of_the_corpus_shows_as_text(page: Page, url: str, evidence: Evidence) -> None:
    words = evidence.words("test")
    number = words.sentence[words.word == HOSTILE].iloc[0]
    show(page, f"{url}/sentence?sentence={number}")
    expect(chart(page, 0)).to_be_visible()
    chart(page, 0).hover(position={"x": 60, "y": 110})
    show(page, f"{url}/find?by=words&words={HOSTILE}")
    expect(page.get_by_text("words match")).to_be_visible()


def test_sub_words_and_sets_colour_the_words(page: Page, url: str, evidence: Evidence) -> None:
    show(page, f"{url}/sentence?text=the+quiet+gardens&colour=Top-k+set&for={LABEL}&k=4&layer=1&pieces=true")
    expect(chart(page, 0)).to_be_visible()
    expect(page.get_by_role("switch", name="Sub-words").or_(page.get_by_label("Sub-words")).first).to_be_checked()
    asked = {"text": "the quiet gardens", "layer": 1, "k": 4, "of": LABEL, "sub-words": True}
    file = exported(page, "Activations as CSV")
    assert rows_of(file, evidence, **asked).columns.tolist() == ["checkpoint", "position", "word", "value"]
    assert file.suggested_filename.startswith("text-the-quiet-gardens-")
    said = rows_of(exported(page, "Predictions as CSV"), evidence, text="the quiet gardens", k=4)
    assert said[said.position == 1].word.unique().tolist() == ["quiet"]


def test_figures_and_tables_are_exported(page: Page, url: str, evidence: Evidence) -> None:
    show(page, f"{url}/neuron?neuron={PLANTED}")
    vector = exported(page, "By label as SVG")
    assert re.fullmatch(r"neuron-l1-7-split-test-by-label-\w{8}\.svg", vector.suggested_filename)
    root = ET.fromstring(Path(vector.path()).read_text())
    assert root.tag.endswith("svg")
    assert LABEL in "".join(root.itertext())
    assert Path(exported(page, "Histogram as PNG").path()).read_bytes().startswith(b"\x89PNG")
    highest = rows_of(exported(page, "Highest pre-trained as CSV"), evidence, neuron=PLANTED, split="test")
    assert set(highest.label[:4]) == {LABEL}
    assert "position" in highest
    bins = json.loads(Path(exported(page, "Histogram as JSON").path()).read_text())
    assert (bins["made_of"]["neuron"], bins["made_of"]["study"]) == (PLANTED, evidence.study.key)
    assert set(bins["rows"][0]) == {"checkpoint", "low", "high", "share"}


def test_what_a_search_finds_is_exported_with_its_query_in_files_of_other_names(
    page: Page, url: str, evidence: Evidence,
) -> None:
    names = set()
    for way, query in (("label", LABEL), ("pattern", ".*s"), ("pattern", "s.*")):
        show(page, f"{url}/find?by={way}&{way}={query}")
        file = exported(page, "Found neurons as CSV")
        names.add(file.suggested_filename)
        found = rows_of(file, evidence, split="test", **{way: query})
        assert {"neuron", "on_matches", "ap_before", "ap_after", "ap_change"} < set(found)
    assert len(names) == 3
    assert sum(name.startswith("pattern-s-split-test-found-neurons-") for name in names) == 2


def test_the_tour_goes_by_keyboard_and_by_button(page: Page, url: str) -> None:
    show(page, url)
    page.get_by_role("button", name="Tour in six steps").click()
    expect(page.get_by_text("1 of 6")).to_be_visible()
    for number, path in enumerate(["", "neuron", "find", "errors", "sentence"], 2):
        page.keyboard.press("PageDown")
        expect(page.get_by_text(f"{number} of 6")).to_be_visible()
        assert f"/{path}?" in page.url
    expect(chart(page, 1)).to_be_visible()
    page.keyboard.press("PageUp")
    expect(page.get_by_text("5 of 6")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("6 of 6")).to_be_visible()
    page.get_by_role("button", name="End").click()
    expect(page.get_by_role("button", name="Tour in six steps")).to_be_visible()


def test_a_card_ranks_its_neuron_at_a_press_and_shows_its_places(page: Page, url: str) -> None:
    show(page, f"{url}/neuron?neuron={PLANTED}")
    page.get_by_role("button", name="Rank them").click()
    expect(page).to_have_url(re.compile("job="))
    expect(page.get_by_role("button", name="Rank them")).to_be_hidden()
    expect(page.get_by_label("Neuron (layer and number)")).to_have_value(PLANTED)
    expect(page).not_to_have_url(re.compile("job="))  # its end was noticed
