"""Error boxes. What comes from files, links and jobs goes through st.text, which reads none of it as markdown."""
import streamlit as st


def problem(title: str, message: str) -> None:
    """What went wrong, and what to do."""
    with st.container(border=True):
        st.error(f"**{title}**", icon=":material/error:")
        st.text(message)


def plain(text: str) -> str:
    """The text, none of it read as markdown where only markdown is taken."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~<>$:" else c for c in text)
