"""Widgets whose value is in the address.

The address is the truth: a widget takes its value from there and writes it back, so links, clicks that open a page, and
the browser's Back all work. bind="query-params" would do for a single page, but forbids others to set what it binds.
"""
from collections.abc import Sequence
from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T")


def one_of(name: str, options: Sequence[T], default: T) -> dict[str, Any]:
    """Arguments of a widget that chooses one of the options, as the parameter says; what is none of them is ignored."""
    found = {str(option): option for option in options}.get(st.query_params.get(name, ""), default)
    return _arguments(name, found, default)


def some_of(name: str, options: Sequence[str]) -> dict[str, Any]:
    """Arguments of a widget that chooses several of the options, none at first; likewise."""
    asked = st.query_params.get(name, "").split(",")
    return _arguments(name, [option for option in options if option in asked], [])


def text(name: str, default: str = "") -> dict[str, Any]:
    """Arguments of a text field."""
    return _arguments(name, st.query_params.get(name, default), "")


def yes(name: str) -> dict[str, Any]:
    """Arguments of a toggle."""
    return _arguments(name, st.query_params.get(name) == "true", False)


def put(name: str, value: object) -> None:
    """Set a parameter, or take it out where the value is None."""
    if value is None:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = "true" if value is True else ",".join(value) if isinstance(value, list) else str(value)


def _arguments(name: str, value: object, default: object) -> dict[str, Any]:
    key = f"address {name}"
    st.session_state[key] = value
    return {"key": key, "on_change": _write, "args": (name, default)}


def _write(name: str, default: object) -> None:
    value = st.session_state[f"address {name}"]
    put(name, None if value in (None, default) else value)
