"""Fine-tuning of the starter's models: one run for each task, its checkpoints in float16, its card."""
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from explorer.files import write
from explorer.finetune import finetune
from explorer.models import steps
from explorer.runs import RECORD, FinetuneRequest
from explorer.specs import Progress, silent
from explorer.starter.build.pretrain import hardware
from explorer.tasks import STARTER_TASKS

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Tuning:
    """One task, and settings that suit models so small: a high rate, few epochs, short rows."""

    name: str  # the run is called after the model and this
    task: str  # a key of explorer.tasks.TASKS
    title: str
    epochs: float
    max_length: int
    file: str = ""  # of the starter's own tasks; without one, the task's folder in the GLUE folder
    limit: int | None = None  # rows
    learning_rate: float = 5e-4
    warmup: float = 0.06
    seed: int = 0


GLUE = (
    Tuning("sst2", "sst2", "GLUE SST-2, sentiment of phrases of film reviews", 1.0, 64),
    # In more than two epochs starter-xlnet learns the 3,668 pairs by heart, and does no better on dev than one answer.
    Tuning("mrpc", "mrpc", "GLUE MRPC, paraphrases in news", 2.0, 96, learning_rate=3e-4),
    Tuning("qqp", "qqp", "15,000 pairs sampled from GLUE QQP, questions that ask the same", 1.0, 64),
)
SLIVER = (Tuning("sentiment", "classification", "the starter's own sentiment task", 1.0, 32, "sentiment.tsv", 96),)
ALONG = {"starter-bert-sst2": (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)}  # of the run: its checkpoints besides the end


def tune(
    model: Path, tuning: Tuning, glue: Path, work: Path, out: Path, must_learn: bool = True,
    on_progress: Progress = silent,
) -> str:
    """Fine-tune `model` on a task, or go on from the state in `work`; the run goes to `out`, in float16, with a card.

    Returns a line that tells the dev score. Where must_learn holds, a run that is no better on dev than the most
    frequent label does not go to `out`. Raises InputError for a task whose files are not in `glue`.
    """
    data = STARTER_TASKS / tuning.file if tuning.file else glue
    run = finetune(FinetuneRequest(
        str(model), tuning.task, str(data), str(work), learning_rate=tuning.learning_rate, epochs=tuning.epochs,
        max_length=tuning.max_length, warmup=tuning.warmup, seed=tuning.seed, limit=tuning.limit,
        fractions=ALONG.get(out.name, (1.0,))), on_progress)
    record = json.loads((run / RECORD).read_text(encoding="utf-8"))
    score, baseline = record["checkpoints"][-1]["dev_score"], record["baseline"][record["metric"]]
    shutil.rmtree(out, ignore_errors=True)
    told = f"{out.name}: dev {record['metric']} {score:.3f}, majority {baseline:.3f}"
    if must_learn and score <= baseline:
        return f"{told}: not above it, so it does not ship"
    for step in steps(run):
        _export(step, out / step.name)
    record |= {"base": model.name, "data": tuning.title, "hardware": hardware(), "torch": torch.__version__}
    write(out / RECORD, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    write(out / "README.md", card(out.name, record).encode())
    return told


def _export(step: Path, target: Path) -> None:
    """A checkpoint with its weights in float16, which are read into float32."""
    target.mkdir(parents=True)
    for path in step.iterdir():
        if path.name == WEIGHTS:
            half = {name: weight.half().contiguous() for name, weight in load_file(path).items()}
            save_file(half, target / WEIGHTS, {"format": "pt"})
        else:
            shutil.copy(path, target / path.name)


def card(name: str, record: dict) -> str:
    """The card, in Markdown, of a run's record."""
    metric = record["metric"]
    rows = "\n".join(
        f"| {point['step']:,} | {'' if point['loss'] is None else format(point['loss'], '.3f')} "
        f"| {point['dev_loss']:.3f} | {100 * point['dev_score']:.1f} |" for point in record["checkpoints"])
    settings = {key: record[key] for key in ("learning_rate", "epochs", "batch_size", "max_length", "weight_decay",
                                             "warmup", "seed")}
    return CARD.format(
        name=name, base=record["base"], task=record["data"], train=record["train_rows"], dev=record["dev_rows"],
        dev_set=record["dev_set"], steps=record["steps"], metric=metric, settings=json.dumps(settings), rows=rows,
        score=100 * record["checkpoints"][-1]["dev_score"], baseline=100 * record["baseline"][metric],
        torch=record["torch"], hardware=record["hardware"])


CARD = """---
license: mit
language: en
---
# {name}

`{base}`, a small model trained from scratch for demonstration, fine-tuned on {train:,} rows, in {steps:,} steps, of
{task}.

It is **not** a model of the published study, and does the task far worse than one of those would. To study those, with
a network, fine-tune `google-bert/bert-base-cased`, `FacebookAI/roberta-base` or `xlnet/xlnet-base-cased`:
`python -m explorer finetune --help`.

Dev {metric}, on the {dev:,} rows of {dev_set}: **{score:.1f} %**; the most frequent label for every row
gives {baseline:.1f} %. The rows themselves are not included.

| step | training loss since the row above | dev loss | dev {metric} (%) |
|---|---|---|---|
{rows}

Settings: `{settings}`;
torch {torch} on {hardware}. Weights are stored in float16. Each checkpoint is a folder `checkpoint-STEP`;
`{name}` alone names the last.
"""
