"""Charts of probes along a run: where knowledge lies at each step, and what the task has won by then."""
from typing import Any

import altair as alt
import pandas as pd

from explorer.charts.measures import MEASURES
from explorer.charts.steps import (
    CELLS,
    FIT,
    HEIGHT,
    LOW_HIGH,
    SIGNED,
    STRIP,
    TALL,
    gradient,
    score_scale,
    shift,
    time,
    tooltip,
)
from explorer.charts.theme import (
    AT_K,
    AT_LAYER,
    AT_STEP,
    FONT,
    LAYER,
    MARGIN,
    NEUTRAL,
    NOUGHT,
    K,
    Overlay,
    ink,
    live,
    rimmed,
    slider_line,
    value_axis,
)
from explorer.history import History

SHARE = MEASURES["Accuracy"]  # how accuracies and their deltas are written
AWAY = alt.expr("datum.delta < 0 ? 22 : -20")  # where a number stands off the other layers, which lose less
LEVEL = ["#0d2b45", "#1d6a96", "#6fb3c8", "#e4f1e1"]  # low to high


def accuracy_map(rows: pd.DataFrame) -> Overlay:
    """Heat-map of accuracy, layer by step, at the slider's k."""
    low, high = _ends(rows, "accuracy")
    colour = alt.Color("accuracy:Q", legend=gradient("%", ".1f"), scale=alt.Scale(
        domainMin=alt.expr(low), domainMax=alt.expr(high), range=LEVEL, interpolate="lab"))
    dark = f"datum.accuracy < ({low} + {high}) / 2"
    number = alt.condition(dark, alt.value("white"), alt.value("#1c1c1c"))
    return _map(rows, "Accuracy", colour, "format(datum.accuracy, '.1f')", number)


def delta_map(rows: pd.DataFrame) -> Overlay:
    """Heat-map of the delta to the start, layer by step, at the slider's k."""
    most = _ends(rows.assign(size=rows.delta.abs().clip(0.5)), "size")[1]
    return _map(rows, "Delta to the start", shift(most), SIGNED, ink(f"abs(datum.delta) > 0.7 * {most}"))


def headline(rows: pd.DataFrame, run: History) -> list[list[list[list[list[str]]]]]:
    """Figures as they are shown, by step, layer and place of k: for each box its value and a note below it."""
    points = {point.step: point for point in run.points}
    task = f"{run.train_rows:,} training rows" if run.train_rows else "of the task"
    steps: dict[int, dict[int, list[list[list[str]]]]] = {}
    for row in rows.sort_values(["step", "layer", "k"]).itertuples():
        point = points.get(row.step)
        steps.setdefault(row.step, {}).setdefault(row.layer, []).append([
            [f"{row.step:,}", run.place(point) if point else "the pre-trained checkpoint"],
            ["unknown" if pd.isna(row.score) else f"{row.score:.1f} %", task],
            [f"{SHARE.text(row.accuracy)} %", SHARE.bounds(row.accuracy_low, row.accuracy_high)],
            [SHARE.text(row.delta, signed=True), SHARE.bounds(row.delta_low, row.delta_high, signed=True)],
        ])
    return [list(layers.values()) for layers in steps.values()]


def by_step(rows: pd.DataFrame) -> Overlay:
    """A line for each layer against step, the slider's layer strong, with its 95 % interval, at the slider's k."""
    shown = alt.Chart().transform_filter(AT_K)
    x, y = time(), alt.Y("delta:Q", axis=value_axis("Delta (points)", "+~f", tickCount=6, labelExpr=NOUGHT),
                       scale=_deltas(rows))
    here = shown.transform_filter(AT_LAYER)
    now = rimmed(here.transform_filter(AT_STEP).transform_calculate(text=SIGNED).encode(x=x, y=y), FONT + 3, AWAY)
    parts = [
        alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.YDatum(0)),
        slider_line(x, f"{AT_STEP} && {AT_K} && {AT_LAYER}"),
        here.mark_area(opacity=0.18, color=NEUTRAL).encode(x=x, y=alt.Y("delta_low:Q"), y2=alt.Y2("delta_high:Q")),
        shown.mark_line(strokeWidth=1.5, opacity=0.8).encode(x=x, y=y, color=_layers(rows), detail="layer:N"),
        here.mark_line(strokeWidth=5).encode(x=x, y=y, color=_layers(rows)),
        shown.mark_point(size=25, strokeWidth=4, opacity=1).encode(x=x, y=y, color=_layers(rows), tooltip=tooltip()),
        here.transform_filter(AT_STEP).mark_point(size=120, strokeWidth=6, opacity=1).encode(
            x=x, y=y, color=_layers(rows)),
        *now,
    ]
    return live(rows, f"'Delta along the run, layer ' + {LAYER} + ' strong'", HEIGHT, parts, autosize=FIT)


def score_by_step(rows: pd.DataFrame, metric: str, baseline: float | None) -> Overlay:
    """The task's dev score on the same time axis; baseline: the score of one answer for all, from 0 to 1."""
    once = rows.drop_duplicates("step")[["step", "layer", "k", "score"]]
    if baseline is not None:
        once = once.assign(baseline=100 * baseline)
    scale = score_scale(once)
    x = time(None, alt.Scale(type="point", padding=0.5, domain=sorted(once.step)))  # with the steps without a score
    y = alt.Y("score:Q", axis=value_axis(f"{metric} (%)", "d", tickCount=4), scale=scale)
    line = alt.Chart().transform_filter("isValid(datum.score)")
    now = line.transform_filter(AT_STEP)
    parts = [
        slider_line(x, AT_STEP),
        line.mark_line(strokeWidth=3, color=NEUTRAL).encode(x=x, y=y),
        line.mark_point(filled=True, size=60, color=NEUTRAL, opacity=1).encode(
            x=x, y=y, tooltip=[alt.Tooltip("step:O"), alt.Tooltip("score:Q", title=f"dev {metric} (%)", format=".1f")]),
        now.mark_point(filled=True, size=190, color=NEUTRAL, opacity=1).encode(x=x, y=y),
        *rimmed(now.transform_calculate(text="format(datum.score, '.1f')").encode(x=x, y=y), FONT + 1, -16),
    ]
    if baseline is not None:
        parts.insert(0, alt.Chart().transform_filter(AT_STEP).mark_rule(color=NEUTRAL, strokeDash=[2, 3]).encode(
            y=alt.Y("baseline:Q", scale=scale)))
    dotted = "" if baseline is None else " (dotted: one answer for all)"
    return live(once, f"'Dev {metric} of the task{dotted}'", STRIP, parts, autosize=FIT)


def path(rows: pd.DataFrame, metric: str) -> Overlay:
    """Forgetting against learning: each layer's delta against the task's dev score, step after step."""
    shown = alt.Chart().transform_filter(f"{AT_K} && isValid(datum.score)")
    y = alt.Y("delta:Q", axis=value_axis("Delta (points)", "+~f", tickCount=6, labelExpr=NOUGHT),
                       scale=_deltas(rows))
    x = alt.X("score:Q", axis=alt.Axis(title=f"Dev {metric} of the task (%)", format="d", tickCount=6),
              scale=score_scale(rows))
    here, now = shown.transform_filter(AT_LAYER), shown.transform_filter(AT_STEP)
    order, colour = alt.Order("step:Q"), _layers(rows)
    first = rows.step[rows.score.notna()].min()
    parts = [
        alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.YDatum(0)),
        shown.mark_line(strokeWidth=1.5, opacity=0.7).encode(x=x, y=y, color=colour, order=order, detail="layer:N"),
        here.mark_line(strokeWidth=5).encode(x=x, y=y, color=colour, order=order),
        now.mark_point(size=40, strokeWidth=4, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip()),
        *rimmed(here.transform_filter(f"datum.step == {first} || {AT_STEP}").transform_calculate(
            text="'step ' + format(datum.step, ',')").encode(x=x, y=y), FONT, AWAY),
        here.transform_filter(AT_STEP).mark_point(size=120, strokeWidth=6, opacity=1).encode(x=x, y=y, color=colour),
    ]
    return live(rows, f"'Forgetting against learning, layer ' + {LAYER} + ' strong'",
                TALL, parts, autosize=FIT)


def _map(rows: pd.DataFrame, title: str, colour: alt.Color, text: str, number: Any) -> Overlay:
    """A cell for each step and layer; text is a Vega expression, number the colour of what it writes."""
    whole, cells = rows.k.max(), rows.step.nunique() * rows.layer.nunique()
    x = time(scale=alt.Scale(paddingInner=0.04, paddingOuter=0.02))
    y = alt.Y("layer:O", sort="descending", scale=alt.Scale(paddingInner=0.06, paddingOuter=0.03),
              axis=alt.Axis(title="Layer (0: embeddings)", minExtent=MARGIN, maxExtent=MARGIN, labelFlush=False))
    shown = alt.Chart().transform_filter(AT_K)
    parts: list[alt.Chart | Overlay] = [
        shown.mark_rect(cornerRadius=2).encode(x=x, y=y, color=colour, tooltip=tooltip())]
    if cells <= CELLS:
        numbers = shown.transform_calculate(text=text).mark_text(fontSize=FONT - 1)
        parts.append(numbers.encode(x=x, y=y, text=alt.Text("text:N"), color=number))
    parts.append(shown.transform_filter(f"{AT_LAYER} && {AT_STEP}").mark_rect(
        fillOpacity=0, stroke="#e3008c", strokeWidth=4, cornerRadius=2).encode(x=x, y=y))
    return live(rows, f"'{title}, ' + ({K} == {whole} ? 'all {whole} neurons' : 'top ' + {K} + ' of {whole} neurons')",
                HEIGHT, parts, autosize=FIT, padding={"left": 0, "right": 0, "top": 0, "bottom": 25})


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
                     legend=gradient("layer", "d", values=[0, last]))
