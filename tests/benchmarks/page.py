"""Speed of the page in headless Chromium: python -m tests.benchmarks.page.

The Layers page of a cached study (7 layers of 384 neurons, 24 numbers of neurons, 17 labels) and, in turns, an empty
page with one slider and one chart: first paint, settling after the slider is released; and how many values a second
the charts follow while it is dragged.
"""
import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from playwright.sync_api import Browser, Page

from explorer.models import load, resolve
from explorer.store import Store
from explorer.study import StudyRequest, run_study
from tests.benchmarks import MODEL, treebank
from tests.browser import ROOT, Server, chromium, served

ROUNDS = 7
PLACES = 24  # of the slider of k
QUIET = 700  # milliseconds without a change, after which a page has settled
NEW = 0.3  # standard deviation of the noise that stands for fine-tuning, in those of each weight
BLANK = """
import pandas as pd
import streamlit as st

rows = pd.DataFrame({"x": range(24), "y": range(24)})
k = st.slider("k", 0, 23, 23, key="k")
st.vega_lite_chart(rows[rows.x <= k], {"mark": "line", "encoding": {
    "x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}}})
"""
RECORDER = """
const CHART = "[data-testid=stVegaLiteChart]";
window.changes = [];  // when the page changed
window.painted = [];  // when a chart did, and where the slider stood
new MutationObserver(records => {
    changes.push(performance.now());
    if (records.some(({target}) => (target.closest ? target : target.parentElement)?.closest(CHART)))
        painted.push([performance.now(), document.querySelector(".st-key-k input[type=range]")?.value]);
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
addEventListener("pointerup", () => { window.released = performance.now(); }, true);
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, blank = Store(Path(folder) / "cache"), Path(folder) / "blank.py"
        blank.write_text(BLANK, encoding="utf-8")
        link = f"?study={cached_study(store, Path(folder) / 'tuned')}"
        with (served(ROOT / "streamlit_app.py", store.root) as ours, served(blank, store.root, Path(folder)) as empty,
              chromium() as browser):
            paint = functools.partial(first_paint, browser)
            compare("first paint, first visit", [(paint(empty, ""), paint(ours, link))])
            compare("first paint", [(paint(empty, ""), paint(ours, link)) for _ in range(ROUNDS)])
            still, live = (opened(browser, server, link) for server in (empty, ours))
            compare("settled after release", [(settling(still), settling(live)) for _ in range(ROUNDS)])
            print(f"while it is dragged {statistics.median(follow(live) for _ in range(ROUNDS)):.0f} values a second "
                  "(10 at least)")
            torch_in = [name for name, server in (("page", ours), ("empty page", empty)) if uses_torch(server)]
            print(f"torch in the process: {', '.join(torch_in) or 'no'}")


def cached_study(store: Store, tuned: Path) -> str:
    """The key of a study of the real model and of the same with noise on its weights, on a few sentences."""
    model, tokenizer = load(resolve(str(MODEL)))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(NEW * weight.std() * torch.randn_like(weight) if weight.numel() > 1 else 0)
    model.save_pretrained(tuned)
    tokenizer.save_pretrained(tuned)
    request = StudyRequest(str(MODEL), (str(tuned),), treebank("dev", "dev", "test", limit=200))
    return run_study(request, store).key


def compare(what: str, rounds: Sequence[tuple[float, float]]) -> None:
    """Print medians in milliseconds, and the median of the ratios, of (empty page, ours) round by round."""
    empty, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(mine / theirs for theirs, mine in rounds)
    print(f"{what:<28} {ours:6.0f} ms, the empty page {empty:6.0f} ms: {ratio:.2f} times (1.5 at most)", flush=True)


def first_paint(browser: Browser, server: Server, link: str) -> float:
    """Milliseconds from the navigation to the last paint of a chart, in a browser that has cached nothing."""
    page = opened(browser, server, link)
    last = page.evaluate("painted.at(-1)[0]")
    page.context.close()
    return last


def opened(browser: Browser, server: Server, link: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(300_000)
    page.add_init_script(RECORDER)
    page.goto(server.url + link)
    page.wait_for_function("painted.length > 0")
    settle(page)
    return page


def settle(page: Page) -> None:
    page.wait_for_function(f"performance.now() - changes.at(-1) > {QUIET}")


def settling(page: Page) -> float:
    """Milliseconds from the release of the slider to the last change on the page."""
    value = int(page.locator(".st-key-k input[type=range]").input_value())
    drag(page, [9 if value != 9 else 14])
    settle(page)
    return page.evaluate("changes.at(-1) - released")


def follow(page: Page) -> float:
    """Values a second that charts repaint for while the slider is dragged over its whole range and back."""
    page.evaluate("painted.length = 0")
    seconds = drag(page, [*range(PLACES), *range(PLACES - 2, -1, -1)])
    painted = [value for _, value in page.evaluate("painted")]
    settle(page)
    return sum(a != b for a, b in itertools.pairwise(painted)) / seconds


def drag(page: Page, places: Sequence[int]) -> float:
    """Take the slider by its thumb, over these places; returns the seconds it took."""
    thumb = page.locator(".st-key-k [data-testid=stSliderThumbValue]").locator("..")
    track = thumb.locator("..")
    box, handle = track.bounding_box(), thumb.bounding_box()
    assert box
    assert handle
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    start = time.perf_counter()
    for place in places:
        page.mouse.move(box["x"] + box["width"] * place / (PLACES - 1), handle["y"] + handle["height"] / 2)
    seconds = time.perf_counter() - start
    page.mouse.up()
    return seconds


def uses_torch(server: Server) -> bool:
    return any("libtorch" in line for line in Path(f"/proc/{server.pid}/maps").read_text().splitlines())


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    main()
