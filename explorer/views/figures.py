"""Headline figures: how numbers are written, with their intervals."""
import streamlit as st


def metric(label: str, value: str, note: str) -> None:
    """A figure in a box, with a note below."""
    st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


def interval(low: float, high: float, sign: str) -> str:
    """A 95 % interval; sign is '+' where it is of a delta."""
    return f"95 %: {low:{sign}.1f} to {high:{sign}.1f}".replace("-", "−")


def signed(points: float) -> str:
    """With its sign, and a true minus; what rounds to nothing has none."""
    return "0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−")
