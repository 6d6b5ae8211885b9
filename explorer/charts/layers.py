"""Charts of one pair of checkpoints over the whole grid of layers and numbers of neurons."""
import itertools
import json
import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from explorer.charts.measures import Measure
from explorer.charts.theme import (
    AT_K,
    AT_LAYER,
    AT_STEP,
    COLOURS,
    FONT,
    LAYER,
    NEUTRAL,
    SHAPES,
    Overlay,
    k_ticks,
    live,
    rimmed,
    slider_line,
    value_axis,
)

HEIGHT, LOW = 270, 300  # pixels of a chart
HALF, LINE = 100, 17  # pixels of the delta's axis on either side of zero, and of a number on it
DELTA_TICKS = (0.3, 1, 3, 10, 30, 100)
CROWDED = 14  # layers, above which bars have no numbers of their own
DASHES = [[2, 3], [8, 4]]  # of the baselines, in their order
UNTRAINED = "random weights"
HERE = f"{AT_LAYER} && {AT_K}"  # where the sliders stand


def drawn(grid: pd.DataFrame, measure: Measure, baselines: dict[str, float], together: bool) -> list[Overlay]:
    """The three charts of the page; of a run, whose grid has a column step, they follow the slider of steps too."""
    return [by_layer(grid, measure, baselines), delta_by_layer(grid, measure, together), by_k(grid, measure)]


def by_layer(grid: pd.DataFrame, measure: Measure, baselines: dict[str, float]) -> Overlay:
    """The measure of both checkpoints by layer, at the slider's k, and the baselines, value by name, as lines.

    The axis fits the lines of checkpoints at this k: a baseline far from them has its name and value in the legend.
    """
    x, (low, high) = _layer_axis(grid), _reach(grid, measure)
    ends = alt.Scale(domainMin=alt.ExprRef("lows[toNumber(live_k)]"), domainMax=alt.ExprRef("highs[toNumber(live_k)]"),
                     zero=False, nice=False)
    title = f"'{measure.title} by layer, ' + {_at(grid)}"
    parts: list[alt.Chart | Overlay] = [
        *_baselines(baselines), slider_line(x, HERE), _values(grid, x, AT_K, measure, ends)]
    return _live(grid, title, HEIGHT, parts, alt.VariableParameter("lows", value=low.tolist()),
                 alt.VariableParameter("highs", value=high.tolist()))


def by_k(grid: pd.DataFrame, measure: Measure) -> Overlay:
    """The measure of both checkpoints by number of neurons, at the slider's layer."""
    whole = int(grid.k.max())
    ticks = k_ticks(whole)
    x = alt.X("k:Q", scale=alt.Scale(type="log", domain=[0.87, whole * 1.5], nice=False),
              axis=alt.Axis(title="Neurons in the probe (top-k, log scale)", values=ticks, format="d"))
    low, high = _reach(grid, measure)
    ends = alt.Scale(domain=[low.min(), high.max()], zero=False, nice=False)
    title = f"'{measure.title} by number of neurons, layer ' + {LAYER}"
    return _live(grid, title, HEIGHT, [
        slider_line(x, HERE), _values(grid, x, f"{AT_LAYER} && datum.k == datum.at", measure, ends)])


def delta_by_layer(grid: pd.DataFrame, measure: Measure, together: bool) -> Overlay:
    """Fine-tuned minus pre-trained by layer at the slider's k, 95 % intervals; grey where they contain zero."""
    x, last = _layer_axis(grid, "Layer (0: embeddings)"), grid.layer.max()
    bounds = grid[["delta", "delta_low", "delta_high"]]
    low, high = min(bounds.min(axis=None, skipna=True), 0.0), max(bounds.max(axis=None, skipna=True), 0.0)
    unit = 10.0 ** (1 - measure.digits)
    reach = 1.6 * max(-low, high, unit)  # with room for the numbers
    ticks = _delta_ticks(reach, unit)
    # Of few neurons a delta may be 20 points, of a whole layer half a point: both are to be seen on one scale.
    y = alt.Y("delta:Q", scale=alt.Scale(type="symlog", constant=unit, domain=[-reach, reach], nice=False),
              axis=value_axis(f"Delta ({measure.change}, log scale)", "+~f", labelOverlap=False, tickCount=99,
                              values=sorted([0, *ticks, *(-tick for tick in ticks)]),
                              labelExpr="datum.value == 0 ? '0' : format(datum.value, '+~f')"))
    rows = alt.Chart().transform_filter(AT_K)
    colour = alt.condition("datum.unsure", alt.value(NEUTRAL), alt.value(COLOURS["fine-tuned"]))
    bars = rows.mark_bar(size=min(26.0, 300 / (last + 1)), opacity=0.6).encode(
        x=x, y=y, color=colour, tooltip=_tooltip(measure))
    intervals = rows.transform_filter("isValid(datum.delta_low)").mark_rule(color=NEUTRAL, strokeWidth=2).encode(
        x=x, y=alt.Y("delta_low:Q"), y2=alt.Y2("delta_high:Q"))
    zero = alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.YDatum(0))
    text = f"abs(datum.delta) < {0.5 * 10**-measure.digits} ? '{0:.{measure.digits}f}' : " \
           f"format(datum.delta, '+.{measure.digits}f')"
    numbered = rows.transform_calculate(
        text=text, bottom="isValid(datum.delta_low) ? datum.delta_low : datum.delta",
        top="isValid(datum.delta_high) ? datum.delta_high : datum.delta")
    numbered = numbered.transform_filter(AT_LAYER) if last >= CROWDED else numbered
    falls, rises = (
        rimmed(numbered.transform_filter(f"datum.delta {sign} 0").encode(x=x, y=alt.Y(f"{end}:Q")), FONT - 1, dy)
        for sign, end, dy in (("<", "bottom", 12), (">=", "top", -10)))
    sure = "no intervals" if grid.delta_low.isna().all() else \
        f"95 % for {'all layers at once' if together else 'each layer alone'}"
    title = f"'Delta by layer, {sure}'"
    return _live(grid, title, LOW, [zero, bars, intervals, slider_line(x, HERE), *falls, *rises])


def _live(grid: pd.DataFrame, title: str, height: int, layers: Sequence[alt.Chart | Overlay],
          *params: alt.VariableParameter) -> Overlay:
    """A chart that follows the sliders; along a run, that of steps too."""
    return live(grid, title, height, layers, params=params,
                transform=[alt.FilterTransform(AT_STEP)] if "step" in grid else [])


def _at(grid: pd.DataFrame) -> str:
    """Vega expression of the number of neurons that the figures are of: not all have a control task."""
    whole, ks = grid.k.max(), grid.drop_duplicates("k").sort_values("k")
    at = f"{ks['at'].tolist()}[toNumber(live_k)]"
    return f"({at} == {whole} ? 'all {whole} neurons' : 'top ' + {at} + ' of {whole} neurons')"


def _delta_ticks(reach: float, unit: float) -> list[float]:
    """Round numbers above zero whose labels have room between them on delta_by_layer's axis."""
    found, places = [], [0.0]
    for tick in DELTA_TICKS:
        place = HALF * math.log1p(tick) / math.log1p(reach / unit)
        if places[-1] + LINE <= place <= HALF:
            found.append(unit * tick)
            places.append(place)
    return found


def _reach(grid: pd.DataFrame, measure: Measure) -> tuple[pd.Series, pd.Series]:
    """For each k, the ends of an axis that fits all layers' figures, with room for their numbers."""
    figures = grid[[name for name in ("before", "after", "random") if name in grid]].groupby(grid.k)
    low, high = figures.min().min(axis=1), figures.max().max(axis=1)
    narrow = (5 * 10.0 ** (1 - measure.digits) - (high - low)).clip(lower=0) / 2  # noise is not to fill the chart
    room = 0.35 * (high - low + 2 * narrow)
    return low - narrow - room, high + narrow + room


def _baselines(baselines: dict[str, float]) -> list[alt.Chart]:
    """Dashed lines over all layers; the legend has their names and values, since the axis may end before them."""
    names = [f"{name} {value:.1f}" for name, value in baselines.items()]
    legend = alt.Legend(title=None, orient="bottom", direction="horizontal", symbolType="stroke", symbolSize=500,
                        symbolStrokeWidth=2, labelFontSize=FONT - 1, labelLimit=400, offset=2)
    scale = alt.Scale(domain=names, range=DASHES[:len(names)])
    dash = alt.StrokeDash("baseline:N", scale=scale, legend=legend)
    return [alt.Chart().transform_filter(HERE).transform_calculate(baseline=json.dumps(name))
            .mark_rule(color=NEUTRAL, strokeWidth=2, clip=True).encode(y=alt.YDatum(value), strokeDash=dash)
            for name, value in zip(names, baselines.values(), strict=True)]


def _values(grid: pd.DataFrame, x: alt.X, shown: str, measure: Measure, ends: alt.Scale) -> Overlay:
    """Both checkpoints' lines along x, where `shown` holds, and their values at the sliders' position.

    Of random weights, where the grid has them, a thin line.
    """
    most = "datum.value > 100 ? '' : datum.label" if measure.unit == "%" else "datum.label"
    y = alt.Y("value:Q", scale=ends,
              axis=value_axis(f"{measure.title} ({measure.unit})", "~f", tickCount=5, labelExpr=most,
                              labelFlush=False, grid=True))
    legend = alt.Legend(title=None, orient="top", direction="horizontal", symbolSize=130, symbolStrokeWidth=3,
                        labelFontSize=FONT + 1, offset=2)
    names = [*COLOURS, *([UNTRAINED] if "random" in grid else [])]
    colours = alt.Scale(domain=names, range=[*COLOURS.values(), NEUTRAL][:len(names)])
    colour = alt.Color("checkpoint:N", legend=legend, scale=colours)
    shape = alt.Shape("checkpoint:N", legend=legend, scale=alt.Scale(
        domain=names, range=[*SHAPES, "stroke"][:len(names)]))
    here = alt.Chart().transform_filter(HERE)
    upper = "datum.value > min(datum.before, datum.after) || datum.delta == 0 && datum.role == 'before'"
    thin = alt.Chart().transform_filter("datum.role == 'before'").mark_line(strokeWidth=1.5).encode(
        x=x, y=alt.Y("random:Q"), color=alt.ColorDatum(UNTRAINED))
    parts = [
        *([thin] if "random" in grid else []),
        alt.Chart().mark_line(strokeWidth=3).encode(x=x, y=y, color=colour),
        alt.Chart().mark_point(filled=True, size=70, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=_tooltip(measure)),
        here.mark_point(filled=True, size=200, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
        *itertools.chain.from_iterable(
            rimmed(here.transform_filter(condition).encode(x=x, y=y), FONT + 3, dy, colour)
            for condition, dy in ((upper, -17), (f"!({upper})", 19))),
    ]
    return Overlay(layer=parts, transform=[
        alt.FilterTransform(shown), alt.FoldTransform(fold=["before", "after"], **{"as": ["role", "value"]}),
        alt.CalculateTransform(calculate=f"datum.role == 'before' ? '{names[0]}' : '{names[1]}'",
                        **{"as": "checkpoint"}),
        alt.CalculateTransform(calculate=f"format(datum.value, '.{measure.digits}f')",
                        **{"as": "text"}),
    ])


def _layer_axis(grid: pd.DataFrame, title: str | None = None) -> alt.X:
    last = int(grid.layer.max())
    return alt.X("layer:Q", scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False, padding=0),
                 axis=alt.Axis(title=title, values=list(range(last + 1)), format="d", grid=False))


def _tooltip(measure: Measure) -> list[alt.Tooltip]:
    shown = {"before": f"pre-trained ({measure.unit})", "after": f"fine-tuned ({measure.unit})",
             "delta": f"delta ({measure.change})", "delta_low": "delta, 95 % from", "delta_high": "to"}
    return [alt.Tooltip("layer:Q"), alt.Tooltip("at:Q", title="neurons"),
            *(alt.Tooltip(f"{field}:Q", title=title, format=f".{measure.digits}f") for field, title in shown.items())]
