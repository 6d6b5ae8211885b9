"""Rebuild the starter's models: python -m explorer.starter.build [--smoke]."""
import argparse
import datetime
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from transformers.utils import logging

from explorer.models import STARTER
from explorer.starter.build.card import describe
from explorer.starter.build.families import FAMILIES
from explorer.starter.build.pretrain import Settings, pretrain
from explorer.starter.build.text import Text

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
SMOKE = Settings(
    tokens=40_000, vocabulary=2000, vocabulary_lines=500, valid_batches=2, valid_every=10_000, warm_up=10)
SLIVER = 500  # lines of text


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    logging.disable_progress_bar()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            _build(arguments, SMOKE, SLIVER, Path(folder), arguments.out or Path(folder) / "models")
    else:
        until = arguments.until.timestamp() if arguments.until else math.inf
        _build(arguments, replace(Settings(tokens=arguments.tokens), until=until), None, arguments.work,
               arguments.out or STARTER)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m explorer.starter.build", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--smoke", action="store_true", help="all of it on a sliver of text, in under a minute")
    parser.add_argument("--text", type=Path, default=DATA / "wiki_en",
                        help="folder of *.train.*.txt.xz and *.valid.txt.xz; without one, the starter treebank's words")
    parser.add_argument("--ewt", type=Path, default=DATA / "ud_ewt",
                        help="folder of UD English EWT, to probe the models on; without one, the starter treebank")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "starter", help="what a run goes on from")
    parser.add_argument("--out", type=Path, help="folder for the models; default: where the explorer finds them")
    parser.add_argument("--tokens", type=int, default=Settings.tokens, help="sub-words to train each model on")
    parser.add_argument("--until", type=datetime.datetime.fromisoformat,
                        help="stop then, to go on another time: 2030-01-31T18:00+00:00")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"no family {', '.join(sorted(unknown))}; takes {', '.join(FAMILIES)}")
    return arguments


def _build(arguments: argparse.Namespace, settings: Settings, limit: int | None, work: Path, out: Path) -> None:
    """Pre-train and probe the families one after another."""
    text = Text(arguments.text if arguments.text.is_dir() else None, limit)
    for name in arguments.families or FAMILIES:
        family = FAMILIES[name]
        pretrain(family, text, settings, work / family.name, out / family.name, _tell)
        describe(out / family.name, arguments.ewt if arguments.ewt.is_dir() else None)


def _tell(done: int, total: int, what: str) -> None:
    print(f"{done:,} of {total:,} sub-words: {what}", flush=True)


if __name__ == "__main__":
    main()
