"""What somebody sees who has just cloned the project: no network, no other data, a real server and a real browser."""
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from explorer.downloads import DOWNLOADS
from tests.browser import ROOT, Server, served

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git has, alone in a folder."""
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def server(clone: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, NOWHERE)
        patch.setenv("PYTHONPATH", str(clone))
        with served(clone / "streamlit_app.py", clone / "cache", clone) as running:
            yield running


def test_at_a_desk_it_opens_the_browser(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, command = tmp_path / "opened", tmp_path / "xdg-open"
    os.mkfifo(opened)
    command.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    command.chmod(0o755)
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "credentials.toml").write_text('[general]\nemail = ""\n')  # which it asks for otherwise
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(tmp_path))
    with served(clone / "streamlit_app.py", clone / "cache", clone, headless=False) as running:
        assert opened.read_text() == f"{running.url.rstrip('/')}\n"


def test_the_pages_are_there_before_the_first_visit(clone: Path) -> None:
    code = "import streamlit_app, sys, gc; streamlit_app.import_page()\n" \
           "assert 'explorer.views.layers' in sys.modules and 'torch' not in sys.modules and gc.isenabled()"
    subprocess.run([sys.executable, "-c", code], cwd=clone, check=True)


def position(page: Page) -> Locator:
    return page.locator(".headline small").last


def choose(page: Page, box: str, name: str) -> None:
    """In one of the boxes above the charts."""
    page.locator(f"[class*=st-key-study-{box}] [role=combobox], [class*=st-key-study-{box}] input").last.click()
    page.get_by_role("option", name=name, exact=True).click()


def loads_torch(server: Server) -> bool:
    return "libtorch" in Path(f"/proc/{server.pid}/maps").read_text()


def test_the_first_screen_is_a_finished_study_with_live_sliders_and_no_torch(page: Page, server: Server) -> None:
    hosts = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(server.url)
    expect(page.locator(".headline strong")).to_have_count(5)  # with random weights
    expect(page.locator(".vega-embed svg.marks").first).to_be_visible()
    expect(position(page)).to_have_text("layer 6, top 128")
    expect(page.get_by_text("starter treebank is small")).to_be_visible()
    page.locator(".st-key-layer input[type=range]").press("ArrowLeft")
    expect(position(page)).to_have_text("layer 5, top 128")
    page.locator(".st-key-k input[type=range]").press("ArrowLeft")
    expect(position(page)).to_have_text("layer 5, top 91")
    for box, name in (("Model", "starter-xlnet"), ("Property", "Sem"), ("Fine-tuned", "starter-xlnet-mrpc")):
        before = page.url
        choose(page, box, name)
        expect(page).not_to_have_url(before)
        expect(page.locator(".headline strong")).to_have_count(5)  # with random weights
        expect(position(page)).to_have_text("layer 5, top 91")
    page.get_by_text("About this study").click()
    expect(page.get_by_text("Fine-tuned: starter-xlnet-mrpc")).to_be_visible()
    assert not loads_torch(server)
    assert hosts <= {"127.0.0.1", None}  # data: and blob: have none


def test_the_overview_is_there_at_once(page: Page, server: Server) -> None:
    page.goto(f"{server.url}overview")
    expect(page.locator(".vega-embed svg.marks").nth(8)).to_be_visible()
    for architecture in ("BERT", "RoBERTa", "XLNet"):
        expect(page.get_by_text(architecture, exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("In the last layer fine-tuning lowers accuracy in"))).to_be_visible()
    expect(page.get_by_text(re.compile("^(seen|not seen|undecided) here$"))).to_have_count(3)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert not loads_torch(server)


def test_one_back_leaves_a_page(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.locator(".st-key-layer input[type=range]").press("ArrowLeft")
    expect(page).to_have_url(re.compile("layer=5"))
    before = page.evaluate("history.length")
    page.get_by_role("link", name="Neurons", exact=True).click()
    expect(page).to_have_url(re.compile("/neurons.*layer=5"))
    expect(page.locator(".st-key-layer input[type=range]")).to_have_value("5")
    assert page.evaluate("history.length") == before + 1
    page.go_back()
    expect(page).to_have_url(re.compile(r"^" + re.escape(server.url) + r"\?(.*&)?layer=5"))
    expect(page.get_by_text("Test words", exact=True)).to_be_visible()
    expect(page.locator(".st-key-layer input[type=range]")).to_have_value("5")


def test_back_comes_to_a_page_that_was_left_at_once(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.locator(".st-key-layer input[type=range]").press("ArrowLeft")
    expect(page).to_have_url(re.compile("layer=5"))
    page.get_by_role("link", name="Neurons", exact=True).click()
    expect(page).to_have_url(re.compile("/neurons.*layer=5"))
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.get_by_text("What fine-tuning changes, by layer")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("/neurons"))


def test_the_trajectory_opens_on_the_run_that_is_there(page: Page, server: Server) -> None:
    page.goto(f"{server.url}trajectory")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator(".vega-embed svg.marks").nth(3)).to_be_visible()
    expect(page).to_have_url(re.compile("study=[0-9a-f]{20}"))


def test_run_works_as_the_sidebar_stands(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_label("Sample size (sentences per split)", exact=True).fill("30")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Run study").click()
    expect(page).to_have_url(re.compile("study=[0-9a-f]{20}"))
    expect(page.locator(".headline strong")).to_have_count(4)
    expect(page.locator("[class*=st-key-study-Version]")).to_be_visible()


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_tells_what_it_would_get_and_fails_in_plain_words(page: Page, server: Server, name: str) -> None:
    download = DOWNLOADS[name]
    page.goto(server.url)
    page.get_by_test_id("stSidebar").get_by_text("Get larger data").click()
    expect(page.get_by_text(download.title)).to_be_visible()
    expect(page.get_by_text(f"Licence: {download.licence}. Size: {download.size / 1e6:.1f} MB")).to_be_visible()
    expect(page.get_by_text(download.files[0].url.rpartition("/")[0])).to_be_visible()
    page.get_by_role("button", name=f"Download {download.size / 1e6:.1f} MB").click()
    expect(page.get_by_text("The download failed")).to_be_visible()
    expect(page.get_by_text("is there a network? Everything else works without one")).to_be_visible()
