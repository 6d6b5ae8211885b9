"""Pre-training from scratch, in a plain loop that goes on where it was stopped."""
import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from explorer.files import write
from explorer.specs import Progress, silent
from explorer.starter.build.families import LONGEST, Family
from explorer.starter.build.objectives import Masked, Permuted
from explorer.starter.build.text import Text, encoded

BLOCK = LONGEST - 4  # sub-words of text drawn at once: one long window, or two short ones
LONG_EVERY = 8  # every so many steps the windows are long, so that late positions are learnt too
DROPOUT = 0.1  # of the model that ships, for fine-tuning; none while pre-training
VALID_SEED = 1
RECORD = "pretraining.json"


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside text and family."""

    tokens: int = 60_000_000  # sub-words of text to train on
    vocabulary: int = 8000
    vocabulary_lines: int = 40_000  # of text, from which the vocabulary is learnt
    batch: int = 16  # blocks a step, 2,000 sub-words: many small steps leave the plateau soonest
    warm_up: int = 200  # steps
    hold: int = 1000  # steps until the learning rate falls with their square root; held, BERT diverged at step 4,600
    cool_down: float = 0.53  # share of the tokens, the last, over which it falls to a twentieth beside
    epsilon: float = 1e-6  # of AdamW
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    valid_batches: int = 16
    valid_every: int = 500_000  # sub-words
    save_every: float = 120.0  # seconds that a kill may cost
    until: float = math.inf  # time at which to stop with what there is, seconds since the epoch


def pretrain(
    family: Family, text: Text, settings: Settings, work: Path, out: Path, on_progress: Progress = silent,
) -> None:
    """Train a family's tokenizer and model on text, or go on from the state in `work`; the model goes to `out`.

    The same settings, text and tokenizer give the same weights on the same processor, stopped on the way or not; of
    sub-words that are equally good the tokenizers library puts now one, now another into a vocabulary. A GPU is used
    where there is one, and adds up in no fixed order. Raises InputError for missing text.
    """
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(family, text, settings, work)
    training = Training(family, text, settings, work, tokenizer)
    training.restore()
    training.run(out, on_progress)


class Training:
    """Model, optimizer and the curve so far."""

    def __init__(
        self, family: Family, text: Text, settings: Settings, work: Path, tokenizer: PreTrainedTokenizerFast,
    ) -> None:
        self.family, self.text, self.settings, self.work, self.tokenizer = family, text, settings, work, tokenizer
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(settings.seed)
        self.model = family.model(tokenizer).train().to(self.device)
        self.objective = (Permuted if family.permuted else Masked)(tokenizer)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98), eps=settings.epsilon, fused=True)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.curve: list[dict[str, float]] = []
        self.files: list[str] = []  # that the run has come to

    def run(self, out: Path, on_progress: Progress) -> None:
        """Train until the tokens or the time are spent; save on the way and at the end."""
        settings = self.settings
        blocks = self._blocks()
        valid = self._valid()
        if not self.curve:
            self._measure(valid)
        saved = began = time.monotonic()
        before = self.seconds
        while self.tokens < settings.tokens and time.time() < settings.until:
            self._learn(next(blocks))
            self.seconds = before + time.monotonic() - began
            if self.tokens // settings.valid_every > self.curve[-1]["tokens"] // settings.valid_every:
                self._measure(valid)
                on_progress(self.tokens, settings.tokens, f"{self.family.name}: loss {self.curve[-1]['loss']:.3f}, "
                            f"{self.tokens / self.seconds:,.0f} sub-words a second")
            if time.monotonic() - saved > settings.save_every:
                self.save(out)
                saved = time.monotonic()
        if self.curve[-1]["tokens"] < self.tokens:
            self._measure(valid)
        self.save(out)
        on_progress(self.tokens, settings.tokens, f"{self.family.name}: loss {self.curve[-1]['loss']:.3f}")

    def _learn(self, block: np.ndarray) -> None:
        """One step on a block (batch, BLOCK) of sub-words."""
        settings = self.settings
        rate = self.family.learning_rate * _share_of_rate(self.step, self.tokens, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        pieces = block if self.step % LONG_EVERY == 0 else block.reshape(-1, BLOCK // 2)
        rng = np.random.default_rng([settings.seed, self.step])
        loss = self._loss(self.objective.batch(pieces, rng))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimizer.step()
        self.step += 1
        self.tokens += block.size

    def _loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return self.objective.loss(self.model, tuple(part.to(self.device) for part in batch))

    def _blocks(self) -> Iterator[np.ndarray]:
        """Batches (batch, BLOCK) from where the run stands: file after file, shuffled in each, again and again."""
        skip, epoch, batch = self.step, 0, self.settings.batch
        while True:
            for number, path in enumerate(self.text.train):
                self.files += [path.name] if path.name not in self.files else []
                blocks = self._encoded(path)
                blocks = blocks[:len(blocks) // BLOCK * BLOCK].reshape(-1, BLOCK)
                order = np.random.default_rng([self.settings.seed, epoch, number]).permutation(len(blocks))
                steps = math.ceil(len(order) / batch)
                for i in range(min(skip, steps), steps):
                    yield blocks[np.sort(order[i * batch:(i + 1) * batch])]
                skip -= min(skip, steps)
            epoch += 1

    def _valid(self) -> list[tuple[torch.Tensor, ...]]:
        """Batches of held-out text, the same every time."""
        rng = np.random.default_rng(VALID_SEED)
        pieces = self._encoded(self.text.valid)
        half = BLOCK // 2
        windows = pieces[:len(pieces) // half * half].reshape(-1, half)
        size = min(64, len(windows))
        return [self.objective.batch(windows[rng.choice(len(windows), size, replace=False)], rng)
                for _ in range(self.settings.valid_batches)]

    def _encoded(self, path: Path) -> np.ndarray:
        return encoded(self.text, path, self.tokenizer.backend_tokenizer, self.tokenizer.sep_token_id,
                       self.work / "text")

    def _measure(self, valid: list[tuple[torch.Tensor, ...]]) -> None:
        self.model.eval()
        with torch.inference_mode():
            losses = [self._loss(batch).item() for batch in valid]
        self.model.train()
        loss = round(float(np.mean(losses)), 4)
        self.curve.append({"tokens": self.tokens, "seconds": round(self.seconds), "loss": loss})

    def save(self, out: Path) -> None:
        """Keep the state in the work folder, at once or not at all, and put the model in `out`."""
        temporary = self.work / "state.tmp"
        torch.save({
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step,
            "tokens": self.tokens, "seconds": self.seconds, "curve": self.curve, "files": self.files,
        }, temporary)
        temporary.replace(self.work / "state.pt")
        export(self.model, self.tokenizer, out)
        write(out / RECORD, (json.dumps(self._record(), indent=1) + "\n").encode())

    def _record(self) -> dict[str, Any]:
        """What the model card tells of the run."""
        settings = {"learning_rate": self.family.learning_rate} | asdict(self.settings)
        del settings["until"]
        loss = self.curve[-1]["loss"]
        return {
            "family": self.family.name, "settings": settings, "text": self.files,
            "valid": self.text.valid.name, "tokens": self.tokens, "steps": self.step, "seconds": round(self.seconds),
            "hardware": hardware(), "torch": torch.__version__, "loss": loss,
            "perplexity": round(math.exp(loss), 1), "curve": self.curve,
        }

    def restore(self) -> None:
        """Go on from the state in the work folder, if there is one."""
        if (self.work / "state.pt").is_file():
            state = torch.load(self.work / "state.pt", map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
            self.curve, self.files = state["curve"], state["files"]


def hardware() -> str:
    """What models are trained on here, for the cards."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU thread(s)"


def export(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Weights in float16 for AutoModel, which reads them into float32, and the tokenizer."""
    small = copy.deepcopy(model).half()
    small.save_pretrained(out)
    config = copy.deepcopy(model.config)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout"):
        if hasattr(config, name):
            setattr(config, name, DROPOUT)
    config.architectures, config.dtype = [type(model).__name__], torch.float32
    config.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _share_of_rate(step: int, tokens: int, settings: Settings) -> float:
    """Warm-up, a plateau, a fall with the square root of steps (Vaswani et al. 2017), and a straight one at the end."""
    left = (1 - tokens / settings.tokens) / settings.cool_down
    return min(1.0, (step + 1) / settings.warm_up, math.sqrt(settings.hold / (step + 1))) * max(0.05, min(1.0, left))


def _tokenizer(family: Family, text: Text, settings: Settings, work: Path) -> PreTrainedTokenizerFast:
    """The family's tokenizer, learnt once."""
    folder = work / "tokenizer"
    if not (folder / "tokenizer.json").is_file():
        limited = Text(text.folder, settings.vocabulary_lines)
        tokenizer = family.tokenizer(limited.lines(limited.train[0]), settings.vocabulary)
        tokenizer.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)
