"""The command line: what it prints, what it leaves, and what bad input gets."""
import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from explorer.cli import main
from explorer.outputs import save
from explorer.specs import InputError
from explorer.study import COLUMNS
from tests.tiny import build
from tests.words import write_corpus

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two checkpoints and three files of a corpus, by the names of their options."""
    folder = tmp_path_factory.mktemp("cli")
    checkpoints = {"base": build(folder / "base", "bert", seed=0), "finetuned": build(folder / "tuned", "bert", seed=1)}
    return {name: str(path) for name, path in (checkpoints | write_corpus(folder)).items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def study(given: dict[str, str], *more: str, **changed: str) -> list[str]:
    """The arguments of a study."""
    options = [part for name, value in (given | changed).items() for part in (f"--{name}", value)]
    return ["study", *options, "--k", "1,4", *more]


def test_the_shell_runs_a_study(given: dict[str, str], tmp_path: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "explorer", *study(given, "--csv", str(tmp_path / "out.csv"))]
    environment = os.environ | {"EXPLORER_CACHE": str(cache)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(table.columns) == COLUMNS
    assert set(table.k) == {1, 4, 16}
    assert "" in set(table.label)
    assert "probes on layer 2" in done.stderr
    assert done.stdout.split()[-3] == "2"  # last line: layer, base, fine-tuned


def test_activations_and_studies_are_listed_and_pruned(
    given: dict[str, str], cache: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(study(given)) == 0
    assert main(["cache"]) == 0
    listed = capsys.readouterr().out
    assert listed.count(" activations ") == 6  # two checkpoints, three splits
    assert "study: upos" in listed
    assert main(["cache", "--prune", "0"]) == 0
    assert "0 entries" in capsys.readouterr().out
    assert not list(cache.rglob("*.safetensors"))


def test_extract_then_study_computes_no_activations_again(
    given: dict[str, str], cache: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = [part for name in ("train", "dev", "test") for part in (f"--{name}", given[name])]
    for model in ("base", "finetuned"):
        assert main(["extract", "--model", given[model], *corpus]) == 0
    assert "3 layers" in capsys.readouterr().out
    before = {path: path.stat().st_ino for path in (cache / "activations").rglob("*.safetensors")}
    assert before
    assert main(study(given)) == 0
    assert {path: path.stat().st_ino for path in (cache / "activations").rglob("*.safetensors")} == before


def test_fine_tuning_and_studying_its_checkpoints(
    given: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    rows = "".join(f"a {'cat' if i % 2 else 'dog'} sees\t{i % 2}\n" for i in range(40))
    (tmp_path / "own.tsv").write_text("sentence\tlabel\n" + rows, encoding="utf-8")
    run = tmp_path / "run"
    arguments = ["finetune", "--model", given["base"], "--task", "classification", "--data", str(tmp_path / "own.tsv"),
                 "--out", str(run), "--epochs", "2", "--batch-size", "8", "--fractions", "0,1"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(run)
    assert main(study(given, finetuned=str(run / "checkpoint-8"))) == 0


@pytest.mark.parametrize(("text", "options"), [
    ("{word} {label} X\n", ["--columns", "0,1"]),
    ("X\t{label}\t{word}\n", ["--columns", "2,1"]),
    ("{word},{label}\n", ["--columns", "0,1", "--separator", ","]),
    ("{word} \t{label}\n", ["--columns", "0,1", "--separator", r"\t"]),
    ("{word} {label}\r\n", ["--property", "column 1"]),
])
def test_columns_as_a_user_names_them(
    given: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str],
) -> None:
    sentence = "".join(text.format(word=word, label=label) for word, label in (("the", "DET"), ("cat", "NOUN")))
    (tmp_path / "columns").write_text((sentence + "\n") * 12, encoding="utf-8", newline="")
    assert main(["extract", "--model", given["base"], "--train", str(tmp_path / "columns"), *options]) == 0
    assert "x 20 words x 16" in capsys.readouterr().out


def test_several_tasks_at_once_and_a_study_of_a_whole_run(
    given: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    for folder, header, labels in (("SST-2", "sentence", "01"), ("RTE", "sentence1\tsentence2", ("entailment",
                                                                                               "not_entailment"))):
        (tmp_path / folder).mkdir()
        text = "a cat\ta dog" if "2" in header else "a cat"
        rows = "".join(f"{text}\t{labels[i % 2]}\n" for i in range(20))
        (tmp_path / folder / "train.tsv").write_text(f"{header}\tlabel\n{rows}", encoding="utf-8")
    assert main(["finetune", "--model", given["base"], "--task", "sst2,rte", "--data", str(tmp_path), "--out",
                 str(tmp_path / "runs"), "--epochs", "1", "--fractions", "0,1", "--freeze", "1"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "runs" / task) for task in ("sst2", "rte")]
    assert main(study(given, finetuned=str(tmp_path / "runs" / "rte"))) == 0
    assert capsys.readouterr().out.split()[1:4] == ["base", "rte/checkpoint-0", "rte/checkpoint-1"]


@pytest.mark.parametrize(("changed", "message"), [
    ({"train": "/no/such.conllu"}, "/no/such.conllu"),
    ({"base": "/no/such/model"}, "/no/such/model"),
    ({"property": "Mood"}, "Mood"),
    ({"columns": "1"}, "--columns"),
    ({"csv": "/no/such/folder/out.csv"}, "/no/such/folder"),
    ({"csv": "/tmp"}, "/tmp: is a folder"),
    ({"limit": "0"}, "limit"),
    ({"seed": "-1"}, "seed"),
    ({"l2": "-1"}, "l2: got -1"),
    ({"l2": "nan"}, "l2: got nan"),
    ({"l1": "inf"}, "l1: got inf"),
    ({"probe-seed": "-1"}, "seed: got -1"),
])
def test_input_that_cannot_be_used(
    given: dict[str, str], capsys: pytest.CaptureFixture[str], changed: dict[str, str], message: str,
) -> None:
    assert main(study(given, **changed)) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "COMMAND"),
    (["cache", "--prune", "much"], "10GB"),
    (["study", "--base", "x"], "--finetuned"),
    (["finetune", "--model", "x", "--task", "nothing", "--data", "x", "--out", "x", "--fractions", "a"], "fractions"),
    (["study", "--k", "1,b"], "whole numbers"),
])
def test_options_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_scorecard_for_no_folder_is_refused_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scorecard", "--markdown", "/no/such/folder/card.md"]) == 2
    assert "there is no folder /no/such/folder" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m explorer cache | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False,
                          env=os.environ | {"EXPLORER_CACHE": str(ROOT / "cache")})
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")  # it may have written all before head ended


def test_a_full_disk_leaves_the_old_csv(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old", encoding="utf-8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # what the system does at a full quota
    try:
        with pytest.raises(InputError, match=r"out\.csv"):
            save("a line\n" * 10_000, str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text(encoding="utf-8") == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["out.csv"]


def test_help_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text for command in ("study", "extract", "finetune", "cache", "EXPLORER_CACHE"))


def test_listing_the_cache_imports_no_torch(tmp_path: Path) -> None:
    code = "import sys; from explorer.cli import main; main(['cache']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
