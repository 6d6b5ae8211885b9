"""Word-level activations on disk: one safetensors file per layer, read by memory map, written in any order."""
import errno
import json
import math
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from explorer.files import BLANK_SEAL, explained, identity, remove, sealed, sha256, write
from explorer.specs import ActivationSpec, InputError

KEPT, DROPPED, CUT = 0, 1, 2
"""Fates of a word: it has a row; the tokenizer made nothing of it; it lies beyond the model's maximum."""

MANIFEST, WORDS, PROGRESS = "manifest.json", "words.safetensors", "progress.json"
UNFINISHED = ".partial"
RECORD_EVERY = 2.0  # seconds of work that a killed job loses at most; recording waits for the disk
SAFETENSORS_NAMES = {"float16": "F16", "float32": "F32"}


@dataclass(frozen=True)
class Activations:
    """Word-level activations of one checkpoint on one split, as they lie in the store."""

    spec: ActivationSpec
    folder: Path
    what: str
    fate: np.ndarray = field(repr=False)  # (words,) KEPT, DROPPED or CUT
    n_layers: int  # the embedding output is layer 0
    width: int

    @property
    def kept(self) -> np.ndarray:
        """(words,) bool: False where the model gave the word no activation; its row is zero."""
        return self.fate == KEPT

    def layer(self, index: int) -> np.ndarray:
        """One layer: a read-only memory map (words, neurons) of spec.dtype.

        Raises InputError for a layer that the model does not have, and where the entry was removed meanwhile.
        """
        if not 0 <= index < self.n_layers:
            raise InputError(f"layer {index}: the layers of {self.what} are 0 to {self.n_layers - 1}")
        path, shape = self.folder / _layer_file(index), (len(self.fate), self.width)
        try:
            return np.memmap(path, self.spec.dtype, "r", len(_header(self.spec.dtype, shape)), shape)
        except FileNotFoundError:
            raise InputError(f"{path}: removed from the cache while in use; run it again") from None


class Writer:
    """Activations on their way into the store: files of their final size in <key>.partial, filled in any order.

    A context manager. `done` counts the steps of the plan whose rows are written; a kill loses only those after the
    last that was recorded. No memory maps: their dirty pages would count as the process's memory.
    """

    def __init__(self, target: Path, spec: ActivationSpec, shape: tuple[int, int, int], plan: str) -> None:
        self.target, self.spec, self.shape, self.plan = target, spec, shape, plan
        self.folder = target.with_suffix(UNFINISHED)
        self.done = 0

    def __enter__(self) -> "Writer":
        layers, words, width = self.shape
        header = _header(self.spec.dtype, (words, width))
        self._first_row, self._row = len(header), width * np.dtype(self.spec.dtype).itemsize
        size = self._first_row + words * self._row
        self._paths = [self.folder / _layer_file(layer) for layer in range(layers)]
        with explained(self.folder, layers * size), ExitStack() as files:
            self.done = self._left_by_a_killed_job(size)
            if not self.done:
                self._begin(header, size)
            self._check_space(size)
            self._files = [files.enter_context(path.open("r+b", buffering=0)) for path in self._paths]
            self._opened = files.pop_all()
        self._recorded = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def write(self, first: int, rows: np.ndarray) -> None:
        """Put rows (layers, words, neurons) of spec.dtype, words contiguous, at the words from `first` on."""
        with explained(self.folder):
            for file, layer in zip(self._files, rows, strict=True):
                left, at = memoryview(layer).cast("B"), self._first_row + first * self._row
                while left:  # a disk that fills up takes a part, and complains at the next
                    written = os.pwrite(file.fileno(), left, at)
                    left, at = left[written:], at + written

    def record(self, done: int) -> None:
        """Note that so many steps of the plan are written; it goes to disk every couple of seconds."""
        self.done = done
        if time.monotonic() - self._recorded > RECORD_EVERY:
            with explained(self.folder):
                self._sync()
                write(self.folder / PROGRESS, json.dumps({"plan": self.plan, "done": done}).encode())
            self._recorded = time.monotonic()

    def finish(self, fate: np.ndarray, what: str) -> None:
        """Move the entry into place. fate: (words,) uint8, KEPT, DROPPED or CUT; what: the entry in words."""
        with explained(self.folder), ThreadPoolExecutor() as threads:
            self._sync()
            write(self.folder / WORDS, save({"fate": fate}))
            paths = [*self._paths, self.folder / WORDS]
            manifest = {
                "what": what, "spec": self.spec.as_dict(), "layers": self.shape[0], "width": self.shape[2],
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "noted": {path.name: _noted(path) for path in paths},
                "files": {path.name: [path.stat().st_size, found]
                          for path, found in zip(paths, threads.map(sha256, paths), strict=True)},
                "seal": BLANK_SEAL,
            }
            write(self.folder / MANIFEST, sealed(json.dumps(manifest, indent=1).encode()))
            if self.target.exists():  # and is damaged, or nobody would have written another
                remove(self.target)
            self.folder.rename(self.target)
            (self.target / PROGRESS).unlink(missing_ok=True)

    def _left_by_a_killed_job(self, size: int) -> int:
        """Steps that need not be done again."""
        try:
            progress = json.loads((self.folder / PROGRESS).read_bytes())
            whole = all(path.stat().st_size == size for path in self._paths)
        except FileNotFoundError:
            return 0
        return progress["done"] if whole and progress["plan"] == self.plan else 0

    def _begin(self, header: bytes, size: int) -> None:
        if self.folder.exists():
            remove(self.folder)
        self.folder.mkdir(parents=True)
        for path in self._paths:
            path.write_bytes(header)
            os.truncate(path, size)

    def _check_space(self, size: int) -> None:
        """Better to learn it now than after an hour's work."""
        taken = sum(path.stat().st_blocks * 512 for path in self._paths)
        if len(self._paths) * size - taken > shutil.disk_usage(self.folder).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _sync(self) -> None:
        for file in self._files:
            os.fsync(file.fileno())


def _noted(path: Path) -> list[int]:
    """A file's identity, its time of change set to the nanosecond: the clock of files ticks in milliseconds, and a
    change in the same tick would not show."""
    os.utime(path, ns=(time.time_ns(),) * 2)
    return identity(path)


def _layer_file(layer: int) -> str:
    return f"layer_{layer:02}.safetensors"


def _header(dtype: str, shape: tuple[int, int]) -> bytes:
    """What precedes the rows in a safetensors file of one tensor, padded so that they are aligned in memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    entry = {"dtype": SAFETENSORS_NAMES[dtype], "shape": shape, "data_offsets": [0, size]}
    text = json.dumps({"activations": entry}).encode()
    text += b" " * (-(len(text) + 8) % 64)
    return len(text).to_bytes(8, "little") + text
