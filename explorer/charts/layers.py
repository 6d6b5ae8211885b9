"""Charts of one pair of checkpoints over the whole grid of layers and numbers of neurons."""
import json

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
    live,
    rimmed,
    value_axis,
)

HEIGHT, LOW = 250, 300  # pixels of a chart
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
DELTA_TICKS = (0.3, 1, 3, 10, 30)
CROWDED = 14  # layers, above which bars have no numbers of their own


def drawn(grid: pd.DataFrame, measure: Measure, baselines: dict[str, float], together: bool) -> list[alt.LayerChart]:
    """The three charts of the page; of a run, whose grid has a column step, they follow the slider of steps too."""
    charts = [by_layer(grid, measure, baselines), delta_by_layer(grid, measure, together),
              by_k(grid, measure, baselines)]
    return [chart.transform_filter(AT_STEP) for chart in charts] if "step" in grid else charts


def by_layer(grid: pd.DataFrame, measure: Measure, baselines: dict[str, float]) -> alt.LayerChart:
    """The measure of both checkpoints by layer, at the slider's k, and the baselines, (name, value), as lines."""
    x = _layer_axis(grid)
    title = f"'{measure.title} by layer, ' + {_at(grid)}"
    return live(grid, title, HEIGHT, [*_baselines(grid, x, baselines), _rule(x),
                                      _values(grid, x, AT_K, measure, baselines)])


def by_k(grid: pd.DataFrame, measure: Measure, baselines: dict[str, float]) -> alt.LayerChart:
    """The measure of both checkpoints by number of neurons, at the slider's layer."""
    whole = int(grid.k.max())
    ticks = [*(tick for tick in TICKS if tick < whole / 1.6), whole]
    x = alt.X("k:Q", scale=alt.Scale(type="log", domain=[0.87, whole * 1.5], nice=False),
              axis=alt.Axis(title="Neurons in the probe (top-k, log scale)", values=ticks, format="d"))
    title = f"'{measure.title} by number of neurons, layer ' + {LAYER}"
    return live(grid, title, HEIGHT, [_rule(x), _values(grid, x, f"{AT_LAYER} && datum.k == datum.at", measure,
                                                        baselines)])


def delta_by_layer(grid: pd.DataFrame, measure: Measure, together: bool) -> alt.LayerChart:
    """Fine-tuned minus pre-trained by layer with its 95 % interval, at the slider's k; grey where that holds zero."""
    x, last = _layer_axis(grid, "Layer (0: embeddings)"), grid.layer.max()
    bounds = grid[["delta", "delta_low", "delta_high"]]
    low, high = min(bounds.min(axis=None, skipna=True), 0.0), max(bounds.max(axis=None, skipna=True), 0.0)
    unit = 10.0 ** (1 - measure.digits)
    reach = 1.6 * max(-low, high, unit)  # with room for the numbers
    ticks = [unit * tick for tick in DELTA_TICKS if reach / 15 < unit * tick < reach]
    # Of few neurons a delta may be 20 points, of a whole layer half a point: both are to be seen on one scale.
    y = alt.Y("delta:Q", scale=alt.Scale(type="symlog", constant=unit, domain=[-reach, reach], nice=False),
              axis=value_axis(f"Delta ({measure.change}, log scale)", "+",
                              values=sorted([0, *ticks, *(-tick for tick in ticks)]),
                              labelExpr="datum.value == 0 ? '0' : format(datum.value, '+~f')"))
    rows = alt.Chart().transform_filter(AT_K)
    colour = alt.condition("datum.unsure", alt.value(NEUTRAL), alt.value(COLOURS["fine-tuned"]))
    bars = rows.mark_bar(size=min(26.0, 300 / (last + 1)), opacity=0.6).encode(
        x=x, y=y, color=colour, tooltip=_tooltip(measure))
    intervals = rows.transform_filter("isValid(datum.delta_low)").mark_rule(color=NEUTRAL, strokeWidth=2).encode(
        x=x, y="delta_low:Q", y2="delta_high:Q")
    zero = alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.datum(0))
    text = f"abs(datum.delta) < {0.5 * 10**-measure.digits} ? '{0:.{measure.digits}f}' : " \
           f"replace(format(datum.delta, '+.{measure.digits}f'), '-', '−')"
    numbered = rows.transform_calculate(
        text=text, bottom="isValid(datum.delta_low) ? datum.delta_low : datum.delta",
        top="isValid(datum.delta_high) ? datum.delta_high : datum.delta")
    numbered = numbered.transform_filter(AT_LAYER) if last >= CROWDED else numbered
    falls, rises = (
        rimmed(numbered.transform_filter(f"datum.delta {sign} 0").encode(x=x, y=f"{end}:Q"), FONT - 1, dy)
        for sign, end, dy in (("<", "bottom", 12), (">=", "top", -10)))
    sure = "no intervals" if grid.delta_low.isna().all() else \
        f"95 % for {'all layers at once' if together else 'each layer alone'}"
    title = f"'Delta by layer, {sure}'"
    return live(grid, title, LOW, [zero, bars, intervals, _rule(x), falls, rises])


def _at(grid: pd.DataFrame) -> str:
    """Vega expression of the number of neurons that the figures are of: not all have a control task."""
    whole, ks = grid.k.max(), grid.drop_duplicates("k").sort_values("k")
    at = f"{ks['at'].tolist()}[toNumber(live_k)]"
    return f"({at} == {whole} ? 'all {whole} neurons' : 'top ' + {at} + ' of {whole} neurons')"


def _baselines(grid: pd.DataFrame, x: alt.X, baselines: dict[str, float]) -> list[alt.Chart | alt.LayerChart]:
    """Dashed lines over all layers, each with its name below it on the left."""
    layers: list[alt.Chart | alt.LayerChart] = []
    for name, value in baselines.items():
        y = alt.datum(value)
        layers.append(alt.Chart().mark_rule(color=NEUTRAL, strokeDash=[2, 3], strokeWidth=2).encode(y=y))
        text = alt.Chart().transform_filter(f"datum.layer == 0 && {AT_K}").encode(x=x, y=y, text="text:N")
        text = text.transform_calculate(text=json.dumps(f"{name} {value:.1f}"))
        layers.append(text.mark_text(align="left", baseline="top", dy=5, dx=-14, fontSize=FONT - 1, color=NEUTRAL))
    return layers


def _values(grid: pd.DataFrame, x: alt.X, shown: str, measure: Measure, baselines: dict[str, float],
            ) -> alt.LayerChart:
    """Both checkpoints' lines along x, where `shown` holds, and their values at the sliders' position."""
    numbers = [*grid[["before", "after"]].to_numpy().ravel(), *baselines.values()]
    low, high = min(numbers), max(numbers)
    room = 0.1 * max(high - low, 10 ** (1 - measure.digits))  # for the numbers
    ticks = {"values": list(range(0, 101, 10 if high - low < 60 else 20))} if measure.unit == "%" else {"tickCount": 6}
    y = alt.Y("value:Q", axis=value_axis(f"{measure.title} ({measure.unit})", "~f", **ticks),
              scale=alt.Scale(domain=[max(low - room, min(low, 0)), high + 1.3 * room], nice=False))
    legend = alt.Legend(title=None, orient="top", direction="horizontal", symbolSize=130, symbolStrokeWidth=3,
                        labelFontSize=FONT + 1, offset=2)
    names = list(COLOURS)
    colour = alt.Color("checkpoint:N", legend=legend, scale=alt.Scale(domain=names, range=list(COLOURS.values())))
    shape = alt.Shape("checkpoint:N", legend=legend, scale=alt.Scale(domain=names, range=SHAPES))
    here = alt.Chart().transform_filter(f"{AT_LAYER} && {AT_K}")
    upper = "datum.value > min(datum.before, datum.after) || datum.delta == 0 && datum.role == 'before'"
    parts = [
        alt.Chart().mark_line(strokeWidth=3).encode(x=x, y=y, color=colour),
        alt.Chart().mark_point(filled=True, size=70, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=_tooltip(measure)),
        here.mark_point(filled=True, size=200, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
        *(rimmed(here.transform_filter(condition).encode(x=x, y=y), FONT + 3, dy, colour)
          for condition, dy in ((upper, -17), (f"!({upper})", 19))),
    ]
    return alt.LayerChart(layer=parts, transform=[
        alt.FilterTransform(shown), alt.FoldTransform(fold=["before", "after"], **{"as": ["role", "value"]}),
        alt.CalculateTransform(calculate=f"datum.role == 'before' ? '{names[0]}' : '{names[1]}'",
                               **{"as": "checkpoint"}),
        alt.CalculateTransform(calculate=f"replace(format(datum.value, '.{measure.digits}f'), '-', '−')",
                               **{"as": "text"}),
    ])


def _rule(x: alt.X) -> alt.Chart:
    """The line that shows where the slider of this axis stands."""
    here = alt.Chart().transform_filter(f"{AT_LAYER} && {AT_K}")
    return here.mark_rule(color=NEUTRAL, strokeWidth=2, strokeDash=[5, 4]).encode(x=x)


def _layer_axis(grid: pd.DataFrame, title: str | None = None) -> alt.X:
    last = int(grid.layer.max())
    return alt.X("layer:Q", scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False, padding=0),
                 axis=alt.Axis(title=title, values=list(range(last + 1)), format="d", grid=False))


def _tooltip(measure: Measure) -> list[alt.Tooltip]:
    shown = {"before": f"pre-trained ({measure.unit})", "after": f"fine-tuned ({measure.unit})",
             "delta": f"delta ({measure.change})", "delta_low": "delta, 95 % from", "delta_high": "to"}
    return [alt.Tooltip("layer:Q"), alt.Tooltip("at:Q", title="neurons"),
            *(alt.Tooltip(f"{field}:Q", title=title, format=f".{measure.digits}f") for field, title in shown.items())]
