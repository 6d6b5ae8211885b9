"""Files that a user asks a command for: refused before the work where they cannot be, written whole or not at all."""
from pathlib import Path

from explorer.files import write
from explorer.specs import InputError


def check(*paths: str | None) -> None:
    """Raises InputError for a path that is a folder or lies in none; None and '-' are no files."""
    for path in paths:
        if path in (None, "-"):
            continue
        place = Path(path).absolute()
        if not place.parent.is_dir():
            raise InputError(f"{path}: there is no folder {place.parent}")
        if place.is_dir():
            raise InputError(f"{path}: is a folder; takes the name of a file")


def save(text: str, path: str) -> None:
    """Write a text; a full disk leaves what was there, and is an InputError."""
    try:
        write(Path(path), text.encode())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
