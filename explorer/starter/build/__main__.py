"""Rebuild the starter's models: python -m explorer.starter.build [--smoke]."""
import argparse
import datetime
import math
from dataclasses import replace
from pathlib import Path

import torch

from explorer.models import STARTER
from explorer.starter.build.families import FAMILIES
from explorer.starter.build.pretrain import Settings, pretrain
from explorer.starter.build.text import Text

TEXT = Path(__file__).resolve().parents[4] / "shared" / "data" / "wiki_en"
SMOKE = Settings(
    tokens=60_000, vocabulary=2000, vocabulary_lines=500, valid_batches=2, valid_every=20_000, warm_up=10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m explorer.starter.build", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--smoke", action="store_true", help="all of it on a sliver of text, in a minute")
    parser.add_argument("--text", type=Path, default=TEXT, help="folder of *.train.*.txt.xz and *.valid.txt.xz")
    parser.add_argument("--out", type=Path, default=STARTER, help="folder for the models")
    parser.add_argument("--work", type=Path, required=True, help="folder for what an interrupted run goes on from")
    parser.add_argument("--tokens", type=int, default=Settings.tokens, help="sub-words to train each model on")
    parser.add_argument("--until", type=datetime.datetime.fromisoformat, help="stop then: 2030-01-31T18:00+00:00")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = replace(
        SMOKE if arguments.smoke else Settings(tokens=arguments.tokens),
        until=arguments.until.timestamp() if arguments.until else math.inf)
    folder = arguments.text if arguments.text.is_dir() else None
    text = Text(folder, 500 if arguments.smoke else None)
    for name in arguments.families or FAMILIES:
        family = FAMILIES[name]
        pretrain(family, text, settings, arguments.work / family.name, arguments.out / family.name,
                 lambda done, total, what: print(f"{done:,} of {total:,}: {what}", flush=True))


if __name__ == "__main__":
    main()
