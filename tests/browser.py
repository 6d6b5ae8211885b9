"""A real server and a real browser: for tests and benchmarks of the page."""
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Download, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120_000  # milliseconds that a busy machine is waited for; on an idle one nothing takes five seconds
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass(frozen=True)
class Server:
    """A running app."""

    url: str
    pid: int


@contextlib.contextmanager
def served(script: Path, cache: Path, folder: Path = ROOT, headless: bool = True) -> Iterator[Server]:
    """`streamlit run` of a script in a process of its own, on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port),
               "--server.address", "127.0.0.1", "--server.headless", str(headless), "--server.fileWatcherType", "none",
               "--browser.gatherUsageStats", "false"]
    environment = os.environ | {"EXPLORER_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        if not any("URL" in line for line in process.stdout or ()):
            raise RuntimeError(f"{' '.join(command)} ended before it served")
        yield Server(f"http://127.0.0.1:{port}/", process.pid)
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium where there is one, else Playwright's own."""
    debian = Path("/usr/bin/chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=debian if debian.exists() else None, args=FLAGS)


def tab(browser: Browser, width: int = 1280, height: int = 900) -> Page:
    """In a context of its own, so that it knows nothing of the others."""
    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    page.set_default_timeout(PATIENCE)
    return page


def show(page: Page, address: str) -> None:
    page.goto(address)
    settled(page)


def settled(page: Page) -> None:
    """Wait until nothing runs."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def table(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} [data-testid=stDataFrame]")


def click_row(found: Locator, row: int = 0) -> None:
    """Tables are painted: rows are 35 pixels high, below a header as high."""
    found.scroll_into_view_if_needed()
    found.click(position={"x": 60, "y": 35 * (row + 1) + 17})


def chart(page: Page, place: int) -> Locator:
    """The page's charts from 0 on, drawn."""
    return page.get_by_test_id("stVegaLiteChart").nth(place).locator("canvas, svg.marks").first


def exported(page: Page, name: str) -> Download:
    """A file from the page's list of files."""
    page.get_by_role("button", name="Export").first.click()
    with page.expect_download() as started:
        page.get_by_role("button", name=name, exact=True).click()
    page.mouse.click(2, 2)  # beside the list, which closes it
    expect(page.get_by_text("Figures alone, on white")).to_have_count(0)
    return started.value
