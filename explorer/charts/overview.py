"""Small multiples of the Overview page: delta by layer of many pairs of checkpoints on one scale."""
import math
from collections.abc import Mapping

import altair as alt
import pandas as pd

from explorer.charts.theme import COLOURS, FONT, NEUTRAL, NOUGHT, Overlay, rimmed, value_axis
from explorer.overview import Pair
from explorer.patterns import most_kept

HEIGHT = 165  # pixels, title and axis included: three rows fit on a screen
STEPS = (1, 2, 5, 10, 20, 50, 100)  # points between two ticks


def multiples(tables: Mapping[Pair, pd.DataFrame]) -> dict[Pair, dict]:
    """Vega-Lite of patterns.layer_tables: delta of each layer with its interval, and a marker at the block that keeps
    the most. Pale where the interval holds zero.
    """
    shown = {pair: _rows(layers) for pair, layers in tables.items()}
    limits = _limits(shown)
    frames = {last: _chart(last, limits).to_dict() for last in {int(rows.layer.max()) for rows in shown.values()}}
    found = {}
    for pair, rows in shown.items():  # they differ in data and title alone, and a chart takes long to build
        frame = frames[int(rows.layer.max())]
        found[pair] = frame | {"title": frame["title"] | {"text": pair.heading},
                               "data": {"values": rows.to_dict("records")}}
    return found


def _rows(layers: pd.DataFrame) -> pd.DataFrame:
    """In percent and points."""
    figures = {name: 100 * layers[name] for name in ("before", "after", "delta", "low", "high")}
    return pd.DataFrame({"layer": layers.layer, **figures, "top": 100 * layers.high.clip(lower=0)}).round(3).assign(
        kept=layers.layer == most_kept(layers))


def _limits(shown: Mapping[Pair, pd.DataFrame]) -> tuple[float, float]:
    """Bounds in points that hold every interval, zero, and the marker's number."""
    low = min(0.0, *(rows.low.min() for rows in shown.values()))
    high = max(0.0, *(rows.high.max() for rows in shown.values()))
    room = max(high - low, 1.0)
    return low - 0.07 * room, high + 0.28 * room


def _chart(last: int, limits: tuple[float, float]) -> Overlay:
    """One of them without its data."""
    x = alt.X("layer:Q", scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False, padding=0),
              axis=alt.Axis(title=None, values=list(range(last + 1)), format="d", grid=False))
    step = next(step for step in STEPS if (limits[1] - limits[0]) / step <= 4)
    ticks = [step * i for i in range(math.ceil(limits[0] / step), math.floor(limits[1] / step) + 1)]
    y = alt.Y("delta:Q", scale=alt.Scale(domain=list(limits), nice=False),
              axis=value_axis("Delta (points)", "+d", values=ticks,
                              labelExpr=NOUGHT))
    unsure = alt.condition("datum.low <= 0 && datum.high >= 0", alt.value(0.35), alt.value(0.75))
    shown = {"layer": "layer", "before": "pre-trained (%)", "after": "fine-tuned (%)", "delta": "delta (points)",
             "low": "delta, 95 % from", "high": "to"}
    tooltip = [alt.Tooltip(f"{field}:Q", title=name, format="d" if field == "layer" else ".1f")
               for field, name in shown.items()]
    chart = alt.Chart()
    kept = chart.transform_filter("datum.kept").transform_calculate(
        text="abs(datum.delta) < 0.05 ? '0.0' : format(datum.delta, '+.1f')")
    colour = COLOURS["fine-tuned"]
    parts = [
        chart.mark_rule(color=NEUTRAL).encode(y=alt.YDatum(0)),
        chart.mark_bar(color=NEUTRAL, size=min(22.0, 200 / (last + 1))).encode(x=x, y=y, opacity=unsure,
                                                                             tooltip=tooltip),
        chart.mark_rule(color=NEUTRAL, strokeWidth=2).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        kept.mark_point(shape="diamond", filled=True, size=150, opacity=1, color=colour).encode(
            x=x, y=y, tooltip=tooltip),
        *rimmed(kept.encode(x=x, y=alt.Y("top:Q")), FONT, -10, alt.ColorValue(colour)),
    ]
    heading = alt.TitleParams(text="", fontSize=FONT + 1, anchor="start", offset=4)
    axis = alt.AxisConfig(labelFontSize=FONT - 1, titleFontSize=FONT - 1, labelPadding=4, titlePadding=4)
    return Overlay(layer=parts, title=heading, height=HEIGHT, config=alt.Config(axis=axis))
