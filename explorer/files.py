"""Files written whole or not at all, that carry their own SHA-256; and what to say of a disk that refuses."""
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.specs import InputError

TEMPORARY, DOOMED = ".tmp", ".removed"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
DIGITS = 64
SEAL = b"explorer.sha256="
BLANK_SEAL = SEAL.decode() + "0" * DIGITS


class Damaged(Exception):
    """A file is not what was written."""


@contextmanager
def explained(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the user can mend, a full or a read-only disk, into InputError; needed: bytes asked for."""
    try:
        yield
    except OSError as error:
        remedy = "set EXPLORER_CACHE to another folder"
        if error.errno in FULL:
            there = next(folder for folder in path.absolute().parents if folder.is_dir())
            free = f"{shutil.disk_usage(there).free / 1e6:,.1f} MB free"
            asked = f"{needed / 1e6:,.1f} MB needed, {free}" if needed else free
            raise InputError(f"{path}: the disk is full ({error.strerror}; {asked}); make room, for instance "
                             f"by 'python -m explorer cache --prune 1GB', or {remedy}") from error
        if error.errno in FORBIDDEN:
            raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error
        raise


def write(path: Path, content: bytes) -> None:
    """Write a file at once or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder; a folder is set aside first, so that a half is never taken for the whole."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_suffix(DOOMED)
    if path != doomed:
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
    shutil.rmtree(doomed)


def sha256(path: Path) -> str:
    """The digest of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> list[int]:
    """Size, inode and time of change: who writes to a file changes them, who renames its folder does not."""
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns]


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; no name is too long or too strange to ask."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """The same of a file or a folder."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def sealed(content: bytes) -> bytes:
    """The content, its last seal, which must be BLANK_SEAL, replaced by the SHA-256 of the whole."""
    at = content.rindex(SEAL) + len(SEAL)
    return content[:at] + hashlib.sha256(content).hexdigest().encode() + content[at + DIGITS:]


def unsealed(path: Path) -> bytes:
    """The bytes of a sealed file; raises Damaged where any of them was altered."""
    content = path.read_bytes()
    at = content.rfind(SEAL) + len(SEAL)
    if at < len(SEAL) or sealed(content[:at] + b"0" * DIGITS + content[at + DIGITS:]) != content:
        raise Damaged(f"{path.name} does not agree with the SHA-256 in it")
    return content
