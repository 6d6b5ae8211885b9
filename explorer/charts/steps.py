"""What charts along a run share: their time axis, their colours of a delta, their legends and tooltips.

Checkpoints stand evenly spaced on the time axis, since most of the change comes early; it is the same on every chart.
"""
from typing import Any

import altair as alt
import pandas as pd

from explorer.charts.theme import FONT, NOUGHT, by_theme

HEIGHT, STRIP, TALL = 205, 76, 342  # pixels of plots: of most, of the dev score, as high as both with their titles
FIT = alt.AutoSizeParams(type="fit-x", contains="padding")  # a legend would push the axis' title out of a fixed height
LOW_HIGH = ["#0a7cc4", "#9a63a6", "#d05800"]  # the lowest layer's colour to the highest's
SHIFT = [by_theme(*colours) for colours in (  # loss, none, gain: none is nearly the page's own
    ("#b54708", "#d9640f"), ("#f3b98a", "#83451d"), ("#f4f4f4", "#2b2b2b"), ("#9cc7e6", "#2b5a7a"),
    ("#07598f", "#2d8fd0"))]
CELLS = 160  # above which cells have no numbers
SIGNED = "abs(datum.delta) < 0.05 ? '0.0' : format(datum.delta, '+.1f')"
TIME = "Training step (checkpoints evenly spaced)"


def time(title: str | None = TIME, scale: alt.Scale | None = None) -> alt.X:
    """The same places for cells and for points: a point scale with half a step around is a band scale's middles."""
    scale = scale or alt.Scale(type="point", padding=0.5)
    axis = alt.Axis(title=title, labelAngle=0, labelOverlap=True, format=",d", grid=False, labels=title is not None)
    return alt.X("step:O", scale=scale, axis=axis)


def score_scale(rows: pd.DataFrame) -> alt.Scale:
    """Of the task's dev scores, with room for numbers."""
    known = rows[["score", *rows.columns.intersection(["baseline"])]]
    low, high = known.min(axis=None), known.max(axis=None)
    room = max(0.15 * (high - low), 2.0)  # points, so that a lone score has ticks around it
    return alt.Scale(domain=[low - room, high + 1.5 * room], nice=False)


def shift(most: str) -> alt.Color:
    """The colour of a delta: orange for a loss, blue for a gain, full at so many points, a Vega expression."""
    return alt.Color("delta:Q", legend=gradient("points", "+.1f", labelExpr=NOUGHT), scale=alt.Scale(
        domainMin=alt.expr(f"-({most})"), domainMax=alt.expr(most), range=SHIFT, clamp=True))


def gradient(title: str, format: str, **more: Any) -> alt.Legend:
    """A legend above the plot: beside it, plots would not stand below one another."""
    return alt.Legend(title=title, type="gradient", orient="top", direction="horizontal", titleOrient="left",
                      gradientLength=150, gradientThickness=10, format=format, offset=4, tickCount=3,
                      labelFontSize=FONT - 2, titleFontSize=FONT - 2, **more)


def tooltip() -> list[alt.Tooltip]:
    figures = {"accuracy": "accuracy (%)", "delta": "delta (points)", "delta_low": "delta, 95 % from",
               "delta_high": "to", "score": "dev score (%)"}
    return [alt.Tooltip("step:O"), alt.Tooltip("layer:O"), alt.Tooltip("k:O", title="neurons"),
            *(alt.Tooltip(f"{field}:Q", title=title, format=".1f") for field, title in figures.items())]
