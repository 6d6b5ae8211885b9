"""Text fields that suggest what is at hand and take whatever is typed."""
import html
from collections.abc import Sequence

import streamlit as st


def suggesting(label: str, suggestions: Sequence[str], key: str, placeholder: str, help: str, value: str = "",
               ) -> str:
    """A text field; live.html links the suggestions to it by its key. Returns the text without spaces around it."""
    text = st.text_input(label, value, key=key, placeholder=placeholder, help=help).strip()
    options = "".join(f'<option value="{html.escape(name)}"></option>' for name in suggestions)
    st.html(f'<datalist id="suggestions-{key}" data-field="{key}">{options}</datalist>')
    return text
