"""Charts of one sentence: its words coloured by activation, and what the probes say of them layer by layer."""
from functools import cache

import altair as alt
import pandas as pd

from explorer.charts.theme import COLOURS, FONT, NEUTRAL, Overlay, by_theme, filled, ink, still
from explorer.sentence import RIGHT, UNKNOWN, shown

WIDTH = 860  # pixels of a line of words; on a wider page its boxes are wider
BOX, LINE = 26, 66  # pixels: a box, and a line of both checkpoints' boxes
MARKER = 24  # pixels at the start of a line, for the checkpoint's mark
CELL, GAP = 22, 0.6  # pixels of a row of the grid; columns between the checkpoints
NONE = by_theme("#f7f7f7", "#2b2b2b")  # nearly the page's own
DIVERGING = [by_theme("#762a83", "#9a46ab"), by_theme("#c2a5cf", "#5f3d69"), NONE,  # apart for the colour-blind,
             by_theme("#a6dba0", "#2f5d37"), by_theme("#1b7837", "#2c8f4a")]  # and not the checkpoints'
MARKS = dict(zip(COLOURS, ("●", "◆"), strict=True))
DARK = 0.75  # of the scale: beyond, letters are white


def heatmap(frame: pd.DataFrame, title: str, unit: str) -> dict:
    """Words in their order, the pre-trained checkpoint's colours above the fine-tuned one's.

    frame has sentence.flow's columns and checkpoint, value (None where there is no activation) and activation.
    """
    names = list(COLOURS)
    frame = frame.assign(y=frame.line * LINE + frame.checkpoint.map(names.index) * (BOX + 2))
    frame = frame.assign(y2=frame.y + BOX, x_middle=(frame.x + frame.x2) / 2, y_middle=frame.y + BOX / 2)
    largest = max(float(frame.value.abs().max()) if frame.value.notna().any() else 0.0, 1.0)
    frame = frame.assign(dark=frame.value.abs() > DARK * largest)
    marks = frame.drop_duplicates(["line", "checkpoint"])[["line", "checkpoint", "y_middle"]]
    marks = marks.assign(mark=marks.checkpoint.map(MARKS), x=-MARKER / 2)
    height = int(frame.y2.max()) + 6
    return filled(_heatmap(), {"words": frame, "marks": marks}, title=title, unit=unit, height=height, low=-largest,
                  high=largest)


@cache
def _heatmap() -> dict:
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-MARKER, WIDTH], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, "$height"], nice=False, reverse=True))
    colour = alt.Color("value:Q", title="$unit",
                       scale=alt.Scale(domain=["$low", "$high"], domainMid=0, range=DIVERGING),
                       legend=alt.Legend(orient="top", direction="horizontal", gradientLength=260, format=".1f"))
    tooltip = [alt.Tooltip("word:N"), alt.Tooltip("checkpoint:N"),
               alt.Tooltip("value:Q", title="$unit", format="+.2f"),
               alt.Tooltip("activation:Q", format="+.3f")]
    there, absent = "isValid(datum.value)", "!isValid(datum.value)"
    boxes = alt.Chart().encode(x=x, x2="x2:Q", y=y, y2="y2:Q", tooltip=tooltip)
    text = alt.Chart().encode(x="x_middle:Q", y="y_middle:Q", text=alt.Text("text:N"), tooltip=tooltip)
    legend = alt.Color("checkpoint:N", legend=None, scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())))
    chart = Overlay(data=alt.NamedData("words"), layer=[
        boxes.transform_filter(there).mark_rect(cornerRadius=3).encode(color=colour),
        boxes.transform_filter(absent).mark_rect(fillOpacity=0, stroke=NEUTRAL, strokeDash=[3, 3]),
        text.transform_filter(there).mark_text(fontSize=FONT).encode(color=ink("datum.dark")),
        text.transform_filter(absent).mark_text(fontSize=FONT, color=NEUTRAL),
        alt.Chart(alt.NamedData("marks")).mark_text(fontSize=FONT + 4).encode(
            x="x:Q", y="y_middle:Q", text="mark:N", color=legend, tooltip=["checkpoint:N"]),
    ]).resolve_scale(color="independent")
    return still(chart, "$title", BOX).configure_view(stroke=None).to_dict() | {"height": "$height"}


def grid(frame: pd.DataFrame, words: list[str], n_layers: int, marked: str = "") -> dict:
    """The probes' predictions, a row for each word, a column for each layer of both checkpoints, with confidence.

    frame has sentence.predictions' columns, checkpoint, and settled: whether from this layer on it stays right.
    marked is the position of a word to point at, as text.
    """
    start = frame.checkpoint.map(dict(zip(COLOURS, (0.0, n_layers + GAP), strict=True)))
    known = bool(frame.verdict.iloc[0] != UNKNOWN)
    score = frame.confidence.where((frame.verdict == RIGHT) | (not known), -frame.confidence)
    frame = frame.assign(x=frame.layer + start, x2=frame.layer + start + 0.96, y=frame.position,
                         y2=frame.position + 0.92, score=score, dark=score.abs() > DARK,
                         x_middle=frame.layer + start + 0.48, y_middle=frame.position + 0.48,
                         word=frame.position.map(lambda position: words[position]))
    rows = pd.DataFrame({"y": [i + 0.48 for i in range(len(words))],
                         "word": [("▸ " if str(i) == marked else "") + shown(w) for i, w in enumerate(words)]})
    gold = frame.drop_duplicates("position").set_index("position").gold
    rows = rows.assign(gold=[gold.get(i, "") for i in range(len(words))], x=-_room(n_layers), x_gold=-0.15)
    return filled(_grid(n_layers, known), {"cells": frame, "rows": rows}, words=len(words), height=CELL * len(words))


def _room(n_layers: int) -> float:
    """For a word and its gold label, in columns."""
    return 2.6 if n_layers <= 8 else 0.36 * n_layers


@cache
def _grid(n_layers: int, known: bool) -> dict:
    end = 2 * n_layers + GAP
    centres = [layer + 0.48 + first for first in (0, n_layers + GAP) for layer in range(n_layers)]
    label = f"datum.value < {n_layers} ? floor(datum.value) : floor(datum.value - {n_layers + GAP})"
    x = alt.X("x:Q", scale=alt.Scale(domain=[-_room(n_layers), end], nice=False), axis=alt.Axis(
        orient="top", values=centres, labelExpr=label, grid=False, ticks=False, domain=False,
        title="Layer (0: embeddings). Left half: ● pre-trained. Right half: ◆ fine-tuned", labelOverlap=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, "$words"], nice=False, reverse=True))
    ends = [DIVERGING[0], NONE, DIVERGING[-1]] if known else [NONE, by_theme("#5b6472", "#7d8896")]
    colour = alt.Color(
        "score:Q", title="Confidence of the prediction" + (": wrong (left), right" if known else ""),
        scale=alt.Scale(domain=[-1, 0, 1] if known else [0, 1], range=ends),
        legend=alt.Legend(orient="top", direction="horizontal", gradientLength=260, titleLimit=400,
                          labelExpr="format(abs(datum.value), '.0%')"))
    tooltip = [alt.Tooltip(field) for field in ("word:N", "checkpoint:N", "layer:Q", "predicted:N")]
    tooltip += [alt.Tooltip("confidence:Q", format=".1%"), alt.Tooltip("gold:N"), alt.Tooltip("verdict:N")]
    size = FONT - 2 if n_layers <= 8 else FONT - 4
    cells, names = alt.Chart(), alt.Chart(alt.NamedData("rows"))
    cells = cells.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", tooltip=tooltip)
    layers = [
        cells.mark_rect(cornerRadius=2).encode(color=colour),
        cells.transform_filter("datum.settled").mark_rect(fillOpacity=0, stroke="#d7a200", strokeWidth=2.5),
        alt.Chart().mark_text(fontSize=size).encode(
            x="x_middle:Q", y="y_middle:Q", text="predicted:N", color=ink("datum.dark"), tooltip=tooltip),
        names.mark_text(fontSize=FONT, align="left", color=NEUTRAL, limit=125, fontWeight="bold").encode(
            x="x:Q", y="y:Q", text="word:N"),
        names.mark_text(fontSize=size, align="right", color=NEUTRAL).encode(
            x="x_gold:Q", y="y:Q", text="gold:N"),
    ]
    subtitle = "Beside each word its gold label. Framed: from this layer on, and not before, it stays right" if known \
        else "Of a typed sentence no gold labels are known: right and wrong cannot be told"
    chart = Overlay(layer=layers, data=alt.NamedData("cells")).resolve_scale(color="independent")
    chart = still(chart, "The probe's label by layer", CELL, subtitle).configure_view(stroke=None)
    return chart.to_dict() | {"height": "$height"}
