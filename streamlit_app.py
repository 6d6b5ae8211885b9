"""The app: streamlit run streamlit_app.py. What stands on every page is in explorer/views/page.py."""
import gc
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Thread

import streamlit as st
from streamlit.cli_util import open_browser
from streamlit.web.server.server_util import get_display_address, get_url


@asynccontextmanager
async def opened(_: st.App) -> AsyncIterator[None]:
    """Opens the browser, which Streamlit leaves to an st.App, and imports the pages in the background."""
    Thread(target=import_page).start()
    if not st.get_option("server.headless"):
        open_browser(get_url(get_display_address(st.get_option("server.address") or "localhost")))
    yield


def import_page() -> None:
    """Most of a second's work, which the first visit need not wait for."""
    gc.disable()  # to look for garbage among the modules that come takes 0.1 s
    try:
        importlib.import_module("explorer.views.page")
    finally:
        gc.enable()


if __name__ == "__main__":  # at each visit Streamlit runs this file
    importlib.import_module("explorer.views.page").show()
else:  # and once, when the server starts, imports it
    app = st.App(__file__, lifespan=opened)
