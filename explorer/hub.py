"""Download of a checkpoint's files from the Hugging Face Hub, by the hub's own client and into its own cache."""
from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from explorer.files import explained
from explorer.specs import InputError, Progress

CONFIG = "config.json"
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
BIN = ("pytorch_model.bin", "pytorch_model.bin.index.json")
SHARDS = {SAFETENSORS: "model-*-of-*.safetensors", BIN: "pytorch_model-*-of-*.bin"}
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model",
                "sentencepiece.bpe.model", "tokenizer.model")
TOKENIZER = (*VOCABULARIES, "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json")


def download(name: str, on_progress: Progress) -> Path:
    """The folder of a hub id with optional @revision: config, tokenizer and one form of the weights.

    What the hub's cache has is not fetched again, and is all there is without a network or with HF_HUB_OFFLINE=1.
    Raises InputError for an unknown, private or gated id, an unknown revision, and a download that fails.
    """
    from huggingface_hub import snapshot_download

    repo, _, revision = name.partition("@")
    fetch = functools.partial(snapshot_download, repo, tqdm_class=_progress_bar(name, on_progress))
    on_progress(0, 1, f"looking for {name}")
    with _explained(name):
        folder = _fetch(fetch, revision or None, [CONFIG, *TOKENIZER, *SAFETENSORS, SHARDS[SAFETENSORS]])
        if not any((folder / file).exists() for file in SAFETENSORS):
            folder = _fetch(fetch, folder.name, [*BIN, SHARDS[BIN]])
    return folder


def _fetch(snapshot_download: Any, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub.errors import IncompleteSnapshotError

    try:
        return Path(snapshot_download(revision=revision, allow_patterns=patterns))
    except IncompleteSnapshotError as error:  # without a network, and a part of the files may do
        return Path(error.snapshot_path)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into InputError."""
    import httpx2
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    try:
        with explained(Path(constants.HF_HUB_CACHE)):
            yield
    except errors.GatedRepoError as error:
        raise InputError(f"model {name}: access is restricted; ask for it at {hub}/{name.partition('@')[0]}, then "
                         "log in by 'hf auth login'") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"model {name}: {hub} has the model, but no such revision; takes a branch, tag or commit "
                         "after the @") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(f"model {name}: there is no such folder, starter model or public model on {hub}; if it "
                         "is private, log in by 'hf auth login'") from error
    except errors.HFValidationError as error:
        raise InputError(f"model {name!r}: there is no such folder, and it is no hub id; takes a folder, a starter "
                         "name or a hub id such as google-bert/bert-base-cased, with @revision or not") from error
    except errors.LocalEntryNotFoundError as error:
        reason = "HF_HUB_OFFLINE=1" if constants.HF_HUB_OFFLINE else f"{hub} cannot be reached ({_first_line(error)})"
        raise InputError(f"model {name}: it is neither a folder nor in the hub's cache "
                         f"({constants.HF_HUB_CACHE}), and {reason}; takes a folder, or a network") from error
    except (httpx2.HTTPError, OSError) as error:
        raise InputError(f"model {name}: the download from {hub} failed ({_first_line(error)}); try again, it goes "
                         "on where it stopped") from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().partition("\n")[0]


def _progress_bar(name: str, on_progress: Progress) -> type:
    """A class of progress bars that draw nothing and report the bytes of all files together."""
    from tqdm.std import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no thread of its own
        furthest = 0  # the hub's client keeps two counts of bytes: of those received and of those written

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"file": io.StringIO()})

        def display(self, *_: Any, **__: Any) -> None:
            if self.unit == "B" and self.total and self.n > Bar.furthest:
                Bar.furthest = self.n
                on_progress(int(self.n), int(self.total), f"downloading {name}")

    Bar.set_lock(threading.RLock())  # tqdm's own is shared between processes, and starts one
    return Bar
