"""Text to train on: the Wikipedia extract, or the starter treebank's own words, as numbers of sub-words on disk."""
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from explorer.corpus import TREEBANK
from explorer.readers import read
from explorer.specs import InputError
from explorer.starter.studies import DEV, TRAIN

LINES = 2000  # encoded at once


@dataclass(frozen=True)
class Text:
    """Files of training text and one held out, a paragraph a line; or the treebank where there is no folder."""

    folder: Path | None
    limit: int | None = None  # lines of each file at most

    @property
    def train(self) -> list[Path]:
        return self._files("*.train.*", TRAIN)

    @property
    def valid(self) -> Path:
        return self._files("*.valid.*", DEV)[0]

    def lines(self, path: Path) -> Iterator[str]:
        return islice(_lines(path), self.limit)

    def _files(self, pattern: str, ours: str) -> list[Path]:
        if self.folder is None:
            return [TREEBANK / ours]
        if not (found := sorted(self.folder.glob(pattern))):
            raise InputError(f"{self.folder}: has no file {pattern}; takes a folder of *.train.*.txt.xz and "
                             "*.valid.txt.xz, a paragraph a line")
        return found


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".conllu":
        yield from (" ".join(words) for words, _ in read(str(path), "upos", None, None))
        return
    with lzma.open(path, "rt", encoding="utf-8") as file:
        yield from (line.strip() for line in file if line.strip())


def encoded(text: Text, path: Path, tokenizer: Tokenizer, separator: int, cache: Path) -> np.ndarray:
    """Sub-words of a file, (sub-words,) uint16, memory-mapped; `separator` ends every line. Kept in `cache`."""
    kept = cache / f"{path.name}.npy"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        parts, lines = [], text.lines(path)
        while some := list(islice(lines, LINES)):
            for one in tokenizer.encode_batch_fast(some, add_special_tokens=False):
                parts += [np.array([*one.ids, separator], np.uint16)]
        temporary = kept.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.save(file, np.concatenate(parts))
        temporary.replace(kept)
    return np.load(kept, mmap_mode="r")
