"""A real server and a real browser: for tests and benchmarks of the page."""
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120_000  # milliseconds that a busy machine is waited for; on an idle one nothing takes five seconds
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass(frozen=True)
class Server:
    """A running app."""

    url: str
    pid: int


@contextlib.contextmanager
def served(script: Path, cache: Path, folder: Path = ROOT) -> Iterator[Server]:
    """`streamlit run` of a script in a process of its own, on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port),
               "--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none",
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
