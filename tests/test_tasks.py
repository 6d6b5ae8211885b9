"""Sentence tasks: what their files give, the scores in cases with a known answer, and what bad files get."""
import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.specs import InputError
from explorer.tasks import TASKS, Examples, Task, class_name, read_task, scores, task_name

ROWS = [("bad", "0"), ("good", "1")] * 5


def write(path: Path, rows: list[tuple[str, ...]], header: str = "sentence\tlabel\n") -> str:
    path.write_text(header + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def pairs(examples: Examples) -> set[tuple[tuple[str, ...], float]]:
    return set(zip(examples.texts, examples.targets.tolist(), strict=True))


@pytest.mark.parametrize(("task", "label", "name"), [
    ("sst2", "0", "negative"), ("SST-2", "LABEL_1", "positive"), ("mrpc", "1", "equivalent"), ("sst2", "2", "2"),
    ("mnli", "neutral", "neutral"), ("mnli", "LABEL_0", "LABEL_0"), ("", "1", "1"), ("own", "good", "good"),
])
def test_a_number_for_a_class_has_a_name_where_the_task_is_known(task: str, label: str, name: str) -> None:
    assert class_name(task, label) == name


def test_train_and_dev_are_read_as_they_stand(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", [('a "quoted', "1"), ("plain ", "0")])
    write(tmp_path / "dev.tsv", [("one", "0"), ("two", "0"), ("three", "1")])
    data = read_task("sst2", str(tmp_path))
    assert data.train.texts == (('a "quoted',), ("plain",))
    assert data.train.targets.tolist() == [1, 0]
    assert data.dev.texts == (("one",), ("two",), ("three",))
    assert data.dev_set == "dev.tsv"


def test_pairs_and_scores(tmp_path: Path) -> None:
    rows = [("a", "b", "0.5"), ("c", "d", "4")] * 5
    data = read_task("regression", write(tmp_path / "own.tsv", rows, "sentence1\tsentence2\tlabel\n"))
    assert data.labels == ()
    assert pairs(data.train) == {(("a", "b"), 0.5), (("c", "d"), 4.0)}


def test_labels_of_ones_own_are_those_of_the_file(tmp_path: Path) -> None:
    data = read_task("classification", write(tmp_path / "own.tsv", [("x", "pro"), ("y", "con")] * 5))
    assert data.labels == ("con", "pro")
    assert pairs(data.train) == {(("x",), 1), (("y",), 0)}


def test_cola_has_no_header(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv"):
        write(tmp_path / name, [("gj", "1", "", "They left."), ("gj", "0", "*", "Left they them.")], header="")
    data = read_task("cola", str(tmp_path))
    assert data.train.texts == (("They left.",), ("Left they them.",))
    assert data.train.targets.tolist() == [1, 0]


def test_one_file_is_cut_by_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "own.tsv", [(f"row {i}", str(i % 2)) for i in range(50)])
    data, again, other = (read_task("classification", path, seed=seed) for seed in (0, 0, 1))
    assert (len(data.train), len(data.dev)) == (40, 10)
    assert len({*data.train.texts, *data.dev.texts}) == 50
    assert data.digest() == again.digest() != other.digest()
    assert data.dev_set == "own.tsv, cut by seed 0 from its 50 rows"


def test_the_limit_samples_training_rows_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "own.tsv", [(f"row {i}", str(i % 2)) for i in range(50)])
    whole, part = read_task("classification", path), read_task("classification", path, limit=12)
    assert len(set(part.train.texts)) == 12
    assert set(part.train.texts) < set(whole.train.texts)
    assert part.dev.texts == whole.dev.texts


def test_compressed_files_read_like_plain_ones(tmp_path: Path) -> None:
    text = Path(write(tmp_path / "own.tsv", ROWS)).read_bytes()
    (tmp_path / "own.tsv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "own.tsv.xz").write_bytes(lzma.compress(text))
    names = ("own.tsv", "own.tsv.gz", "own.tsv.xz")
    assert len({read_task("classification", str(tmp_path / name)).digest() for name in names}) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_line_ends_end_a_line(tmp_path: Path, end: str) -> None:
    rows = [f"a{odd}b\t{i % 2}" for i, odd in enumerate("\x0b\x0c\x1c\x85\u2028\r" * 2)]
    path = tmp_path / "train.tsv"
    path.write_text(end.join(["\ufeffsentence\tlabel", *rows, ""]), encoding="utf-8", newline="")
    write(tmp_path / "dev.tsv", ROWS)
    assert len(read_task("sst2", str(tmp_path)).train) == 12


@pytest.mark.parametrize(("name", "gold", "predicted", "answer"), [
    ("sst2", [0, 1, 1, 1], [0, 1, 1, 0], {"accuracy": 0.75}),
    ("mrpc", [0, 1, 1, 1], [0, 1, 1, 0], {"accuracy": 0.75, "f1": 0.8}),  # precision 1, recall 2/3
    ("mrpc", [0, 1], [0, 0], {"accuracy": 0.5, "f1": 0.0}),
    ("cola", [0, 0, 1, 1], [0, 0, 1, 1], {"accuracy": 1.0, "matthews": 1.0}),
    ("cola", [0, 0, 1, 1], [1, 1, 0, 0], {"accuracy": 0.0, "matthews": -1.0}),
    ("cola", [0, 1], [1, 1], {"accuracy": 0.5, "matthews": 0.0}),
    ("stsb", [1.0, 2.0, 3.0], [5.0, 7.0, 9.0], {"pearson": 1.0, "spearman": 1.0}),
    ("stsb", [0.0, 1.0, 2.0], [0.0, 0.0, 3.0], {"pearson": 0.75**0.5, "spearman": 0.75**0.5}),
    ("stsb", [1.0, 2.0], [3.0, 3.0], {"pearson": 0.0, "spearman": 0.0}),
])
def test_scores_in_known_cases(name: str, gold: list, predicted: list, answer: dict) -> None:
    assert scores(TASKS[name], np.array(gold), np.array(predicted)) == pytest.approx(answer)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_truth_scores_one(labels: list[bool]) -> None:
    gold = np.array(labels, dtype=int)
    assert scores(Task((), metrics=("accuracy",)), gold, gold) == {"accuracy": 1.0}


def test_the_baseline_is_the_majority_of_training(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", [("a", "1"), ("b", "1"), ("c", "0")])
    write(tmp_path / "dev.tsv", [("d", "0"), ("e", "0"), ("f", "0"), ("g", "1")])
    assert read_task("sst2", str(tmp_path)).baseline() == {"accuracy": 0.25}


@pytest.mark.parametrize(("text", "message"), [
    ("", r"own\.tsv: its columns are \(none\); takes sentence1, sentence2, label or sentence, label"),
    ("text\tlabel\na\t1\n", r"own\.tsv: its columns are text, label; takes"),
    ("sentence\tlabel\na\t1\n", r"own\.tsv: 1 rows; takes two or more"),
    ("sentence\tlabel\na\t1\n\nb\n", r"own\.tsv, line 4: 1 columns; takes 2 \(sentence, label\)"),
    ("sentence\tlabel\na\tb\t1\n", r"own\.tsv, line 2: 3 columns; takes 2"),
    ("sentence\tlabel\n \t1\n", r"own\.tsv, line 2: no text in sentence"),
    ("sentence\tlabel\n" + "a\tx\n" * 5, r"own\.tsv: every training row \(4\) has the label 'x'"),
    ("sentence\tlabel\n" + "".join(f"a\t{i}.5\n" for i in range(9)), r"label: 9 different values in 9 rows"),
])
def test_bad_files_are_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_task("classification", str(path))


@pytest.mark.parametrize(("task", "label", "message"), [
    ("sst2", "2", r"dev\.tsv, line 3: label '2'; takes one of 0, 1"),
    ("regression", "high", r"dev\.tsv, line 3: score 'high'; takes a finite number"),
    ("regression", "nan", r"dev\.tsv, line 3: score 'nan'; takes a finite number"),
])
def test_labels_that_the_task_does_not_have(tmp_path: Path, task: str, label: str, message: str) -> None:
    write(tmp_path / "train.tsv", ROWS)
    write(tmp_path / "dev.tsv", [("a", "1"), ("b", label)])
    with pytest.raises(InputError, match=message):
        read_task(task, str(tmp_path))


@pytest.mark.parametrize("content", [
    b"sentence\tlabel\n\xff\xfe\t1\n", gzip.compress(b"sentence\tlabel\na\t1\n", mtime=0)[:-9], b"not gzip",
])
def test_unreadable_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("own.tsv" if content.startswith(b"sentence") else "own.tsv.gz")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"own\.tsv.*cannot be read"):
        read_task("classification", str(path))


def test_missing_and_ambiguous_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task 'sst-2': takes one of sst2, cola"):
        read_task("sst-2", str(tmp_path))
    with pytest.raises(InputError, match="there is no file or folder"):
        read_task("sst2", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"neither train\.tsv nor dev\.tsv"):
        read_task("sst2", str(tmp_path))
    write(tmp_path / "train.tsv", ROWS)
    write(tmp_path / "train.sample.tsv", ROWS)
    with pytest.raises(InputError, match=r"train\.sample\.tsv and train\.tsv; takes one"):
        read_task("sst2", str(tmp_path))


@pytest.mark.parametrize(("name", "train", "dev"), [
    ("sst2", 67_349, 872), ("cola", 8_551, 1_043), ("mrpc", 3_668, 408), ("rte", 2_490, 277),
    ("stsb", 5_749, 1_500), ("qnli", 4_463, 1_000), ("mnli", 10_000, 4_908), ("qqp", 15_000, 5_000),
])
def test_glue_is_read_whole(shared: Path, name: str, train: int, dev: int) -> None:
    data = read_task(name, str(shared / "data" / "glue"))
    assert (len(data.train), len(data.dev)) == (train, dev)
    assert len(data.train.texts[0]) == (1 if name in ("sst2", "cola") else 2)


@pytest.mark.parametrize(("task", "columns", "labels"), [
    ("rte", {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [1, 0]}, [1, 0]),
    ("mrpc", {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [1, 0]}, [1, 0]),
    ("cola", {"sentence": ["a", "b"], "label": [1, 0], "idx": [0, 1]}, [1, 0]),
    ("stsb", {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [2.5, 0.0]}, [2.5, 0.0]),
])
def test_parquet_as_the_hub_has_it(tmp_path: Path, task: str, columns: dict, labels: list) -> None:
    (tmp_path / task).mkdir()
    for name in ("train", "validation"):
        pd.DataFrame(columns).to_parquet(tmp_path / task / f"{name}-00000-of-00001.parquet")
    found = read_task(task, str(tmp_path))
    assert found.train.targets.tolist() == found.dev.targets.tolist() == labels
    assert found.train.texts[0][0] == "a"
    assert found.dev_set == "validation-00000-of-00001.parquet"


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "own.parquet").write_text("sentence\tlabel\n")
    with pytest.raises(InputError, match=r"own\.parquet: cannot be read as parquet"):
        read_task("classification", str(tmp_path / "own.parquet"))


@pytest.mark.parametrize(("task", "data", "told"), [
    ("SST-2", "", "sst2"), ("mnli", "/data/glue", "mnli"), ("classification", "/files/My-rows.tsv", "My-rows"),
    ("classification", "", "classification"), ("my-task", "/files/rows.tsv", "my-task"),
])
def test_a_task_by_name(task: str, data: str, told: str) -> None:
    assert task_name(task, data) == told
