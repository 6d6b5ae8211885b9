"""Headline figures: how numbers are written, with their intervals."""
import html
import json

import streamlit as st


def metric(label: str, value: str, note: str) -> None:
    """A figure in a box, with a note below."""
    st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


def live(boxes: dict[str, str], figures: list[list]) -> None:
    """Figures in boxes, which follow the sliders while they are dragged (live.html).

    boxes are titles by the class that colours them; figures are, by step, layer and place of k, each box's value and
    note.
    """
    drawn = "".join(f'<div class="{name}"><div>{html.escape(title)}</div><strong>&nbsp;</strong><small></small></div>'
                    for name, title in boxes.items())
    st.html(f'<div class="headline" data-figures="{html.escape(json.dumps(figures))}">{drawn}</div>')


def interval(low: float, high: float, sign: str) -> str:
    """A 95 % interval; sign is '+' where it is of a delta."""
    return f"95 %: {low:{sign}.1f} to {high:{sign}.1f}".replace("-", "−")


def signed(points: float) -> str:
    """With its sign, and a true minus; what rounds to nothing has none."""
    return "0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−")
