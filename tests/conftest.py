"""Fixtures that more than one test file uses."""
import os

# Two workers, and the processes they start, share two cores: with a thread each they do not wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is compared with is computed in float32; on a GPU the explorer takes bfloat16: see benchmarks/gpu.py.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page

from explorer.corpus import CorpusRequest
from explorer.neurons.analysis import Neurons, NeuronsRequest, run_neurons
from explorer.store import Store
from explorer.study import StudyRequest, run_study
from tests import SHARED
from tests.browser import chromium, tab

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")



@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real corpora and models beside the repository, where there is one."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs real corpora and models in {SHARED}")
    return SHARED


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one, that shows nothing; see tests/browser.py for tabs of it, and for a server."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab that is closed when the test ends."""
    page = tab(browser)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small checkpoint of every family, with random weights; not to be altered."""
    from tests.tiny import FAMILIES, build

    folder = tmp_path_factory.mktemp("tiny")
    return {family: build(folder / family, family) for family in FAMILIES}


@pytest.fixture
def bert(built: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(built["bert"], tmp_path / "bert")


@pytest.fixture(scope="session")
def neurons(tmp_path_factory: pytest.TempPathFactory) -> Neurons:
    """A small study and the whole analysis of its neurons; its cache is to be read only."""
    from tests.tiny import build
    from tests.words import write_corpus

    folder = tmp_path_factory.mktemp("neurons")
    base, tuned = build(folder / "base", "bert", seed=0), build(folder / "tuned", "bert", seed=1)
    store = Store(folder / "cache")
    study = run_study(StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(folder)), k=(1, 2, 4, 8)),
                      store)
    return run_neurons(NeuronsRequest(study.key, study.finetuned[0]), store)
