"""From page to page: the address of the next, with the study that is open."""
from typing import NoReturn

import streamlit as st
from streamlit.navigation.page import Page

KEPT = ("study", "tour", "split")  # what the next page takes over


def go(page: str, **changes: object) -> NoReturn:
    """Open the page of that name; changes are parameters of its address, None takes one out."""
    st.switch_page(_page(page), query_params=address(**changes))


def link(label: str, page: str, icon: str, **changes: object) -> None:
    """A link that does the same."""
    st.page_link(_page(page), label=label, icon=icon, query_params=address(**changes))


def address(**changes: object) -> dict[str, str]:
    """The parameters of the next page's address."""
    kept = {name: st.query_params[name] for name in KEPT if name in st.query_params}
    return {name: str(value) for name, value in (kept | changes).items() if value is not None}


def remember(pages: dict[str, Page]) -> dict[str, Page]:
    """Let links find the pages by their names; the default page's address has none."""
    st.session_state["pages"] = pages
    return pages


def _page(name: str) -> Page:
    return st.session_state["pages"][name]
