"""A table of labels: what each checkpoint's probe makes of them, most changed first, sorted by a click on a heading.

It is plain HTML: a table that draws itself on a canvas takes three times as long to settle after a slider moves.
"""
import html
from typing import Any

import pandas as pd
from streamlit.delta_generator import DeltaGenerator

from explorer.charts.measures import MEASURES

SHARE = MEASURES["Accuracy"]  # how it is written, in percent and points
FEW = 10  # words; of fewer, resamples are too much alike for an interval that could be trusted
UNSURE = f"Points; grey where the 95 % interval contains zero, or there are fewer than {FEW} words"


def show(slot: DeltaGenerator, rows: pd.DataFrame, share: str) -> None:
    """Draw rows, which have the columns of measures.labels; share says what of a label's words before and after are."""
    rows = rows.sort_values("delta", key=abs, ascending=False)
    headings = [
        ("Label", ""), ("● Before", f"{share}, before fine-tuning"), ("◆ After", f"{share}, after fine-tuning"),
        ("Delta", UNSURE), ("95 %", "Interval of the delta, points"),
        ("Words", "Test words with this label"),
    ]
    head = "".join(f'<th title="{html.escape(help)}"><button>{name}</button></th>' for name, help in headings)
    body = "".join(map(_row, rows.itertuples()))
    slot.html(f'<div class="labels"><table class="sortable"><thead><tr>{head}</tr></thead>'
              f"<tbody>{body}</tbody></table></div>")


def _row(row: Any) -> str:
    sure = row.fewest >= FEW and (row.delta_low > 0 or row.delta_high < 0)
    label, known = html.escape(row.label), row.delta_low == row.delta_low
    cells = [
        (label, label), (row.before, _percent(row.before)), (row.after, _percent(row.after)),
        (abs(row.delta), SHARE.text(row.delta, signed=True) if row.delta == row.delta else "–"),
        (row.delta_low, SHARE.bounds(row.delta_low, row.delta_high, True).removeprefix("95 %: ") if known else "–"),
        (row.n, f"{row.n:,.0f}"),
    ]
    return (f'<tr class="{"sure" if sure else "unsure"}">'
            + "".join(f'<td data-value="{value}" title="{text}">{text}</td>' for value, text in cells) + "</tr>")


def _percent(value: float) -> str:
    return f"{value:.1f} %" if value == value else "–"
