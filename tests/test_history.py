"""Runs are recognised whoever made them: ours, a Trainer's, revisions on the hub."""
import json
from pathlib import Path

import pytest

from explorer.history import Point, histories, read_run
from explorer.models import STARTER, expand, place
from explorer.specs import InputError


@pytest.fixture
def trainers(tmp_path: Path) -> Path:
    """A folder as transformers' Trainer leaves it, written by hand: it needs accelerate, which is not installed."""
    log = [
        {"epoch": 0.5, "grad_norm": 1.2, "learning_rate": 4e-05, "loss": 0.7, "step": 10},
        {"epoch": 1.0, "grad_norm": 1.1, "learning_rate": 3e-05, "loss": 0.5, "step": 20},
        {"epoch": 1.0, "eval_accuracy": 0.6, "eval_f1": 0.7, "eval_loss": 0.65, "eval_runtime": 1.0,
         "eval_samples_per_second": 9.0, "eval_steps_per_second": 2.0, "step": 20},
        {"epoch": 1.5, "grad_norm": 1.0, "learning_rate": 1e-05, "loss": 0.4, "step": 30},
        {"epoch": 2.0, "eval_accuracy": 0.8, "eval_f1": 0.9, "eval_loss": 0.45, "eval_runtime": 1.0,
         "eval_samples_per_second": 9.0, "eval_steps_per_second": 2.0, "step": 40},
        {"epoch": 2.0, "step": 40, "total_flos": 1.0, "train_loss": 0.5, "train_runtime": 2.0,
         "train_samples_per_second": 9.0, "train_steps_per_second": 2.0},
    ]
    folder = tmp_path / "mrpc"
    for step in (20, 40):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        state = {"best_metric": None, "epoch": step / 20, "global_step": step, "max_steps": 40, "num_train_epochs": 2,
                 "train_batch_size": 8, "log_history": [line for line in log if line["step"] <= step]}
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    return folder


def test_a_trainers_folder_is_a_run(trainers: Path) -> None:
    run = read_run(trainers)
    assert (run.name, run.metric, run.steps) == (str(trainers), "accuracy", 40)
    assert run.points == (
        Point(20, str(trainers / "checkpoint-20"), 1.0, pytest.approx(0.6), 0.65, 0.6),
        Point(40, str(trainers / "checkpoint-40"), 2.0, pytest.approx(0.4), 0.45, 0.8),
    )
    assert run.losses == ((10, 0.7), (20, 0.5), (30, 0.4))


def test_the_time_that_a_trainer_took_is_no_score(trainers: Path) -> None:
    for path in trainers.glob("*/trainer_state.json"):
        path.write_text(path.read_text().replace("eval_accuracy", "eval_precision")
                        .replace("eval_f1", "eval_model_preparation_time"))
    assert read_run(trainers).metric == "precision"


@pytest.mark.parametrize("told", ["eval_mse\": 0.", "eval_exact_match\": 8"])
def test_what_is_no_share_is_no_score(trainers: Path, told: str) -> None:
    for path in trainers.glob("*/trainer_state.json"):
        path.write_text(path.read_text().replace('eval_accuracy": 0.', told).replace("eval_f1", "eval_time"))
    run = read_run(trainers)
    assert (run.metric, {point.dev_score for point in run.points}) == ("", {None})


def test_the_state_beside_the_checkpoints_comes_first(trainers: Path) -> None:
    whole = json.loads((trainers / "checkpoint-40" / "trainer_state.json").read_text())
    (trainers / "trainer_state.json").write_text(json.dumps(whole | {"max_steps": 41}))
    assert read_run(trainers).steps == 41


@pytest.mark.parametrize("content", ["[]", "{", '{"log_history": 3}', '{"log_history": [[]]}'])
def test_a_state_that_cannot_be_read(trainers: Path, content: str) -> None:
    (trainers / "trainer_state.json").write_text(content)
    with pytest.raises(InputError, match=r"trainer_state\.json: is not the record of a run"):
        read_run(trainers)


def test_ours(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-0").mkdir()
    kept = {"epoch": 0.0, "loss": None, "dev_loss": 0.7, "dev_score": 0.5, "dev": {"f1": 0.5}}
    (tmp_path / "run.json").write_text(json.dumps({
        "task": "mrpc", "data": "glue", "metric": "f1", "train_rows": 9, "steps": 4, "baseline": {"f1": 0.4},
        "checkpoints": [{"step": 0, **kept}, {"step": 4, **kept, "epoch": 1.0, "loss": 0.6}]}))
    (tmp_path / "losses.json").write_text('{"losses": [0.7, 0.65, 0.6]}')
    run = read_run(tmp_path)
    assert [point.loss for point in run.points] == [None, 0.6]
    assert (run.task, run.metric, run.baseline, run.losses) == ("mrpc", "f1", 0.4, ((1, 0.7), (2, 0.65), (3, 0.6)))


def test_revisions_of_the_hub_are_a_run() -> None:
    names = ["EleutherAI/pythia-70m@step1000", "EleutherAI/pythia-70m@step8", "google-bert/bert-base-cased"]
    run, = histories(names)
    assert run.name == "EleutherAI/pythia-70m"
    assert [(point.step, point.checkpoint) for point in run.points] == [(8, names[1]), (1000, names[0])]
    assert run.points[0].dev_score is None


@pytest.mark.parametrize(("name", "found"), [
    ("runs/sst2/checkpoint-40", ("runs/sst2", 40)),
    ("/tmp/a/checkpoint-0/", ("/tmp/a", 0)),
    ("EleutherAI/pythia-70m@step3000", ("EleutherAI/pythia-70m", 3000)),
    ("google/multiberts-seed_0-step_20k", ("google/multiberts-seed_0", 20000)),
    ("google-bert/bert-base-cased", None), ("runs/sst2", None), ("checkpoint-3", None),
])
def test_a_checkpoints_name_tells_run_and_step(name: str, found: tuple[str, int] | None) -> None:
    assert place(name) == found


def test_a_folder_stands_for_its_checkpoints(trainers: Path) -> None:
    steps = [str(trainers / "checkpoint-20"), str(trainers / "checkpoint-40")]
    assert expand([str(trainers), "bert-base-cased"]) == (*steps, "bert-base-cased")
    (trainers / "config.json").write_text("{}")  # the best model, saved beside its steps
    assert expand([str(trainers)]) == (str(trainers),)


def test_a_folder_without_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint-STEP folders"):
        read_run(tmp_path)


def test_a_record_that_cannot_be_read_leaves_the_steps(trainers: Path) -> None:
    names = [str(path) for path in sorted(trainers.glob("checkpoint-*"))]
    (trainers / "run.json").write_text("{}")
    run, = histories(names)
    assert [point.checkpoint for point in run.points] == names
    assert "run.json: is not the record of a run" in run.unreadable
    with pytest.raises(InputError, match="is not the record of a run"):
        read_run(trainers)


def test_a_starters_run_is_known_by_its_name() -> None:
    names = ["starter-bert-sst2/checkpoint-526", "starter-bert-sst2/checkpoint-2105"]
    run, = histories(names)
    assert [point.step for point in run.points] == [526, 2105]
    recorded = json.loads((STARTER / "starter-bert-sst2" / "run.json").read_text())
    assert run.points[1].dev_score == recorded["checkpoints"][-1]["dev_score"]
    assert run.train_rows == 67349
