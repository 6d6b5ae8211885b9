"""The form of the Fine-tune page, without a browser: what it offers, and what it asks for by default."""
import dataclasses
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer import jobs
from explorer.downloads import DOWNLOADS
from explorer.runs import FinetuneRequest
from explorer.store import Store
from explorer.tasks import STARTER_TASKS
from explorer.views import larger
from explorer.work import RunRequest
from tests.tiny import build

SCRIPT = "from explorer.views import finetune\nfinetune.show()\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    return Store(tmp_path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """What the button asks for; nothing is run."""
    asked: list[RunRequest] = []
    monkeypatch.setattr(jobs, "submit", lambda store, request: asked.append(request) or "none")
    return asked


def start(page: AppTest) -> None:
    page.button[-1].click().run()
    assert not page.exception


def test_the_starters_settings_fit_its_models_and_its_tasks(store: Store, started: list[RunRequest]) -> None:
    page = AppTest.from_string(SCRIPT, default_timeout=60).run()
    assert page.selectbox(key="tune-task").value == "sentiment (starter)"
    start(page)
    tune, = (request.finetune for request in started)
    assert (tune.model, tune.data) == ("starter-bert", str(STARTER_TASKS / "sentiment.tsv"))
    assert (tune.learning_rate, tune.epochs, tune.batch_size, tune.warmup) == (5e-4, 12.0, 16, 0.06)


def test_other_models_and_tasks_have_the_usual_settings(
    store: Store, started: list[RunRequest], tmp_path: Path,
) -> None:
    (tmp_path / "mine.tsv").write_text("sentence\tlabel\n" + "good\t1\nbad\t0\n" * 40)
    page = AppTest.from_string(SCRIPT, default_timeout=60).run()
    page.text_input(key="tune-base").set_value(str(build(tmp_path / "base", "bert"))).run()
    page.selectbox(key="tune-task").set_value("classification (own file)").run()
    page.text_input(key="tune-data").set_value(str(tmp_path / "mine.tsv")).run()
    start(page)
    tune, usual = started[0].finetune, FinetuneRequest("", "", "", "")
    assert (tune.learning_rate, tune.epochs, tune.batch_size) == (usual.learning_rate, usual.epochs, usual.batch_size)


def test_a_press_before_the_button_is_seen_to_be_disabled_starts_nothing(
    store: Store, started: list[RunRequest],
) -> None:
    page = AppTest.from_string(SCRIPT, default_timeout=60).run()
    page.text_input(key="tune-epochs of 12").set_value("0")
    start(page)
    assert not started
    assert page.text[-1].value.startswith("Epochs: 0; takes")
    page.text_input(key="tune-epochs of 12").set_value("").run()  # as it was
    start(page)
    assert started[0].finetune.epochs == 12


def test_a_model_that_is_not_here_can_be_asked_for(store: Store, started: list[RunRequest]) -> None:
    page = AppTest.from_string(SCRIPT, default_timeout=60).run()
    page.text_input(key="tune-base").set_value("someone/far-away").run()
    start(page)
    assert started[0].finetune.model == "someone/far-away"


def test_a_task_that_was_downloaded_is_offered(
    store: Store, started: list[RunRequest], monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = b"sentence\tlabel\n" + b"good\t1\nbad\t0\n" * 40
    sst2 = DOWNLOADS["sst2"]
    sst2 = dataclasses.replace(sst2, files=tuple(dataclasses.replace(file, size=len(content)) for file in sst2.files))
    monkeypatch.setattr(larger, "DOWNLOADS", {"sst2": sst2})
    assert larger.tasks(store) == {}
    folder = sst2.folder(store.root)
    folder.mkdir(parents=True)
    for file in sst2.files:
        (folder / file.name).write_bytes(content)
    page = AppTest.from_string(SCRIPT, default_timeout=60).run()
    page.selectbox(key="tune-task").set_value("sst2 (downloaded)").run()
    assert "80 training rows" in page.markdown[-1].value
    start(page)
    tune = started[0].finetune
    assert (tune.task, tune.data) == ("sst2", str(folder))
