"""Fine-tuning on a sentence task, in a plain loop that keeps checkpoints along the way.

resume.pt in the run's folder is the state from which a run that was stopped or killed goes on, to the same
weights as if it had not been.
"""
import functools
import itertools
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from explorer.freezing import prepare
from explorer.models import Checkpoint, load, quiet, resolve
from explorer.runs import RESUME, FinetuneRequest, Run, into_place, opened
from explorer.specs import InputError, Progress, silent
from explorer.tasks import Examples, TaskData, read_task, scores

SAVE_EVERY = 60  # seconds of work that a kill may cost
TELL_EVERY = 1  # seconds between two writes of the losses, for those who watch
POOL = 8  # batches sorted by length together: SST-2 is padded to 1.3 times its sub-words, unsorted to 3 times
CLIP = 1.0  # largest norm of the gradient, as in transformers' Trainer


def finetune(request: FinetuneRequest, on_progress: Progress = silent,
             on_checkpoint: Callable[[Run], None] = lambda run: None) -> Path:
    """Fine-tune request.model on request.task and return the run's folder, request.out.

    Calls on_checkpoint whenever a checkpoint is in its place, and once for a run that was finished before; what is
    computed there does not change the run.

    AdamW on the loss of the head that transformers puts on the model (cross-entropy or squared error), the
    learning rate falling linearly to 0; float32 on a CPU, bfloat16 autocast on a GPU. The same request gives
    the same weights on the same machine; an interrupted run goes on from its last state, at most SAVE_EVERY
    seconds back, and a finished one is left as it is. Raises InputError for settings, data or a model that
    cannot be used, for a folder that holds something else, and when the loss is no longer finite.
    """
    request.check()
    base = resolve(request.model, on_progress)
    request.check(base.n_layers - 1)
    data = read_task(request.task, request.data, request.limit, request.seed)
    with opened(request, base, data) as run:
        if run.finished:
            on_checkpoint(run)
        else:
            with torch.random.fork_rng([0] if torch.cuda.is_available() else []):
                _train(run, _Training(request, base, data), request, on_progress, on_checkpoint)
        (run.folder / RESUME).unlink(missing_ok=True)
    return run.folder


def _train(run: Run, training: "_Training", request: FinetuneRequest, on_progress: Progress,
           on_checkpoint: Callable[[Run], None]) -> None:
    """Go on from the run's last state, if there is one, to its last checkpoint."""
    run.check_space(4 * sum(p.numel() for p in training.model.parameters()))
    if (run.folder / RESUME).is_file():
        training.restore(run.folder / RESUME)
    lengths = np.array([len(row["input_ids"]) for row in training.train_rows])
    batches = itertools.islice(_batches(lengths, request.batch_size, request.seed), training.step, None)
    last, written, told = run.due[-1], time.monotonic(), time.monotonic()
    while True:
        due = training.step in run.due and training.step not in run.saved
        if due or time.monotonic() - written > SAVE_EVERY:
            training.save(run.folder / RESUME)
            written = time.monotonic()
        if due:
            _keep(run, training, functools.partial(on_progress, training.step, last, "scoring on dev"))
            with torch.random.fork_rng([0] if training.device.type == "cuda" else []):
                on_checkpoint(run)
        if run.finished:
            return
        rate = request.learning_rate * _rate(training.step / run.steps, request.warmup)
        loss = training.learn(next(batches), rate)
        if time.monotonic() - told > TELL_EVERY:
            run.tell(training.losses)
            told = time.monotonic()
        on_progress(training.step, last, f"fine-tuning, loss {loss:.3f}")


def _keep(run: Run, training: "_Training", watch: Callable[[], None]) -> None:
    """Score the weights as they are, and save them as a checkpoint."""
    dev_loss, dev = training.score(watch)
    losses = training.losses[max(run.saved, default=0):]
    run.tell(training.losses)
    with into_place(run.folder / f"checkpoint-{training.step}") as folder, _plain_errors():
        training.save_checkpoint(folder)
    run.add(
        training.step, epoch=training.step / run.steps * run.record["epochs"],
        loss=float(np.mean(losses)) if losses else None,  # in training, since the checkpoint before
        dev_loss=dev_loss, dev_score=dev[run.record["metric"]], dev=dev,
    )


def _rate(done: float, warmup: float) -> float:
    """Part of the learning rate when a share of the steps is done: up to 1 in the warm-up, then down to 0."""
    return done / warmup if done < warmup else (1 - done) / (1 - warmup)


def _batches(lengths: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of batch after batch, each row once an epoch, for ever.

    An epoch is shuffled and cut into pools, each pool into batches of like length, which spares padding, and
    these come in random order. A pool is at most a quarter of the epoch, so that batches change with epochs.
    """
    rng = np.random.default_rng(seed)
    n = len(lengths)
    pool = batch_size * max(1, min(POOL, n // batch_size // 4))
    while True:
        batches: list[np.ndarray] = []
        for rows in np.split(rng.permutation(n), range(pool, n, pool)):
            by_length = rows[np.argsort(lengths[rows], kind="stable")]
            batches += np.split(by_length, range(batch_size, len(rows), batch_size))
        for i in rng.permutation(len(batches)):
            yield batches[i]


class _Training:
    """A model in training: its weights and optimizer, the task's rows as sub-words, the losses so far."""

    def __init__(self, request: FinetuneRequest, base: Checkpoint, data: TaskData) -> None:
        self.base, self.data = base, data
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, tokenizer = _load(base, data, request.seed, self.device)
        prepare(self.model, request.freeze, request.reinitialise)
        self.collate = DataCollatorWithPadding(tokenizer)
        length = min(request.max_length, base.max_length)
        self.train_rows = _encode(data.train, tokenizer, length)
        self.dev_rows = _encode(data.dev, tokenizer, length)
        free = [p for p in self.model.parameters() if p.requires_grad]
        weights = [p for p in free if p.ndim > 1]
        others = [p for p in free if p.ndim <= 1]  # biases and norms
        self.optimizer = torch.optim.AdamW([
            {"params": weights, "weight_decay": request.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ], fused=True)
        self.losses: list[float] = []  # one a step

    @property
    def step(self) -> int:
        return len(self.losses)

    def learn(self, rows: np.ndarray, rate: float) -> float:
        """One step of AdamW on a batch of training rows; returns its loss."""
        loss, _ = self._forward([self.train_rows[i] for i in rows])
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(f"learning_rate: at step {self.step + 1} the loss is {value}; "
                             "choose a smaller rate and a new folder")
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(value)
        return value

    @torch.inference_mode()
    def score(self, watch: Callable[[], None]) -> tuple[float, dict[str, float]]:
        """Mean loss and the task's metrics on dev; watch is called before every batch."""
        self.model.eval()
        predicted, total = np.empty(len(self.dev_rows)), 0.0
        by_length = np.argsort([len(row["input_ids"]) for row in self.dev_rows])
        for rows in np.split(by_length, range(64, len(by_length), 64)):
            watch()
            loss, logits = self._forward([self.dev_rows[i] for i in rows])
            answer = logits[:, 0] if self.data.task.regression else logits.argmax(1)
            predicted[rows] = answer.float().cpu()
            total += loss.item() * len(rows)
        self.model.train()
        return total / len(predicted), scores(self.data.task, self.data.dev.targets, predicted)

    def _forward(self, rows: list[dict]) -> tuple[Tensor, Tensor]:
        """Mean loss, and logits (rows, labels) or scores (rows, 1); on a GPU training is in bfloat16, scores are not.

        Scores would be rounded to 3 digits, and of a run that has learnt little all the same.
        """
        batch = {name: values.to(self.device) for name, values in self.collate(rows).items()}
        half = self.device.type == "cuda" and self.model.training
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            out = self.model(**batch)
        return out.loss, out.logits

    def save_checkpoint(self, folder: Path) -> None:
        """In transformers' form, with the base's tokenizer as it was: ours has this run's truncation set."""
        with quiet():
            self.model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(self.base.folder).save_pretrained(folder)

    def save(self, path: Path) -> None:
        """All that the next step depends on; the order of the rows follows from seed and step."""
        state = {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "losses": self.losses,
            "rng": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state()
        with into_place(path) as temporary, _plain_errors(), temporary.open("wb") as file:
            torch.save(state, file)

    def restore(self, path: Path) -> None:
        """Stand where save() was called."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:  # it may have been begun without a GPU
            torch.cuda.set_rng_state(state["cuda_rng"])


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What torch and safetensors make of a disk that refuses, as the OSError that it was."""
    try:
        yield
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _load(base: Checkpoint, data: TaskData, seed: int, device: torch.device
          ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base in float32 with a new head, which seed draws, and dropout's seed set; and a tokenizer that can pad."""
    encoder, tokenizer = load(base)  # refuses weights that do not fill it; below, others would be made up
    torch.manual_seed(seed)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # as GPT-2 has none; it is masked
    names = data.labels or ("score",)
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(
            base.folder, dtype=torch.float32, num_labels=len(names), id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)}, pad_token_id=tokenizer.pad_token_id,
            problem_type="regression" if data.task.regression else "single_label_classification",
            ignore_mismatched_sizes=True,  # a head for another number of labels makes room for a new one
        )
    if base.seed is not None:
        drawn, own = encoder.state_dict(), set(model.base_model.state_dict())
        if not own <= set(drawn):
            raise InputError(f"model {base.name}: {base.model_type} with random weights cannot be fine-tuned; "
                             "takes its pre-trained weights")
        model.base_model.load_state_dict({name: drawn[name] for name in own})
    return model.to(device).train(), tokenizer


def _encode(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[dict]:
    """Sub-words of each row with its label, as the model takes them."""
    columns = [list(column) for column in zip(*examples.texts, strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length)
    return [
        {name: values[i] for name, values in encoded.items()} | {"label": target}
        for i, target in enumerate(examples.targets.tolist())
    ]
