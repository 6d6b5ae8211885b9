"""Tables of neurons that leave the explorer: python -m explorer neurons, CSV and JSON with what made them."""
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from explorer.cli import main
from explorer.neurons.analysis import Neurons
from explorer.neurons.export import as_csv, as_json, origin
from explorer.neurons.parts import ALL, METHODS
from explorer.neurons.tables import ranked


def test_a_table_goes_out_with_what_made_it_and_comes_back(neurons: Neurons) -> None:
    table = ranked(neurons, neurons.study.base, ALL, top=2)
    made_of = origin(neurons, "ranking", method="lca")
    back = pd.read_csv(io.StringIO(as_csv(table, made_of)), skiprows=1)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    read = json.loads(as_json(table, made_of))
    assert read["made_of"]["study"] == neurons.study.key
    assert read["made_of"]["request"]["corpus"]["property"] == "upos"
    assert len(read["rows"]) == len(table)


@pytest.mark.parametrize(("arguments", "rows"), [
    (["--top", "5"], 5), (["--layer", "1", "--method", "gaussian"], 16), (["--layer", "0", "--label", "NOUN"], 16),
    (["--table", "where"], 5 * 3), (["--table", "centres"], 5 * 2), (["--table", "moved"], 48),
    (["--table", "minimal"], 6), (["--table", "labels"], 6 * 4), (["--table", "stability"], 2 * 3 * 5 * len(METHODS)),
])
def test_tables_from_the_shell(
    neurons: Neurons, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str],
    rows: int,
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(neurons.store.root))
    assert main(["neurons", *arguments, "--csv"]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out), skiprows=1)) == rows


def test_files_from_the_shell(neurons: Neurons, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(neurons.store.root))
    assert main(["neurons", "--layer", "2", "--top", "3", "--json", str(tmp_path / "out.json"),
                 "--csv", str(tmp_path / "out.csv")]) == 0
    made_of = json.loads((tmp_path / "out.json").read_text())["made_of"]
    assert (made_of["layer"], made_of["method"], made_of["study"]) == ("2", "lca", neurons.study.key)
    assert json.loads((tmp_path / "out.csv").read_text().splitlines()[0].removeprefix("# ")) == made_of
    assert {path.name for path in tmp_path.iterdir()} == {"out.json", "out.csv"}


@pytest.mark.parametrize(("arguments", "message"), [
    (["--layer", "7"], "0 to 2"), (["--layer", "x"], "--layer x"), (["--top", "49"], "1 to 48"),
    (["--label", "INTJ"], "INTJ"), (["--method", "magic"], "magic"), (["--study", "f" * 20], "study"),
    (["--finetuned", "other"], "other"), (["--csv", "/no/such/folder/out.csv"], "/no/such/folder"),
    (["--table", "minimal", "--delta", "-5"], "delta: got -5"), (["--top", "0"], "--top 0: takes 1 to 48"),
    (["--table", "labels", "--delta", "nan"], "delta: got nan"),
])
def test_what_the_shell_asks_for_in_vain(
    neurons: Neurons, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(neurons.store.root))
    assert main(["neurons", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
