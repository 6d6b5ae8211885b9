"""Error boxes. What comes from files, links and jobs goes through st.text, which reads none of it as markdown."""
import streamlit as st


def problem(title: str, message: str) -> None:
    """What went wrong, and what to do."""
    with st.container(border=True):
        st.error(f"**{title}**", icon=":material/error:")
        st.text(message)
