"""Rebuild the starter's models and studies: python -m explorer.starter.build [--smoke] [--only studies]."""
import argparse
import datetime
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.utils import logging

from explorer.corpus import CorpusRequest
from explorer.models import STARTER
from explorer.starter.build.card import describe
from explorer.starter.build.families import FAMILIES
from explorer.starter.build.pretrain import BLOCK, Settings, pretrain
from explorer.starter.build.results import compute
from explorer.starter.build.text import Text
from explorer.starter.build.tune import GLUE, SLIVER, Tuning, tune
from explorer.starter.studies import DEV, TEST, TRAIN, requests
from explorer.study import StudyRequest

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
STAGES = ("pretraining", "finetuning", "studies")
SMOKE = Settings(
    tokens=40_000, vocabulary=2000, vocabulary_lines=500, valid_batches=2, valid_every=10_000, warm_up=10)
LINES, SENTENCES = 500, 20  # of text, and of the treebank's splits, in a smoke run


@dataclass(frozen=True)
class Build:
    """One build: where it works, where it puts the models and the studies, and how much it does."""

    families: tuple[str, ...]
    stages: tuple[str, ...]
    settings: Settings
    tunings: tuple[Tuning, ...]
    text: Text
    glue: Path
    ewt: Path | None
    work: Path
    models: Path
    cache: Path
    smoke: bool

    def run(self) -> None:
        """The stages one after another; each goes on where it was stopped."""
        for name in self.families:
            family = FAMILIES[name]
            if "pretraining" in self.stages:
                pretrain(family, self.text, self.settings, self.work / family.name, self.models / family.name, _tell)
                describe(self.models / family.name, self.ewt)
        for name in self.families if "finetuning" in self.stages else ():
            for tuning in self.tunings:
                run = f"{FAMILIES[name].name}-{tuning.name}"
                print(tune(self.models / FAMILIES[name].name, tuning, self.glue, self.work / run, self.models / run,
                           must_learn=not self.smoke, on_progress=_Every(50)), flush=True)
        if "studies" in self.stages:
            compute(self._requests(), self.work / "cache", self.cache, _Every(100))

    def _requests(self) -> Sequence[StudyRequest]:
        """The families' studies; of a smoke run one for each, on a sliver of the treebank."""
        if not self.smoke:
            names = {FAMILIES[name].name for name in self.families}
            return [request for request in requests() if request.base in names]
        corpus = CorpusRequest(TRAIN, DEV, TEST, "upos", limit=SENTENCES)
        models = [(self.models / FAMILIES[name].name) for name in self.families]
        return [StudyRequest(str(model), tuple(str(path) for path in self.models.glob(f"{model.name}-*/checkpoint-*")),
                             corpus, k=(8,)) for model in models]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        _build(arguments, Path(folder)).run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m explorer.starter.build", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--smoke", action="store_true", help="all of it on a sliver of text, in about a minute")
    parser.add_argument("--only", choices=STAGES, help="one of the stages, on what is there of those before it")
    parser.add_argument("--text", type=Path, default=DATA / "wiki_en",
                        help="folder of *.train.*.txt.xz and *.valid.txt.xz; without one, the starter treebank's words")
    parser.add_argument("--glue", type=Path, default=DATA / "glue", help="folder of the GLUE tasks")
    parser.add_argument("--ewt", type=Path, default=DATA / "ud_ewt",
                        help="folder of UD English EWT, to probe the models on; without one, the starter treebank")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "starter", help="what a build goes on from")
    parser.add_argument("--out", type=Path, help="folder for the models; default: where the explorer finds them")
    parser.add_argument("--tokens", type=int, default=Settings.tokens, help="sub-words to train each model on")
    parser.add_argument("--batch", type=int, default=Settings.batch,
                        help=f"blocks of {BLOCK} sub-words a step; a GPU is busier with more")
    parser.add_argument("--until", type=datetime.datetime.fromisoformat,
                        help="end pre-training then, to go on another time: 2030-01-31T18:00+00:00")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"no family {', '.join(sorted(unknown))}; takes {', '.join(FAMILIES)}")
    return arguments


def _build(arguments: argparse.Namespace, room: Path) -> Build:
    """What the arguments ask for; a smoke run keeps to `room`."""
    smoke = arguments.smoke
    until = arguments.until.timestamp() if arguments.until else math.inf
    return Build(
        families=tuple(arguments.families or FAMILIES), stages=(arguments.only,) if arguments.only else STAGES,
        settings=SMOKE if smoke else Settings(tokens=arguments.tokens, batch=arguments.batch, until=until),
        tunings=SLIVER if smoke else GLUE,
        text=Text(arguments.text if arguments.text.is_dir() else None, LINES if smoke else None),
        glue=arguments.glue, ewt=arguments.ewt if arguments.ewt.is_dir() else None,
        work=room if smoke else arguments.work,
        models=arguments.out or (room / "models" if smoke else STARTER),
        cache=room / "results" if smoke else ROOT / "cache", smoke=smoke)


def _tell(done: int, total: int, what: str) -> None:
    print(f"{done:,} of {total:,} sub-words: {what}", flush=True)


class _Every:
    """Tells progress each time that so many steps are done."""

    def __init__(self, steps: int) -> None:
        self.steps, self.told = steps, -1

    def __call__(self, done: int, total: int, what: str) -> None:
        if done // self.steps != self.told:
            self.told = done // self.steps
            print(f"{done:,} of {total:,}: {what}", flush=True)


if __name__ == "__main__":
    main()
