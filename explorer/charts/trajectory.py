"""Charts of probes along a run: where knowledge lies at each step, and what the task has won by then.

Checkpoints stand evenly spaced on the time axis, since most of the change comes early; it is the same on every chart.
"""
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from explorer.charts.theme import (
    AT_K,
    AT_LAYER,
    AT_STEP,
    FONT,
    LAYER,
    MARGIN,
    NEUTRAL,
    K,
    live,
    rimmed,
    value_axis,
)
from explorer.history import History
from explorer.study import short_name
from explorer.trajectory import forgotten

HEIGHT, STRIP, TALL = 205, 76, 342  # pixels of plots: of most, of the dev score, as high as both with their titles
FIT = alt.AutoSizeParams(type="fit-x", contains="padding")  # a legend would push the axis' title out of a fixed height
LOW_HIGH = ["#0a7cc4", "#9a63a6", "#d05800"]  # the lowest layer's colour to the highest's
SHIFT = ["#b54708", "#f3b98a", "#f4f4f4", "#9cc7e6", "#07598f"]  # loss, none, gain
LEVEL = ["#0d2b45", "#1d6a96", "#6fb3c8", "#e4f1e1"]  # low to high
CELLS = 160  # above which cells have no numbers
SIGNED = "abs(datum.delta) < 0.05 ? '0.0' : format(datum.delta, '+.1f')"
TIME = "Training step (checkpoints evenly spaced)"


def accuracy_map(rows: pd.DataFrame) -> alt.LayerChart:
    """Heat-map of accuracy, layer by step, at the slider's k."""
    low, high = _ends(rows, "accuracy")
    colour = alt.Color("accuracy:Q", legend=_gradient("%", ".1f"), scale=alt.Scale(
        domainMin=alt.expr(low), domainMax=alt.expr(high), range=LEVEL, interpolate="lab"))
    dark = f"datum.accuracy < ({low} + {high}) / 2"
    return _map(rows, "Accuracy", colour, "format(datum.accuracy, '.1f')", dark)


def delta_map(rows: pd.DataFrame) -> alt.LayerChart:
    """Heat-map of the delta to the start, layer by step, at the slider's k."""
    most = _ends(rows.assign(size=rows.delta.abs().clip(0.5)), "size")[1]
    return _map(rows, "Delta to the start", _shift(most), SIGNED, f"abs(datum.delta) > 0.7 * {most}")


def multiples(found: Sequence[tuple[History, pd.DataFrame]]) -> list[alt.LayerChart]:
    """Small multiples of runs, on one scale."""
    most = max(*(rows[rows.k == rows.k.max()].delta.abs().max() for _, rows in found), 0.5)
    return [_multiple(rows, short_name(run.name), _facts(run, rows), most) for run, rows in found]


def _facts(run: History, rows: pd.DataFrame) -> str:
    """What a run is of, how long, and how much it forgets."""
    scores = [point.dev_score for point in run.points if point.dev_score is not None]
    lost = forgotten(rows)
    parts = [
        run.task, f"{run.train_rows:,} rows" if run.train_rows else "", f"{run.steps or run.points[-1].step:,} steps",
        f"dev {run.metric} {100 * scores[0]:.0f} → {100 * scores[-1]:.0f} %" if scores else "",
        f"{'loses' if lost > 0 else 'gains'} {abs(lost):.1f} points",
    ]
    return ", ".join(part for part in parts if part)


def growing(rows: pd.DataFrame) -> alt.LayerChart:
    """A run at work: delta by layer and step as far as it came, all neurons in the probe; follows no slider."""
    whole = rows[rows.k == rows.k.max()]
    return _cells(whole, _time(scale=alt.Scale()), whole.delta.abs().max(),
                  alt.TitleParams("Delta to the start by layer", fontSize=FONT + 3, offset=8))


def _multiple(rows: pd.DataFrame, title: str, facts: str, most: float) -> alt.LayerChart:
    """One run among several: delta by layer and part of the run, all neurons in the probe; most: end of the scale."""
    whole = rows[rows.k == rows.k.max()]
    x = alt.X("part:O", axis=alt.Axis(title="Part of the run (%)", labelAngle=0, labelOverlap=True, grid=False))
    heading = alt.TitleParams(title, subtitle=facts, fontSize=FONT + 2, subtitleFontSize=FONT - 1, offset=8,
                              subtitleColor=NEUTRAL)
    return _cells(whole.assign(part=(100 * whole.step / whole.step.max()).round(1)), x, most, heading)


def _cells(rows: pd.DataFrame, x: alt.X, most: float, heading: alt.TitleParams) -> alt.LayerChart:
    """Deltas by layer along x; most: the end of the colour scale in points."""
    most = max(most, 0.5)
    y = alt.Y("layer:O", sort="descending", axis=alt.Axis(
        title="Layer (0: embeddings)", minExtent=MARGIN, maxExtent=MARGIN, labelFlush=False))
    cells = alt.Chart().mark_rect(cornerRadius=2).encode(x=x, y=y, color=_shift(str(most)), tooltip=_tooltip())
    ink = alt.condition(f"abs(datum.delta) > {0.7 * most}", alt.value("white"), alt.value("#1c1c1c"))
    numbers = alt.Chart().transform_calculate(text=SIGNED).mark_text(fontSize=FONT - 2).encode(
        x=x, y=y, text="text:N", color=ink)
    return alt.LayerChart(layer=[cells, numbers] if len(rows) <= CELLS else [cells], height=HEIGHT, title=heading,
                          config=_axes(), autosize=FIT, data=rows)


def by_step(rows: pd.DataFrame) -> alt.LayerChart:
    """A line for each layer against step, the slider's layer strong, with its 95 % interval, at the slider's k."""
    shown = alt.Chart().transform_filter(AT_K)
    x, y = _time(), alt.Y("delta:Q", axis=value_axis("Delta (points)", "+~f", tickCount=6), scale=_deltas(rows))
    here = shown.transform_filter(AT_LAYER)
    now = rimmed(here.transform_filter(AT_STEP).transform_calculate(text="format(datum.delta, '+.1f')").encode(
        x=x, y=y), FONT + 3, -20)
    parts = [
        alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.datum(0)),
        _now(x),
        here.mark_area(opacity=0.18, color=NEUTRAL).encode(x=x, y="delta_low:Q", y2="delta_high:Q"),
        shown.mark_line(strokeWidth=1.5, opacity=0.8).encode(x=x, y=y, color=_layers(rows), detail="layer:N"),
        here.mark_line(strokeWidth=5).encode(x=x, y=y, color=_layers(rows)),
        shown.mark_point(size=25, strokeWidth=4, opacity=1).encode(x=x, y=y, color=_layers(rows), tooltip=_tooltip()),
        here.transform_filter(AT_STEP).mark_point(size=120, strokeWidth=6, opacity=1).encode(
            x=x, y=y, color=_layers(rows)),
        now,
    ]
    return live(rows, f"'Delta along the run, layer ' + {LAYER} + ' strong'", HEIGHT, parts).properties(autosize=FIT)


def score_by_step(rows: pd.DataFrame, metric: str, baseline: float | None) -> alt.LayerChart:
    """The task's dev score on the same time axis; baseline: the score of one answer for all, from 0 to 1."""
    once = rows.drop_duplicates("step")[["step", "layer", "k", "score"]]
    if baseline is not None:
        once = once.assign(baseline=100 * baseline)
    scale = _scores(once)
    x, y = _time(None), alt.Y("score:Q", axis=value_axis(f"{metric} (%)", "d", tickCount=4), scale=scale)
    line = alt.Chart().transform_filter("isValid(datum.score)")
    now = line.transform_filter(AT_STEP)
    parts = [
        _now(x),
        line.mark_line(strokeWidth=3, color=NEUTRAL).encode(x=x, y=y),
        line.mark_point(filled=True, size=60, color=NEUTRAL, opacity=1).encode(
            x=x, y=y, tooltip=[alt.Tooltip("step:O"), alt.Tooltip("score:Q", title=f"dev {metric} (%)", format=".1f")]),
        now.mark_point(filled=True, size=190, color=NEUTRAL, opacity=1).encode(x=x, y=y),
        rimmed(now.transform_calculate(text="format(datum.score, '.1f')").encode(x=x, y=y), FONT + 1, -16),
    ]
    if baseline is not None:
        parts.insert(0, alt.Chart().transform_filter(AT_STEP).mark_rule(color=NEUTRAL, strokeDash=[2, 3]).encode(
            y=alt.Y("baseline:Q", scale=scale)))
    dotted = "" if baseline is None else " (dotted: one answer for all)"
    return live(once, f"'Dev {metric} of the task{dotted}'", STRIP, parts).properties(autosize=FIT)


def path(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Forgetting against learning: each layer's delta against the task's dev score, step after step."""
    shown = alt.Chart().transform_filter(f"{AT_K} && isValid(datum.score)")
    y = alt.Y("delta:Q", axis=value_axis("Delta (points)", "+~f", tickCount=6), scale=_deltas(rows))
    x = alt.X("score:Q", axis=alt.Axis(title=f"Dev {metric} of the task (%)", format="d", tickCount=6),
              scale=_scores(rows))
    here, now = shown.transform_filter(AT_LAYER), shown.transform_filter(AT_STEP)
    order, colour = alt.Order("step:Q"), _layers(rows)
    parts = [
        alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.datum(0)),
        shown.mark_line(strokeWidth=1.5, opacity=0.7).encode(x=x, y=y, color=colour, order=order, detail="layer:N"),
        here.mark_line(strokeWidth=5).encode(x=x, y=y, color=colour, order=order),
        now.mark_point(size=40, strokeWidth=4, opacity=1).encode(x=x, y=y, color=colour, tooltip=_tooltip()),
        rimmed(here.transform_calculate(text="datum.step").encode(x=x, y=y), FONT - 1, -14),
        here.transform_filter(AT_STEP).mark_point(size=120, strokeWidth=6, opacity=1).encode(x=x, y=y, color=colour),
    ]
    return live(rows, f"'Forgetting against learning, layer ' + {LAYER} + ' strong'",
                TALL, parts).properties(autosize=FIT)


def losses(found: Sequence[tuple[int, float]], points: Sequence[tuple[int, float]], steps: int | None,
           most: int = 400) -> alt.LayerChart:
    """Training loss by step, at most so many means of neighbours, and the dev loss at each checkpoint (points)."""
    trained = pd.DataFrame(found, columns=["step", "loss"], dtype=float)
    trained = trained.groupby(trained.index // max(1, -(-len(trained) // most))).mean()
    last = steps or max([step for step, _ in (*found, *points)], default=1)
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, last], nice=False), axis=alt.Axis(title="Training step", format="d"))
    y = alt.Y("loss:Q", axis=value_axis("Loss", "~g", tickCount=5), scale=alt.Scale(zero=False))
    scored = pd.DataFrame(points, columns=["step", "loss"], dtype=float)
    kinds = pd.concat([trained.assign(of="training"), scored.assign(of="dev")])
    colour = alt.Color("of:N", scale=alt.Scale(domain=["training", "dev"], range=[NEUTRAL, LOW_HIGH[-1]]),
                       legend=alt.Legend(title=None, orient="top", labelFontSize=FONT, offset=2))
    dev = alt.Chart().transform_filter("datum.of == 'dev'")
    parts = [alt.Chart().transform_filter("datum.of == 'training'").mark_line(strokeWidth=1.5).encode(
                 x=x, y=y, color=colour),
             dev.mark_line(strokeWidth=3).encode(x=x, y=y, color=colour),
             dev.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=colour, tooltip=["step", "loss"])]
    return alt.LayerChart(layer=parts, data=kinds, height=HEIGHT - 60, config=_axes(), autosize=FIT,
                          title=alt.TitleParams("Loss", fontSize=FONT + 3, offset=8))


def scores(known: History) -> alt.LayerChart:
    """Dev score at each checkpoint so far, on the time axis of losses()."""
    points = pd.DataFrame([(point.step, 100 * point.dev_score) for point in known.points
                           if point.dev_score is not None], columns=["step", "score"], dtype=float)
    if known.baseline is not None:
        points = points.assign(baseline=100 * known.baseline)
    scale = _scores(points)
    x = alt.X("step:Q", axis=alt.Axis(title="Training step", format="d"),
              scale=alt.Scale(domain=[0, known.steps or max(points.step, default=1)], nice=False))
    y = alt.Y("score:Q", axis=value_axis(f"{known.metric} (%)", "d", tickCount=4), scale=scale)
    line, colour = alt.Chart(), LOW_HIGH[-1]
    parts = [line.mark_line(strokeWidth=3, color=colour).encode(x=x, y=y),
             line.mark_point(filled=True, size=90, opacity=1, color=colour).encode(x=x, y=y, tooltip=["step", "score"])]
    dotted = ""
    if known.baseline is not None:
        dotted = " (dotted: one answer for all)"
        parts.append(line.mark_rule(color=NEUTRAL, strokeDash=[2, 3]).encode(y=alt.Y("mean(baseline):Q", scale=scale)))
    return alt.LayerChart(layer=parts, data=points, height=STRIP, config=_axes(), autosize=FIT,
                          title=alt.TitleParams(f"Dev {known.metric} of the task{dotted}", fontSize=FONT + 3, offset=8))


def _map(rows: pd.DataFrame, title: str, colour: alt.Color, text: str, dark: str) -> alt.LayerChart:
    """A cell for each step and layer; text and dark (whether its number is white) are Vega expressions."""
    whole, cells = rows.k.max(), rows.step.nunique() * rows.layer.nunique()
    x = _time(scale=alt.Scale(paddingInner=0.04, paddingOuter=0.02))
    y = alt.Y("layer:O", sort="descending", scale=alt.Scale(paddingInner=0.06, paddingOuter=0.03),
              axis=alt.Axis(title="Layer (0: embeddings)", minExtent=MARGIN, maxExtent=MARGIN, labelFlush=False))
    shown = alt.Chart().transform_filter(AT_K)
    parts: list[alt.Chart | alt.LayerChart] = [
        shown.mark_rect(cornerRadius=2).encode(x=x, y=y, color=colour, tooltip=_tooltip())]
    if cells <= CELLS:
        ink = alt.condition(dark, alt.value("white"), alt.value("#1c1c1c"))
        numbers = shown.transform_calculate(text=text).mark_text(fontSize=FONT - 1)
        parts.append(numbers.encode(x=x, y=y, text="text:N", color=ink))
    parts.append(shown.transform_filter(f"{AT_LAYER} && {AT_STEP}").mark_rect(
        fillOpacity=0, stroke="#e3008c", strokeWidth=4, cornerRadius=2).encode(x=x, y=y))
    return live(rows, f"'{title}, ' + ({K} == {whole} ? 'all {whole} neurons' : 'top ' + {K} + ' of {whole} neurons')",
                HEIGHT, parts).properties(autosize=FIT)


def _time(title: str | None = TIME, scale: alt.Scale | None = None) -> alt.X:
    """The same places for cells and for points: a point scale with half a step around is a band scale's middles."""
    scale = scale or alt.Scale(type="point", padding=0.5)
    axis = alt.Axis(title=title, labelAngle=0, labelOverlap=True, format=",d", grid=False, labels=title is not None)
    return alt.X("step:O", scale=scale, axis=axis)


def _now(x: alt.X) -> alt.Chart:
    """The line that shows where the slider of steps stands."""
    at = alt.Chart().transform_filter(f"{AT_STEP} && {AT_K} && {AT_LAYER}")
    return at.mark_rule(color=NEUTRAL, strokeWidth=2, strokeDash=[5, 4]).encode(x=x)


def _scores(rows: pd.DataFrame) -> alt.Scale:
    """Of the task's dev scores, with room for numbers."""
    known = rows[["score", *rows.columns.intersection(["baseline"])]]
    low, high = known.min(axis=None), known.max(axis=None)
    room = 0.15 * max(high - low, 2.0)
    return alt.Scale(domain=[low - room, high + 1.5 * room], nice=False)


def _axes() -> alt.Config:
    """Of charts that follow no slider; live() sets the same on the others."""
    return alt.Config(axis=alt.AxisConfig(labelFontSize=FONT, titleFontSize=FONT, labelPadding=6, titlePadding=6))


def _shift(most: str) -> alt.Color:
    """The colour of a delta: orange for a loss, blue for a gain, full at so many points, a Vega expression."""
    return alt.Color("delta:Q", legend=_gradient("points", "+.1f"), scale=alt.Scale(
        domainMin=alt.expr(f"-({most})"), domainMax=alt.expr(most), range=SHIFT, clamp=True))


def _ends(rows: pd.DataFrame, low: str, high: str | None = None) -> tuple[str, str]:
    """Least and greatest value of the columns at the slider's k, as Vega expressions."""
    by_k = rows.groupby("k")
    found = by_k[low].min(), by_k[high or low].max()
    least, most = (f"{[round(float(value), 2) for value in ends]}[toNumber(live_k)]" for ends in found)
    return least, most


def _deltas(rows: pd.DataFrame) -> alt.Scale:
    """Of deltas at the slider's k: nought and all intervals, with room for numbers."""
    low, high = _ends(rows.assign(low=rows.delta_low.clip(upper=0), high=rows.delta_high.clip(lower=0)), "low", "high")
    room = f"0.12 * max({high} - {low}, 1)"
    return alt.Scale(domainMin=alt.expr(f"{low} - {room}"), domainMax=alt.expr(f"{high} + {room}"), nice=False)


def _layers(rows: pd.DataFrame) -> alt.Color:
    last = int(rows.layer.max())
    return alt.Color("layer:Q", scale=alt.Scale(domain=[0, last / 2, last], range=LOW_HIGH, interpolate="lab"),
                     legend=_gradient("layer", "d", [0, last]))


def _gradient(title: str, format: str, values: Sequence[int] | None = None) -> alt.Legend:
    """A legend above the plot: beside it, plots would not stand below one another."""
    more: dict[str, Any] = {} if values is None else {"values": list(values)}
    return alt.Legend(title=title, type="gradient", orient="top", direction="horizontal", titleOrient="left",
                      gradientLength=150, gradientThickness=10, format=format, offset=4, tickCount=3,
                      labelFontSize=FONT - 2, titleFontSize=FONT - 2, **more)


def _tooltip() -> list[alt.Tooltip]:
    figures = {"accuracy": "accuracy (%)", "delta": "delta (points)", "delta_low": "delta, 95 % from",
               "delta_high": "to", "score": "dev score (%)"}
    return [alt.Tooltip("step:O"), alt.Tooltip("layer:O"), alt.Tooltip("k:O", title="neurons"),
            *(alt.Tooltip(f"{field}:Q", title=title, format=".1f") for field, title in figures.items())]
