"""Headline figures, which stand in boxes and follow the sliders."""
import html
import json

import streamlit as st


def live(boxes: dict[str, str], figures: list[list]) -> None:
    """Figures in boxes, which follow the sliders while they are dragged (live.html).

    boxes are titles by the class that colours them; figures are, by step, layer and place of k, each box's value and
    note.
    """
    drawn = "".join(f'<div class="{name}"><div>{html.escape(title)}</div><strong>&nbsp;</strong><small></small></div>'
                    for name, title in boxes.items())
    st.html(f'<div class="headline" data-figures="{html.escape(json.dumps(figures))}">{drawn}</div>')
