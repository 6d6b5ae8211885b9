"""Larger data from the network, where there is one: an English treebank and a GLUE task, each at a fixed revision.

Files are fetched by pooch into root/downloads/<name>/ and put in place once their SHA-256 is right.
"""
from dataclasses import dataclass
from pathlib import Path

from explorer.files import explained
from explorer.specs import InputError, Progress, silent

CHUNK = 1 << 16  # bytes between two reports of progress


@dataclass(frozen=True)
class DownloadRequest:
    """What a job is asked for."""

    name: str  # a key of DOWNLOADS


@dataclass(frozen=True)
class RemoteFile:
    """One file: where it is and what it must be."""

    url: str
    sha256: str
    size: int  # bytes

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Download:
    """A set of files under one licence."""

    name: str
    title: str
    licence: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def folder(self, root: Path) -> Path:
        """Where it lies once it is fetched."""
        return root / "downloads" / self.name

    def present(self, root: Path) -> bool:
        """Whether all files are there; fetch() compares their digests too."""
        paths = [(self.folder(root) / file.name, file.size) for file in self.files]
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)


GITHUB = "https://raw.githubusercontent.com"
EWT = f"{GITHUB}/UniversalDependencies/UD_English-EWT/r2.16/en_ewt-ud"
SST2 = f"{GITHUB}/F0restL1n/BERT/0d0288be08079531c7b3a85af3d532f9adb0f13a/glue_data/SST-2"
DOWNLOADS = {download.name: download for download in (
    Download("ud_ewt", "UD English EWT 2.16: treebank, 204,577 training words", "CC BY-SA 4.0", (
        RemoteFile(f"{EWT}-train.conllu", "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
                   14_203_025),
        RemoteFile(f"{EWT}-dev.conllu", "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
                   1_805_545),
        RemoteFile(f"{EWT}-test.conllu", "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
                   1_804_515),
    )),
    Download("sst2", "GLUE SST-2: sentiment of 67,349 phrases of film reviews", "none stated; for research", (
        RemoteFile(f"{SST2}/train.tsv", "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1", 3_806_081),
        RemoteFile(f"{SST2}/dev.tsv", "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0", 94_931),
    )),
)}


def fetch(download: Download, root: Path, on_progress: Progress = silent) -> Path:
    """Fetch what is not there yet, or not as it should be, and return the folder.

    Raises InputError without a network, when a server refuses, when a digest differs and when the disk is full;
    nothing half-written stays under a file's name.
    """
    folder, before = download.folder(root), 0
    for file in download.files:
        with explained(folder / file.name, file.size):
            _fetch(file, folder, _Bar(before, download.size, f"fetching {file.name}", on_progress))
        before += file.size
    on_progress(download.size, download.size, "done")
    return folder


def _fetch(file: RemoteFile, folder: Path, bar: "_Bar") -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=30)
    try:
        pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, folder, downloader=downloader)
    except requests.HTTPError as error:
        raise InputError(f"{file.url}: the server refused ({error}); fetch it by hand, or try again later") from error
    except requests.RequestException as error:
        raise InputError(f"{file.url}: cannot be reached ({type(error).__name__}); is there a network? "
                         "Everything else works without one") from error
    except ValueError as error:  # pooch's word for a digest that differs
        raise InputError(f"{file.url}: what came is not the file that was published there (its SHA-256 differs); "
                         "nothing was kept") from error


class _Bar:
    """What pooch takes for a progress bar, told as on_progress wants it: bytes of all files."""

    def __init__(self, before: int, size: int, what: str, on_progress: Progress) -> None:
        self.before, self.size, self.what, self.on_progress = before, size, what, on_progress
        self.total = self.done = 0

    def update(self, n: int) -> None:
        self.done = min(self.done + n, self.total)
        self.on_progress(min(self.before + self.done, self.size), self.size, self.what)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass
