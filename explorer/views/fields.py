"""Fields of what is asked for, and whether all of it is given and can be used."""
import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from explorer import cached
from explorer.corpus import find
from explorer.files import is_there
from explorer.specs import InputError
from explorer.views.messages import problem

SHOWN = 40  # characters of what is no number


def suggesting(label: str, suggestions: Sequence[str], key: str, placeholder: str, help: str, value: str = "",
               ) -> str:
    """A text field; live.html links the suggestions to it by its key. Returns the text without spaces around it."""
    text = st.text_input(label, value, key=key, placeholder=placeholder, help=help).strip()
    options = "".join(f'<option value="{html.escape(name)}"></option>' for name in suggestions)
    st.html(f'<datalist id="suggestions-{key}" data-field="{key}">{options}</datalist>')
    return text


def number(label: str, default: float | None, key: str, help: str, placeholder: str = "") -> Any:
    """A text field for a number: an int where it is whole, the text where it is none; emptied, it is the default.

    Not Streamlit's number field, which goes on with its last number where a range or a type refuses what is typed: here
    the check of the request tells what it takes.
    """
    usual = "" if default is None else f"{default:g}"
    text = st.text_input(label, usual, key=key, placeholder=placeholder or usual, help=help).strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        return text[:SHOWN]
    return int(value) if value.is_integer() else value


def properties(train: str) -> list[str]:
    """What a training file has labels of; where it cannot be used, a box says why."""
    path = Path(find(train))
    try:
        return cached.offered(train, path.stat().st_mtime_ns if is_there(path) else 0) if train else []
    except InputError as error:
        problem("This file cannot be used", str(error))
        return []


def sibling(train: str, split: str) -> str:
    """The file that lies beside the training file under the other split's name, if there is one."""
    name = PurePath(train).name
    other = str(PurePath(train).with_name(name.replace("train", split))) if "train" in name else ""
    return other if other and is_there(Path(find(other))) else ""


def complete(given: Mapping[str, object]) -> bool:
    """Whether all of this is given, by name; otherwise says what is not."""
    missing = [what for what, value in given.items() if not value]
    if missing:
        st.caption(f"Still to choose: {', '.join(missing)}.")
    return not missing


def usable(title: str, check: Callable[[], None], labels: Mapping[str, str]) -> bool:
    """Whether a check passes; otherwise a box says why, with the page's label for the setting that is to blame."""
    try:
        check()
    except InputError as error:
        name, colon, rest = str(error).partition(":")
        problem(title, labels.get(name, name) + colon + rest)
        return False
    return True
