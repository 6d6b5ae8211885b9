"""What all charts share: colours, sizes, axes, and how they follow the page's sliders.

A chart holds every layer, k and step, and never changes as the sliders move: which of them it shows follows inputs of
the page, #live-layer (the layer), #live-k and #live-step (places in the grid), while a slider is dragged.
"""
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

COLOURS = {"pre-trained": "#0a7cc4", "fine-tuned": "#d05800"}  # apart for the colour-blind; 4:1 on white, on dark
SHAPES = ["circle", "diamond"]
NEUTRAL = "#767c87"  # 4.2:1 on white, 4.5:1 on dark
LAYER, K = "toNumber(live_layer)", "ks[toNumber(live_k)]"
STEP = "steps[toNumber(live_step)]"
AT_LAYER, AT_K, AT_STEP = f"datum.layer == {LAYER}", f"datum.k == {K}", f"datum.step == {STEP}"
LIGHT = "luminance(background) > 0.5"  # of the page that a chart stands on
NOUGHT = "datum.value == 0 ? '0' : datum.label"  # labels of an axis of differences, where +0 looks odd
FONT = 14  # pixels: readable from the back of a lecture hall
PICKED = "picked"  # of a clickable chart: the neuron that was clicked
MARGIN = 46  # pixels left of each plot, so that layers stand below one another


class Overlay(alt.TopLevelMixin, alt.TopLevelLayerSpec):
    """Charts drawn over one another.

    As alt.LayerChart, which copies each of them three times, 0.1 s a page, in order to lift data and selections.
    """


def rimmed(chart: alt.Chart, size: int, dy: int | alt.ExprRef, colour: alt.Color | alt.ColorValue | None = None,
           ) -> tuple[alt.Chart, alt.Chart]:
    """datum.text beside its mark, and below it a rim of the page's own colour that keeps lines away from it."""
    rim = chart.mark_text(stroke=alt.expr("background"), strokeWidth=5, strokeJoin="round", fontSize=size,
                          fontWeight="bold", dy=dy)
    text = chart.mark_text(color=NEUTRAL, fontSize=size, fontWeight="bold", dy=dy)
    text = text.encode(color=colour) if colour else text
    return rim.encode(text=alt.Text("text:N")), text.encode(text=alt.Text("text:N"))


def by_theme(light: str, dark: str) -> alt.ExprRef:
    """A colour on a light page, and on a dark one."""
    return alt.ExprRef(f"{LIGHT} ? '{light}' : '{dark}'")


def ink(strong: str) -> Any:
    """Of a number in a cell of by_theme colours: white where they are strong, a Vega expression, or the page dark."""
    return alt.condition(f"{strong} || !({LIGHT})", alt.value("white"), alt.value("#1c1c1c"))


def k_ticks(whole: int) -> list[int]:
    """Numbers of neurons to be named on a logarithmic axis that ends at the whole layer."""
    return [*(digit * 10**zeros for zeros in range(6) for digit in (1, 2, 5) if digit * 10**zeros < whole / 1.6), whole]


def value_axis(title: str, format: str, **ticks: Any) -> alt.Axis:
    """The axis of a figure, as wide on every chart."""
    return alt.Axis(title=title, format=format, minExtent=MARGIN, maxExtent=MARGIN, **ticks)


def slider_line(x: alt.X, here: str, rows: pd.DataFrame | None = None) -> alt.Chart:
    """The dashed line where a slider stands: at the row, of the chart if no others are given, for which `here`, a Vega
    expression, holds.
    """
    chart = alt.Chart() if rows is None else alt.Chart(rows)
    return chart.transform_filter(here).mark_rule(color=NEUTRAL, strokeWidth=2, strokeDash=[5, 4]).encode(x=x)


def axes() -> alt.Config:
    """Sizes of labels and titles."""
    return alt.Config(axis=alt.AxisConfig(labelFontSize=FONT, titleFontSize=FONT, labelPadding=6, titlePadding=6))


def live(grid: pd.DataFrame, title: str, height: int, layers: Sequence[alt.Chart | Overlay],
         ks: Sequence[int] | None = None, params: Sequence[alt.VariableParameter | alt.TopLevelSelectionParameter] = (),
         **more: Any) -> Overlay:
    """Layers in one chart that follows the sliders; title is a Vega expression, more are properties of the chart.

    grid has the columns layer, k and, along a run, step; ks are the slider's numbers of neurons where they are not
    those of grid.
    """
    bound, places = ["live_layer", "live_k"], {"ks": sorted(grid.k.unique()) if ks is None else ks}
    if "step" in grid:
        bound, places = [*bound, "live_step"], {**places, "steps": sorted(grid.step.unique())}
    known = " && ".join(f"{name} !== ''" for name in bound if name in title) or "true"
    heading = alt.TitleParams(text=alt.expr(f"{known} ? {title} : ' '"), fontSize=FONT + 3, offset=8)
    inputs = [alt.VariableParameter(name, value="", bind=alt.BindDirect(
        element=f"#{name.replace('_', '-')}", event="input")) for name in bound]
    lists = [alt.VariableParameter(name, value=[int(value) for value in values]) for name, values in places.items()]
    return Overlay(data=grid, layer=list(layers), title=heading, height=height, config=axes(),
                   params=[*inputs, *lists, *params], **more)


def still(chart: Any, title: str, height: int, subtitle: str = "") -> Any:
    """A chart that follows no slider, with title and sizes as on all others; height is that of its plot, in pixels."""
    axis = alt.AxisConfig(labelFontSize=FONT - 1, titleFontSize=FONT, labelPadding=6, titlePadding=6)
    legend = alt.LegendConfig(labelFontSize=FONT, titleFontSize=FONT - 1, titleLimit=400)
    return chart.properties(
        title=alt.TitleParams(text=title, subtitle=subtitle, fontSize=FONT + 3, subtitleFontSize=FONT - 1,
                              subtitleColor=NEUTRAL, offset=8),
        height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    ).configure(axis=axis, legend=legend)


def clickable(marks: alt.Chart) -> tuple[alt.Chart, alt.TopLevelSelectionParameter]:
    """Marks of rows that have a column neuron, its name, and the chart's parameter that a click on one sets."""
    picks = alt.PointSelectionConfig(type="point", fields=["neuron"], toggle=False)
    return marks.properties(name=PICKED), alt.TopLevelSelectionParameter(name=PICKED, select=picks, views=[PICKED])


def filled(template: dict, datasets: Mapping[str, pd.DataFrame], **values: Any) -> dict:
    """A chart's Vega-Lite, built once without data, with data frames for its named data, and values for '$name'.

    To build a chart takes ten times as long as to fill one in.
    """
    def put(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: put(child) for name, child in node.items()}
        if isinstance(node, list):
            return [put(child) for child in node]
        return values.get(node[1:], node) if isinstance(node, str) and node.startswith("$") else node

    return put(template) | {"datasets": {
        name: frame.astype(object).where(frame.notna(), None).to_dict("records") for name, frame in datasets.items()}}


def checkpoint_colour() -> alt.Color:
    """A checkpoint's colour, with the legend above the chart."""
    legend = alt.Legend(title=None, orient="top", direction="horizontal", symbolSize=130, offset=2,
                        symbolType="square", symbolStrokeWidth=0)
    return alt.Color("checkpoint:N", legend=legend,
                     scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())))
