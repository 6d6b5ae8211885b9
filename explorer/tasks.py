"""Sentence tasks to fine-tune on, GLUE's and the user's own: files, labels and metrics. Needs no torch."""
from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from explorer.files import is_there
from explorer.specs import InputError, digest

STARTER_TASKS = Path(__file__).resolve().parent / "starter" / "tasks"
PAIR = ("sentence1", "sentence2", "label")
OWN = (PAIR, ("sentence", "label"))
DEV_SHARE, DEV_MOST = 0.2, 1000  # of the rows, where a dev set has to be cut from them
DECODE_ERRORS = (UnicodeDecodeError, EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class Task:
    """Where a task's files have its sentences and labels, and how it is scored."""

    columns: tuple[tuple[str, ...], ...]  # ways to name the sentences' columns and, last, the label's
    labels: tuple[str, ...] = ()  # in the order of the model's outputs; empty: those that the files have
    metrics: tuple[str, ...] = ("accuracy",)  # the first is the dev score
    regression: bool = False
    header: tuple[str, ...] = ()  # names for the columns of files that have no header
    folder: str = ""  # in a GLUE folder
    names: tuple[str, ...] = ()  # of the labels, where the files have numbers
    dev: str = "dev"


TASKS = {
    "sst2": Task((("sentence", "label"),), ("0", "1"), folder="SST-2", names=("negative", "positive")),
    "cola": Task((("sentence", "label"),), ("0", "1"), ("accuracy", "matthews"), folder="CoLA",
                 header=("source", "label", "mark", "sentence"), names=("unacceptable", "acceptable")),
    "mrpc": Task((("#1 String", "#2 String", "Quality"), PAIR), ("0", "1"), ("accuracy", "f1"), folder="MRPC",
                 names=("not equivalent", "equivalent")),
    "rte": Task((PAIR,), ("entailment", "not_entailment"), folder="RTE"),
    "qnli": Task((("question", "sentence", "label"),), ("entailment", "not_entailment"), folder="QNLI"),
    "mnli": Task((("sentence1", "sentence2", "gold_label"), ("premise", "hypothesis", "label")),
                 ("entailment", "neutral", "contradiction"), folder="MNLI", dev="dev_matched"),
    "qqp": Task((("question1", "question2", "is_duplicate"), ("question1", "question2", "label")), ("0", "1"),
                ("accuracy", "f1"), folder="QQP", names=("not duplicate", "duplicate")),
    "stsb": Task((("sentence1", "sentence2", "score"), PAIR), metrics=("pearson", "spearman"), regression=True,
                 folder="STS-B"),
    "classification": Task(OWN),
    "regression": Task(OWN, metrics=("pearson", "spearman"), regression=True),
}


def task_name(task: str, data: object = "") -> str:
    """What people call it: its key in TASKS, however it is written; of rows of one's own, the name of their file."""
    key = re.sub(r"\W", "", task.lower())
    if key not in TASKS:
        return task
    return PurePath(str(data)).stem if data and TASKS[key].columns is OWN else key


def class_name(task: str, label: str) -> str:
    """What a model's label means: a number (or transformers' LABEL_1) by the task of this name, else itself."""
    known = TASKS.get(task_name(task))
    names = known.names if known else ()
    found = re.fullmatch(r"(?:LABEL_)?(\d)", label)
    return names[int(found[1])] if found and int(found[1]) < len(names) else label


@dataclass(frozen=True)
class Row:
    """One example as its file has it."""

    texts: tuple[str, ...]  # one sentence, or a pair
    label: str
    where: str  # file and line


@dataclass(frozen=True)
class Examples:
    """Sentences or pairs with what is to be predicted of them."""

    texts: tuple[tuple[str, ...], ...]
    targets: np.ndarray  # (rows,): index into the labels, or a score

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class TaskData:
    """A task's rows, as a model is trained and scored on them."""

    task: Task
    labels: tuple[str, ...]  # in the order of the model's outputs; empty for regression
    train: Examples
    dev: Examples
    dev_set: str  # where it came from

    def digest(self) -> str:
        """Names what training and scoring depend on: the chosen rows in their order, and the labels."""
        return digest(self.labels, *([part.texts, part.targets.tolist()] for part in (self.train, self.dev)))

    def baseline(self) -> dict[str, float]:
        """Dev scores of one answer for all: the most frequent training label, or the mean training score."""
        targets = self.train.targets
        answer = targets.mean() if self.task.regression else np.bincount(targets).argmax()
        return scores(self.task, self.dev.targets, np.full(len(self.dev), answer))


def read_task(name: str, data: str, limit: int | None = None, seed: int = 0) -> TaskData:
    """Read a task's train and dev rows from TSVs (plain, .gz or .xz; GLUE's have no quoting) or parquet.

    data is a GLUE folder, as GLUE or the hub name its folders and files, a task's own folder in it, or one file. Where
    train or dev is missing, dev is a cut of the rows there are, by the seed: a fifth, at most 1,000. limit keeps so
    many training rows, sampled.
    Raises InputError for an unknown task, missing files, ragged rows, and labels that the task does not have.
    """
    if name not in TASKS:
        raise InputError(f"task {name!r}: takes one of {', '.join(TASKS)}")
    task, rng = TASKS[name], np.random.default_rng(seed)
    files = _files(Path(data), name, task)
    train, *others = [_read(path, task) for path in files]
    dev_set = files[-1].name
    if others:
        dev = others[0]
    else:
        dev_set += f", cut by seed {seed} from its {len(train)} rows"
        train, dev = _cut(train, rng)
    if limit is not None and limit < len(train):
        train = [train[i] for i in rng.choice(len(train), limit, replace=False)]
    labels = () if task.regression else task.labels or _labels(train + dev)
    found = TaskData(task, labels, _examples(train, task, labels), _examples(dev, task, labels), dev_set)
    if len(np.unique(found.train.targets)) < 2:
        raise InputError(f"{data}: every training row ({len(train)}) has the label {train[0].label!r}; "
                         "takes two different ones or more")
    return found


def scores(task: Task, gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The task's metrics; gold and predicted are (rows,), label indices or scores."""
    return {metric: float(_score(metric, gold, predicted)) for metric in task.metrics}


def _score(metric: str, gold: np.ndarray, predicted: np.ndarray) -> float:
    """F1 is of label 1; what does not vary has no correlation, which counts as 0."""
    from scipy import stats
    from sklearn import metrics

    if metric == "accuracy":
        return (gold == predicted).mean()
    if metric == "f1":
        return metrics.f1_score(gold, predicted, zero_division=0.0)
    if metric == "matthews":
        return metrics.matthews_corrcoef(gold, predicted)
    if np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return 0.0
    correlation = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[metric]
    return correlation(gold, predicted).statistic


def _files(data: Path, name: str, task: Task) -> list[Path]:
    """The train and the dev file, or the one that there is."""
    if not is_there(data):
        raise InputError(f"data: there is no file or folder {data}")
    if data.is_file():
        return [data]
    data = next((data / folder for folder in (task.folder, name) if folder and (data / folder).is_dir()), data)
    files = [path for stem in ("train", task.dev) for path in _named(data, stem)]
    if not files:
        raise InputError(f"data: {data} has neither train.tsv nor {task.dev}.tsv (plain, .gz or .xz), nor "
                         "parquet files of these names")
    return files


def _named(folder: Path, stem: str) -> list[Path]:
    """stem.tsv or stem.sample.tsv, plain or compressed, or the hub's parquet; raises InputError when there are two."""
    hub = stem.replace("dev", "validation")
    pattern = rf"{stem}(\.\w+)?\.tsv(\.gz|\.xz)?|({stem}|{hub})(-\d+-of-\d+)?\.parquet"
    found = sorted(p for p in folder.iterdir() if re.fullmatch(pattern, p.name))
    if len(found) > 1:
        raise InputError(f"data: {folder} has {' and '.join(p.name for p in found)}; takes one of them")
    return found


def _read(path: Path, task: Task) -> list[Row]:
    parquet = path.suffix == ".parquet"
    lines = _parquet(path, task) if parquet else _lines(path)
    header = () if parquet else task.header
    header = header or tuple(next(lines, (0, ()))[1])
    columns = next((names for names in task.columns if set(names) <= set(header)), None)
    if columns is None:
        wanted = " or ".join(", ".join(names) for names in task.columns)
        raise InputError(f"{path}: its columns are {', '.join(header) or '(none)'}; takes {wanted}")
    *texts, label = (header.index(name) for name in columns)
    rows = []
    for number, cells in lines:
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise InputError(f"{where}: {len(cells)} columns; takes {len(header)} ({', '.join(header)})")
        rows.append(Row(tuple(cells[i].strip() for i in texts), cells[label].strip(), where))
        if not any(rows[-1].texts):
            raise InputError(f"{where}: no text in {', '.join(columns[:-1])}")
    if len(rows) < 2:
        raise InputError(f"{path}: {len(rows)} rows; takes two or more")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is not blank; only \\n ends one, since text may hold other ends."""
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n").split("\t")
    except DECODE_ERRORS as error:
        raise InputError(f"{path}, after line {number}: cannot be read ({error}); takes UTF-8 text, "
                         "plain or whole .gz or .xz") from error


def _parquet(path: Path, task: Task) -> Iterator[tuple[int, list[str]]]:
    """The columns' names, then number and cells of each row; the hub's labels are numbers of the task's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error})") from error
    yield 0, table.column_names
    names = dict(enumerate(task.labels))
    columns = [[names.get(value, value) for value in column.to_pylist()] if name == "label" else column.to_pylist()
               for name, column in zip(table.column_names, table.columns, strict=True)]
    for number, cells in enumerate(zip(*columns, strict=True), 1):
        yield number, ["" if cell is None else str(cell) for cell in cells]


def _cut(rows: list[Row], rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Train and dev."""
    order = rng.permutation(len(rows))
    n_dev = min(DEV_MOST, max(1, round(DEV_SHARE * len(rows))))
    return [rows[i] for i in order[n_dev:]], [rows[i] for i in order[:n_dev]]


def _labels(rows: list[Row]) -> tuple[str, ...]:
    labels = tuple(sorted({row.label for row in rows}))
    if 2 * len(labels) > len(rows):
        raise InputError(f"label: {len(labels)} different values in {len(rows)} rows; takes two rows a label "
                         "or more (scores have the task 'regression')")
    return labels


def _examples(rows: list[Row], task: Task, labels: tuple[str, ...]) -> Examples:
    index = {label: i for i, label in enumerate(labels)}
    targets = np.array([_number(row) if task.regression else _index(row, index) for row in rows])
    return Examples(tuple(row.texts for row in rows), targets)


def _index(row: Row, index: dict[str, int]) -> int:
    if row.label not in index:
        raise InputError(f"{row.where}: label {row.label!r}; takes one of {', '.join(index)}")
    return index[row.label]


def _number(row: Row) -> float:
    try:
        value = float(row.label)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{row.where}: score {row.label!r}; takes a finite number")
    return value
