"""From page to page: the address of the next, with the study that is open."""
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import streamlit as st
from streamlit.navigation.page import Page
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.charts.theme import PICKED

KEPT = ("study", "job", "tour", "split")  # what the next page takes over


def go(page: str, **changes: object) -> NoReturn:
    """Open the page of that name; changes are parameters of its address, None takes one out."""
    st.switch_page(_page(page), query_params=address(**changes))


def link(label: str, page: str, icon: str, **changes: object) -> None:
    """A link that does the same."""
    st.page_link(_page(page), label=label, icon=icon, query_params=address(**changes))


def by_click(spec: dict, key: str) -> None:
    """A chart whose marks are charts.theme.clickable: a click on a neuron opens its card."""
    state: Any = st.vega_lite_chart(spec=spec, key=key, on_select="rerun", selection_mode=PICKED)
    if picked := state.selection[PICKED]:
        go("neuron", neuron=picked[0]["neuron"])


def address(**changes: object) -> dict[str, str]:
    """The parameters of the next page's address."""
    kept = {name: st.query_params[name] for name in KEPT if name in st.query_params}
    return {name: str(value) for name, value in (kept | changes).items() if value is not None}


def after_back() -> None:
    """After the browser's Back, take the whole address: Streamlit drops what sliders of both pages bind."""
    context = get_script_run_ctx()
    if context is None or not context.is_history_navigation:
        return
    with context.session_state.query_params() as known:
        known.populate_from_query_string(context.query_string)
        known.set_initial_query_params_from_current()
    st.query_params.update(st.query_params.to_dict())  # which tells the browser


def menu(groups: Mapping[str, Sequence[Page]]) -> None:
    """Links to all pages, under headings, that take the study along, and the job whose end is to be told.

    Streamlit's own navigation draws all its links anew at each message from the server.
    """
    kept = {name: value for name, value in st.query_params.items() if name in ("study", "job")}
    with st.sidebar.container(key="menu", gap=None):
        for title, pages in groups.items():
            st.caption(title)
            for page in pages:
                st.page_link(page, query_params=kept, width="stretch")


def remember(pages: dict[str, Page]) -> dict[str, Page]:
    """Register the pages by name: the default page's own path is empty, so an address does not tell it."""
    st.session_state["pages"] = pages
    return pages


def _page(name: str) -> Page:
    return st.session_state["pages"][name]
