"""The component that stands in for what the cache has lost: it says so, and its button brings it back."""
import dataclasses
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer import cached, jobs
from explorer.corpus import CorpusRequest
from explorer.evidence import RestoreRequest
from explorer.specs import InputError, silent
from explorer.store import Store
from explorer.study import StudyRequest, finished, run_study
from explorer.work import WORK
from tests.tiny import build
from tests.words import write_corpus


def page() -> None:
    import streamlit as st

    from explorer import cached
    from explorer.views.evidence import behind

    store = cached.store()
    study = cached.load(store.root, st.query_params["study"])
    st.text("all of it" if behind(store, study) else "not all of it")


def test_what_is_gone_is_said_and_the_button_brings_back_just_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    for function in (cached.store_at, cached.complete):
        function.clear()
    base, tuned = build(tmp_path / "base", "bert", seed=0), build(tmp_path / "tuned", "bert", seed=1)
    store = Store(tmp_path / "cache")
    request = StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(tmp_path)), k=(1, 4))
    study = run_study(request, store)
    app = AppTest.from_function(page, default_timeout=30)
    app.query_params["study"] = study.key
    assert [text.value for text in app.run().text] == ["all of it"]
    shutil.rmtree(store.root / "activations")
    assert [text.value for text in app.run().text] == ["not all of it"]
    started: list[RestoreRequest] = []
    monkeypatch.setattr(jobs, "submit", lambda store, request: started.append(request) or "a-job")
    app.button(key="restore").click().run()
    assert started == [RestoreRequest(study.key, request)]
    assert app.query_params["job"] in ("a-job", ["a-job"])
    WORK["restore"](dataclasses.asdict(started[0]), store, silent)
    assert [text.value for text in app.run().text] == ["all of it"]
    assert finished(store)[0].created == study.created
    shutil.rmtree(store.root / "activations")
    Path(request.corpus.train).write_text(Path(request.corpus.test).read_text())
    with pytest.raises(InputError, match="changed since"):
        WORK["restore"](dataclasses.asdict(started[0]), store, silent)
