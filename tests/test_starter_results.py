"""The starter's finished studies: all there, small, and what the shipped weights give; and how they are chosen."""
import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from explorer.models import STARTER, resolve, steps
from explorer.starter import studies as starter
from explorer.starter.build.results import IGNORED, publish, ship
from explorer.store import SHIPPED, Store
from explorer.study import Study, StudyRequest, Summary, finished, load, run_study
from explorer.views.studies import first, options
from tests.test_overview import listed, request

METRICS = ("accuracy", "accuracy_low", "accuracy_high", "delta", "delta_low", "delta_high")
CACHE = Path(__file__).resolve().parents[1] / "cache"
RUNS = [pytest.param(path, id=path.name) for path in sorted(STARTER.glob("*/run.json"))]


@pytest.fixture(scope="module")
def shipped() -> dict[StudyRequest, Summary]:
    return {study.request: study for study in finished(Store(CACHE)) if study.shipped}


def test_every_model_task_and_property_has_a_finished_study(shipped: dict[StudyRequest, Summary]) -> None:
    assert set(shipped) == set(starter.requests())
    assert {request.base for request in shipped} == set(starter.MODELS)
    assert {request.corpus.property for request in shipped} == set(starter.PROPERTIES)


def test_git_keeps_these_and_no_others(shipped: dict[StudyRequest, Summary]) -> None:
    names = sorted(f"!/results/{study.key}.parquet" for study in shipped.values())
    assert (CACHE / ".gitignore").read_text() == IGNORED + "".join(f"{name}\n" for name in names)
    ignored = subprocess.run(["git", "check-ignore", "-q", "cache/results/0.parquet"], cwd=CACHE.parent, check=False)
    assert ignored.returncode == 0, "what users compute is none of git's business"
    assert sum((CACHE / name[2:]).stat().st_size for name in names) < 12e6


def test_their_keys_are_of_the_shipped_weights(shipped: dict[StudyRequest, Summary]) -> None:
    digests = {name: resolve(name).digest for request in shipped for name in (request.base, *request.finetuned)}
    for summary in shipped.values():
        study = load(Store(CACHE), summary.key)
        assert study.spec.key() == study.key
        for name, spec in study.spec.checkpoints:
            assert spec.train.checkpoint == digests[name]
            assert spec.train.compute == "float32"


def test_they_are_what_the_shipped_weights_give(shipped: dict[StudyRequest, Summary], tmp_path: Path) -> None:
    """The cheapest of them, its whole-layer probes: equal but for the rounding of another machine."""
    asked = starter.request("starter-bert", ("starter-bert-sst2",), "Chunk")
    kept = load(Store(CACHE), shipped[asked].key)
    again = run_study(dataclasses.replace(asked, k=(128,), control=0, description=False), Store(tmp_path))
    if again.spec.checkpoints == kept.spec.checkpoints:  # but where a GPU computes in another precision
        assert dataclasses.replace(kept.spec, checkpoints=again.spec.checkpoints).key() == kept.key
    ours, theirs = (_whole(study) for study in (kept, again))
    np.testing.assert_allclose(ours, theirs, atol=0.005)


def _whole(study: Study) -> np.ndarray:
    rows = study.table.query("k == 128 and label == '' and split == 'test' and metric in @METRICS")
    return rows.sort_values(["checkpoint", "metric", "layer"]).value.to_numpy()


def test_a_build_of_some_models_leaves_the_studies_of_the_others(
    shipped: dict[StudyRequest, Summary], tmp_path: Path,
) -> None:
    bert, xlnet = ([study.key for study in shipped.values() if study.request.base == base][:2]
                   for base in ("starter-bert", "starter-xlnet"))
    for keys in (bert, xlnet[:1], xlnet[1:]):
        publish(keys, Store(CACHE), tmp_path)
    names = sorted(f"{key}.parquet" for key in (*bert, xlnet[1]))
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == names
    assert (tmp_path / ".gitignore").read_text() == IGNORED + "".join(f"!/results/{name}\n" for name in names)


def test_pruning_and_running_again_leave_them(shipped: dict[StudyRequest, Summary], tmp_path: Path) -> None:
    source, target = Store(CACHE), Store(tmp_path)
    key = next(iter(shipped.values())).key
    ship(key, source, target)
    file = tmp_path / "results" / f"{key}.parquet"
    before = file.read_bytes()
    study = load(target, key)
    target.put_table(study.spec, study.table.assign(value=0.0), {"what": "again"})
    assert target.prune(0) == []
    assert [entry.kind for entry in target.entries()] == [SHIPPED]
    assert file.read_bytes() == before
    file.write_bytes(before[:-9] + b"x" + before[-8:])
    with pytest.warns(UserWarning, match="computed again"):
        target.put_table(study.spec, study.table, {"what": "again"})
    assert [entry.kind for entry in target.entries()] == ["results"]


def test_a_study_of_another_version_is_left_aside(shipped: dict[StudyRequest, Summary], tmp_path: Path) -> None:
    study = load(Store(CACHE), next(iter(shipped.values())).key)
    old = dataclasses.asdict(study.request) | {"asked": "once"}
    Store(tmp_path).put_table(study.spec, study.table, {"request": old, "notes": [], "created": study.created})
    assert finished(Store(tmp_path)) == []


@pytest.mark.parametrize("path", RUNS)
def test_a_run_that_ships_has_learnt_its_task(path: Path) -> None:
    record = json.loads(path.read_text())
    assert record["checkpoints"][-1]["dev_score"] > record["baseline"][record["metric"]]
    assert record["base_digest"] == resolve(record["base"]).digest
    assert [f"checkpoint-{point['step']}" for point in record["checkpoints"]] == [
        step.name for step in steps(path.parent)]
    assert not [value for value in record.values() if isinstance(value, str) and "/" in value]
    assert "**not** a model of the published study" in (path.parent / "README.md").read_text()


def test_without_a_link_the_users_newest_opens_else_the_starters_first(shipped: dict[StudyRequest, Summary]) -> None:
    ours = sorted(shipped.values(), key=lambda study: study.created, reverse=True)
    shown = first(ours).request
    assert (shown.base, shown.finetuned, shown.corpus.property) == starter.FIRST
    own = listed(request("mine"))
    assert first([*ours, *own]) is own[0]


def test_a_change_of_one_box_keeps_the_others() -> None:
    studies = listed(*(request(model, f"{model}-{task}", label=label) for model in ("a", "b")
                       for task in ("sst2", "mrpc") for label in ("upos", "xpos")))
    shown = next(study for study in studies if study.request == request("a", "a-mrpc", label="xpos"))
    assert list(options(studies, shown, "Model")) == ["a", "b"]
    assert options(studies, shown, "Model")["b"].request == request("b", "b-mrpc", label="xpos")
    assert options(studies, shown, "Fine-tuned")["a-sst2",].request == request("a", "a-sst2", label="xpos")
    assert [*options(studies, shown, "Property")] == ["upos", "xpos"]
    assert [*options(studies, shown, "Version").values()] == [shown]


def test_what_differs_in_settings_alone_has_a_box_too() -> None:
    coarse = request("a")
    studies = listed(coarse, dataclasses.replace(coarse, pooling="mean"))
    assert len(options(studies, studies[1], "Corpus")) == 1
    assert len(options(studies, studies[1], "Version")) == 2
