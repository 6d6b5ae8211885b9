"""What a run will take: in the right order of magnitude, and more for more."""
import dataclasses
from pathlib import Path

import pytest

from explorer.corpus import CorpusRequest
from explorer.estimate import estimate, matrix_speed
from explorer.runs import FinetuneRequest
from explorer.specs import InputError
from explorer.study import StudyRequest
from explorer.tasks import STARTER_TASKS
from explorer.work import RunRequest

SPEED = 1e11  # of one core
ASKED = RunRequest(
    FinetuneRequest("starter-bert", "classification", str(STARTER_TASKS / "sentiment.tsv"), "runs/x"),
    StudyRequest("starter-bert", (), CorpusRequest("starter-train.conllu"), k=(1, 5, 20)))


def changed(**fields: object) -> RunRequest:
    return dataclasses.replace(ASKED, finetune=dataclasses.replace(ASKED.finetune, **fields))


def test_the_starter_takes_a_minute_or_two() -> None:
    found = estimate(ASKED, SPEED)
    assert 20 < found.seconds < 120
    assert (found.blocks, found.rows) == (6, 640)
    assert 50e6 < found.disk < 500e6


def test_random_weights_take_what_the_trained_ones_take() -> None:
    assert estimate(changed(model="random:starter-bert@3"), SPEED) == estimate(ASKED, SPEED)


def test_an_epoch_takes_its_operations_and_its_step(tmp_path: Path) -> None:
    """Of 10 rows of 2 words, 8 for training: 8 x 1.2 x (2 x 1.35 + 3) sub-words, 12 x 6 x 128^2 weights, one step."""
    (tmp_path / "rows.tsv").write_text("sentence\tlabel\n" + "good film\t1\nbad film\t0\n" * 5)
    one, two = (estimate(changed(data=str(tmp_path / "rows.tsv"), epochs=epochs, batch_size=8), SPEED)
                for epochs in (1.0, 2.0))
    assert one.rows == 8
    assert two.seconds - one.seconds == pytest.approx(6 * 1_179_648 * 54.72 / (0.4 * SPEED) + 0.0025 * 6)


@pytest.mark.parametrize(("model", "task", "data", "tuning", "measured"), [
    ("starter-bert", "classification", str(STARTER_TASKS / "sentiment.tsv"),
     {"limit": 160, "epochs": 2.0, "batch_size": 8}, 15.8),
    ("models/all-MiniLM-L6-v2", "sst2", "data/glue", {"limit": 320, "epochs": 1.0, "batch_size": 32}, 42.9),
])
def test_what_was_measured_once(shared: Path, model: str, task: str, data: str, tuning: dict, measured: float) -> None:
    """Seconds of one core at 96 GFLOP/s: libraries, training, scoring, and probes of base and one checkpoint."""
    near = [str(shared / name) if (shared / name).exists() else name for name in (model, data)]
    asked = RunRequest(FinetuneRequest(near[0], task, near[1], "runs/x", fractions=(1.0,), **tuning),
                       StudyRequest(near[0], (), CorpusRequest("starter-train.conllu", limit=500), k=(1, 5, 20)))
    assert 1 / 1.5 < estimate(asked, 96e9).seconds / measured < 1.5


def test_more_takes_more() -> None:
    usual = estimate(ASKED, SPEED)
    assert estimate(changed(epochs=6.0), SPEED).seconds > usual.seconds
    assert estimate(changed(limit=64), SPEED).seconds < usual.seconds
    assert estimate(changed(fractions=(1,)), SPEED).disk < usual.disk
    assert estimate(ASKED, SPEED / 2).seconds > usual.seconds


@pytest.mark.parametrize(("fields", "message"), [
    ({"data": "/no/such"}, "/no/such"), ({"epochs": -1.0}, "epochs"),
    ({"freeze": 99}, "freeze: 99; takes 0 to 6"), ({"reinitialise": 7}, "reinitialise: 7; takes 0 to 6"),
])
def test_what_cannot_be_reckoned(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        estimate(changed(**fields), SPEED)


def test_the_size_of_a_model_that_is_not_here_is_not_known() -> None:
    assert estimate(changed(model="someone/far-away"), SPEED) is None


def test_a_sample_out_of_range() -> None:
    study = dataclasses.replace(ASKED.study, corpus=CorpusRequest("starter-train.conllu", limit=0))
    with pytest.raises(InputError, match="limit: 0; takes"):
        estimate(dataclasses.replace(ASKED, study=study), SPEED)


def test_a_missing_corpus(tmp_path: Path) -> None:
    asked = dataclasses.replace(ASKED, study=StudyRequest("starter-bert", (), CorpusRequest(str(tmp_path / "no"))))
    with pytest.raises(InputError, match="there is no file"):
        estimate(asked, SPEED)


def test_the_speed_is_that_of_a_machine() -> None:
    assert 1e8 < matrix_speed() < 1e14
