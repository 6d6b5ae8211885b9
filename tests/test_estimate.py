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


def test_more_takes_more() -> None:
    usual = estimate(ASKED, SPEED)
    assert estimate(changed(epochs=6.0), SPEED).seconds > usual.seconds
    assert estimate(changed(limit=64), SPEED).seconds < usual.seconds
    assert estimate(changed(fractions=(1,)), SPEED).disk < usual.disk
    assert estimate(ASKED, SPEED / 2).seconds > usual.seconds


@pytest.mark.parametrize(("fields", "message"), [
    ({"model": "someone/far-away"}, "known once it is here"), ({"data": "/no/such"}, "/no/such"),
    ({"epochs": -1.0}, "epochs"),
])
def test_what_cannot_be_reckoned(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        estimate(changed(**fields), SPEED)


def test_a_missing_corpus(tmp_path: Path) -> None:
    asked = dataclasses.replace(ASKED, study=StudyRequest("starter-bert", (), CorpusRequest(str(tmp_path / "no"))))
    with pytest.raises(InputError, match="there is no file"):
        estimate(asked, SPEED)


def test_the_speed_is_that_of_a_machine() -> None:
    assert 1e8 < matrix_speed() < 1e14
