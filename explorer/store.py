"""The cache: activations as one safetensors file per layer, tables as parquet files, probes as safetensors.

    root/activations/<key>/           layer_00.safetensors ... words.safetensors manifest.json
    root/activations/<key>.partial/   the same, being written, and progress.json
    root/results/<key>.parquet        tables
    root/results/<key>.safetensors    named arrays: the probes of a layer
    root/locks/<key>.lock

A key is the digest of a frozen spec. What is complete is moved into place and never changed afterwards; what was
cut short or altered since does not agree with its SHA-256, is warned about and counts as absent. An entry was last
used when its manifest or its parquet file was last modified.
"""
from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from safetensors.numpy import load as unpack
from safetensors.numpy import load_file
from safetensors.numpy import save as pack

from explorer.activations import MANIFEST, UNFINISHED, WORDS, Activations, Writer
from explorer.files import (
    BLANK_SEAL,
    DOOMED,
    TEMPORARY,
    Damaged,
    explained,
    identity,
    remove,
    sealed,
    sha256,
    unsealed,
    write,
)
from explorer.specs import ActivationSpec, Spec

TABLE, ARRAYS = ".parquet", ".safetensors"
SHIPPED = "shipped"  # in the meta of a table that comes with the explorer: it is neither pruned nor written over
POLL = 0.1  # seconds between two looks at a lock that another job holds
TEMPORARY_AGE = 3600.0  # seconds after which a temporary file is taken for one that a killed job left


@dataclass(frozen=True)
class Entry:
    """A line in the list of what the cache holds."""

    kind: str  # 'activations', 'results', 'shipped' or 'unfinished': of a job that was stopped, or still runs
    key: str
    size: int  # bytes on disk
    used: float  # seconds since the epoch
    what: str
    path: Path


@dataclass(frozen=True)
class Stored:
    """A table, the fields of the spec it was stored under, and its meta."""

    table: pd.DataFrame
    spec: dict
    meta: dict


class Store:
    """The cache in one folder. Reading needs no lock and no right to write."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._verified: dict[Path, list[int]] = {}  # identity of the files whose digest was found right
        self._whole: dict[Path, list[int]] = {}  # size and inode of the results of which the same holds

    @contextmanager
    def lock(self, key: str, while_waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold the lock of an entry, across processes; calls while_waiting as long as another holds it."""
        with explained(self.root):
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            lock = self._lock(key)
            while True:
                try:
                    lock.acquire(timeout=POLL, poll_interval=POLL / 2)
                    break
                except Timeout:
                    while_waiting()
        try:
            yield
        finally:
            lock.release()

    def _lock(self, key: str) -> FileLock:
        return FileLock(self.root / "locks" / f"{key}.lock")

    def activations(self, spec: ActivationSpec) -> Activations | None:
        """What is stored for the spec, or None.

        Files that are not those that the manifest was written beside (of a copied cache, or touched since) are
        compared with their SHA-256 when this object first sees them: an entry that was cut short or altered is warned
        about and counts as absent.
        """
        folder = self.root / "activations" / spec.key()
        if not folder.is_dir():
            return None
        try:
            manifest = json.loads(unsealed(folder / MANIFEST))
            noted = manifest.get("noted", {})
            for name, (size, digest) in manifest["files"].items():
                self._verify(folder / name, size, digest, noted.get(name))
        except (Damaged, FileNotFoundError) as error:
            _warn_damaged(folder, error)
            return None
        _touch(folder / MANIFEST)
        fate = load_file(folder / WORDS)["fate"]
        return Activations(spec, folder, manifest["what"], fate, manifest["layers"], manifest["width"])

    def writer(self, spec: ActivationSpec, shape: tuple[int, int, int], plan: str) -> Writer:
        """Begin, or go on with, the activations of a spec; the caller holds the lock on its key.

        shape is (layers, words, neurons); plan names the steps of the work: what a killed job left is taken
        up only where its plan was the same.
        """
        return Writer(self.root / "activations" / spec.key(), spec, shape, plan)

    def table(self, spec: Spec) -> pd.DataFrame | None:
        """The table stored for the spec, or None; one that was cut short or altered is warned about."""
        found = self.table_by_key(spec.key())
        return None if found is None else found.table

    def table_by_key(self, key: str, rows: list[tuple] | None = None) -> Stored | None:
        """A table with what was stored beside it, or None; a key may come from a link, so any text will do.

        rows, filters as pyarrow takes them, leaves out others, which takes a quarter of the time.
        """
        content = self._read(key, TABLE)
        if content is None:
            return None
        description = _description(pa.BufferReader(content))
        table = pq.read_table(pa.BufferReader(content), filters=rows).to_pandas()
        return Stored(table, description["spec"], description["meta"])

    def version(self, key: str) -> list[int]:
        """What changes when another table takes the place of the key's; empty where there is none."""
        path = self.root / "results" / (key + TABLE)
        return identity(path)[:2] if re.fullmatch("[0-9a-f]{20}", key) and path.is_file() else []

    def arrays(self, spec: Spec) -> tuple[dict[str, np.ndarray], dict] | None:
        """The named arrays stored for the spec and their meta, or None; likewise."""
        content = self._read(spec.key(), ARRAYS)
        return None if content is None else (unpack(content), _header(BytesIO(content))["meta"])

    def has(self, spec: Spec, *endings: str) -> bool:
        """Whether the results of these endings are there for the spec and whole; each is read through but once."""
        return all(self._is_whole(self.root / "results" / (spec.key() + ending)) for ending in endings)

    def put_arrays(self, spec: Spec, arrays: dict[str, np.ndarray], meta: dict) -> None:
        """Store named arrays and JSON-able meta, of which `what` says in words what they are."""
        self._put(spec, ARRAYS, pack(arrays, {"explorer": _describe(spec, meta), "seal": BLANK_SEAL}))

    def tables(self, kind: str) -> list[tuple[str, dict, dict]]:
        """Key, spec and meta of every table whose spec is of the named class; reads their footers alone."""
        found = []
        for path in sorted((self.root / "results").glob(f"*{TABLE}")):
            try:
                description = _description(path)
            except (OSError, ValueError, KeyError) as error:
                _warn_damaged(path, error)
                continue
            if description["kind"] == kind:
                found.append((path.stem, description["spec"], description["meta"]))
        return found

    def put_table(self, spec: Spec, frame: pd.DataFrame, meta: dict | None = None) -> None:
        """Store a table, without its index, and JSON-able meta, of which `what` says in words what it is.

        One that comes with the explorer stays: the same spec, another machine, other rounding.
        """
        there = self.table_by_key(spec.key())
        if there is not None and there.meta.get(SHIPPED):
            return
        table = pa.Table.from_pandas(frame, preserve_index=False)
        buffer = pa.BufferOutputStream()
        fractions = [field.name for field in table.schema if pa.types.is_floating(field.type)]
        with pq.ParquetWriter(buffer, table.schema, compression="zstd", compression_level=19,
                              use_dictionary=[name for name in table.column_names if name not in fractions],
                              use_byte_stream_split=fractions) as parquet:
            parquet.write_table(table)
            parquet.add_key_value_metadata({"explorer": _describe(spec, meta or {}), "seal": BLANK_SEAL})
        self._put(spec, TABLE, buffer.getvalue().to_pybytes())

    def _is_whole(self, path: Path) -> bool:
        try:
            found = identity(path)[:2]  # its time is that of its last use
            if self._whole.get(path) != found:
                unsealed(path)
                self._whole[path] = found
        except FileNotFoundError:
            return False
        except Damaged as error:
            _warn_damaged(path, error)
            return False
        return True

    def _read(self, key: str, ending: str) -> bytes | None:
        path = self.root / "results" / (key + ending)
        if not re.fullmatch("[0-9a-f]{20}", key) or not path.is_file():
            return None
        try:
            content = unsealed(path)
        except Damaged as error:
            self._whole.pop(path, None)
            _warn_damaged(path, error)
            return None
        _touch(path)
        return content

    def _put(self, spec: Spec, ending: str, content: bytes) -> None:
        path = self.root / "results" / (spec.key() + ending)
        with explained(path, len(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, sealed(content))

    def entries(self) -> list[Entry]:
        """What the cache holds, what stopped jobs left included; runs and jobs are no part of it."""
        found = []
        for path in [*(self.root / "activations").glob("*"), *(self.root / "results").glob("*")]:
            with suppress(FileNotFoundError):  # removed while we look
                found.append(_entry(path))
        return found

    def prune(self, max_bytes: int) -> list[Entry]:
        """Remove the least recently used entries until the rest fits, and return them.

        What a job works on stays: entries whose lock is held, and temporary files younger than an hour. So do tables
        that come with the explorer.
        """
        entries = sorted((entry for entry in self.entries() if entry.kind != SHIPPED), key=lambda entry: entry.used)
        total, removed = sum(entry.size for entry in entries), []
        for entry in entries:
            if total > max_bytes and self._remove(entry):
                total -= entry.size
                removed.append(entry)
        return removed

    def _remove(self, entry: Entry) -> bool:
        if entry.path.suffix == TEMPORARY and time.time() - entry.used < TEMPORARY_AGE:
            return False
        lock = self._lock(entry.key)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        try:
            remove(entry.path)
        finally:
            lock.release()
        return True

    def _verify(self, path: Path, size: int, digest: str, noted: list[int] | None) -> None:
        """noted: the file's identity when its digest was taken, which older manifests do not have."""
        found = identity(path)
        if found in (noted, self._verified.get(path)):
            return
        if found[0] != size:
            raise Damaged(f"{path.name} has {found[0]} bytes, {size} were written")
        if sha256(path) != digest:
            raise Damaged(f"{path.name} does not agree with its SHA-256")
        self._verified[path] = found


def default_root() -> Path:
    """The folder that EXPLORER_CACHE names, else cache/ beside the package."""
    named = os.environ.get("EXPLORER_CACHE")
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[1] / "cache"


def _touch(path: Path) -> None:
    with suppress(OSError):  # a cache that may be read but not written is of use too
        os.utime(path)


def _warn_damaged(path: Path, problem: object) -> None:
    warnings.warn(f"{path}: {problem}; it is left aside and computed again when needed", stacklevel=3)


def _describe(spec: Spec, meta: dict) -> str:
    """What is written into a file of results about it."""
    return json.dumps({"kind": type(spec).__name__, "spec": spec.as_dict(), "meta": meta})


def _description(source: object) -> dict:
    """What a table's file says of itself, from its footer."""
    return json.loads(pq.read_metadata(source).metadata[b"explorer"])


def _header(source: Path | BytesIO) -> dict:
    """What a file of arrays says of itself, from its beginning."""
    with source.open("rb") if isinstance(source, Path) else source as file:
        size = int.from_bytes(file.read(8), "little")
        return json.loads(json.loads(file.read(size))["__metadata__"]["explorer"])


def _entry(path: Path) -> Entry:
    """The line of a file in results/ or a folder in activations/; raises FileNotFoundError."""
    files = [path, *path.iterdir()] if path.is_dir() else [path]
    size = sum(file.stat().st_blocks * 512 for file in files)
    key = path.name.partition(".")[0]
    if path.suffix in (UNFINISHED, DOOMED, TEMPORARY):
        used = max(file.stat().st_mtime for file in files)
        return Entry("unfinished", key, size, used, f"{path.name}, of a job that was stopped or still runs", path)
    kind, stamp = ("activations", path / MANIFEST) if path.is_dir() else ("results", path)
    try:
        if path.is_dir():
            what = json.loads(stamp.read_bytes())["what"]
        else:
            description = _description(path) if path.suffix == TABLE else _header(path)
            what = description["meta"].get("what", description["kind"])
            kind = SHIPPED if description["meta"].get(SHIPPED) else kind
    except (OSError, ValueError, KeyError) as error:
        stamp, what = path, f"damaged: {error}"
    return Entry(kind, key, size, stamp.stat().st_mtime, what, path)
