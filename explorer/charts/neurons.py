"""Charts of the Neurons page: how many are enough, where they live, where they went."""
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from explorer.charts.theme import (
    AT_K,
    AT_LAYER,
    COLOURS,
    FONT,
    LAYER,
    MARGIN,
    NEUTRAL,
    SHAPES,
    K,
    Overlay,
    clickable,
    k_ticks,
    live,
    slider_line,
    value_axis,
)

FATES = {"kept": "#4a9d5b", "gained": COLOURS["fine-tuned"], "lost": COLOURS["pre-trained"], "neither": "#b5b9c1"}
HEIGHT, LOW = 330, 240  # pixels
ABOVE = 1.08  # of the tallest bar: where its axis ends
SIGNED = "datum.value == 0 ? '0' : format(datum.value, '+d')"  # labels of an axis of differences
ALL_LAYERS = -1  # of the column layer: the neurons of all layers at once


def k_axis(ks: Sequence[int], title: str = "Neurons in the probe (k, log scale)") -> alt.X:
    """Numbers of neurons on a log scale."""
    whole = max(ks)
    ticks = k_ticks(whole)
    return alt.X("k:Q", scale=alt.Scale(type="log", domain=[0.87, whole * 1.3], nice=False),
                 axis=alt.Axis(title=title, values=ticks, format="d"))


def layer_axis(last: int, room: float) -> alt.X:
    """All layers, with room beside the outer ones in layers."""
    return alt.X("layer:Q", scale=alt.Scale(domain=[-room, last + room], nice=False),
                 axis=alt.Axis(title="Layer (0: embeddings)", values=list(range(last + 1)), format="d", grid=False))


def colours() -> tuple[alt.Color, alt.Shape]:
    """Colour and shape of the two checkpoints."""
    shown = alt.Legend(title=None, orient="top", symbolSize=120, symbolOpacity=1, labelFontSize=FONT, offset=2)
    names = list(COLOURS)
    return (alt.Color("checkpoint:N", legend=shown, scale=alt.Scale(domain=names, range=list(COLOURS.values()))),
            alt.Shape("checkpoint:N", legend=shown, scale=alt.Scale(domain=names, range=SHAPES)))


def in_points(delta: float) -> str:
    """A delta in words."""
    return f"{delta:g} {'point' if delta == 1 else 'points'}"


def percent(values: pd.DataFrame, title: str) -> alt.Y:
    """The axis of an accuracy, over the range of these columns."""
    low, high = values.min(axis=None), values.max(axis=None)
    room = 0.06 * max(high - low, 1.0)
    return alt.Y("value:Q", axis=value_axis(title, "d", tickCount=7),
                 scale=alt.Scale(domain=[max(low - room, 0), min(high + room, 100)], nice=False))


def curves(table: pd.DataFrame, ks: Sequence[int], over_all: bool, heading: str) -> Overlay:
    """Accuracy by k on the top, random and bottom neurons, of both checkpoints; table as tables.curves has it."""
    shown = table[(table.layer == ALL_LAYERS if over_all else table.layer != ALL_LAYERS) & table.k.isin(ks)]
    here = alt.Chart() if over_all else alt.Chart().transform_filter(AT_LAYER)
    x, y, (colour, shape) = k_axis(ks), percent(shown[["low", "high"]], "Test accuracy (%)"), colours()
    dashes = alt.Scale(domain=["top", "random", "bottom"], range=[[1, 0], [7, 4], [2, 3]])
    dash = alt.StrokeDash("order:N", scale=dashes,
                          legend=alt.Legend(title=None, orient="top", labelFontSize=FONT, symbolStrokeWidth=2,
                                            symbolSize=500, symbolStrokeColor=NEUTRAL))
    tooltip = [alt.Tooltip("checkpoint:N"), alt.Tooltip("order:N", title="neurons"), alt.Tooltip("k:Q"),
               *(alt.Tooltip(f"{field}:Q", title=title, format=".1f") for field, title in (
                   ("value", "accuracy (%)"), ("low", "least of the draws"), ("high", "most")))]
    band = here.transform_filter("datum.order == 'random'").mark_area(opacity=0.18).encode(
        x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=colour)
    line = here.mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash)
    points = here.mark_point(filled=True, size=50, opacity=1).encode(x=x, y=y, color=colour, shape=shape,
                                                                     tooltip=tooltip)
    rule = slider_line(x, AT_K, pd.DataFrame({"k": ks}))
    title = f"'{heading}, all layers at once'" if over_all else f"'{heading}, layer ' + {LAYER}"
    return live(shown, title, HEIGHT + 90, [rule, band, line, points], ks)


def minimal(table: pd.DataFrame, ks: Sequence[int], delta: float) -> Overlay:
    """The minimal set of each layer: table has the columns checkpoint (its role), layer, k, share, oracle, found."""
    whole, last = max(ks), int(table.layer.max())
    ticks = k_ticks(whole)
    colour, shape = colours()
    y = alt.Y("k:Q", scale=alt.Scale(type="log", domain=[0.87, whole * 1.3], nice=False),
              axis=alt.Axis(title="Neurons (log scale)", values=ticks, format="d", minExtent=MARGIN))
    x = layer_axis(last, 0.4)
    tooltip = [alt.Tooltip("checkpoint:N"), alt.Tooltip("layer:Q"), alt.Tooltip("k:Q", title="neurons"),
               alt.Tooltip("share:Q", title="of the layer (%)", format=".1f"),
               alt.Tooltip("oracle:Q", title="oracle on dev (%)", format=".1f"),
               alt.Tooltip("found:Q", title="minimal set on dev (%)", format=".1f")]
    base = alt.Chart().encode(x=x, y=y, color=colour)
    rule = slider_line(x, AT_LAYER, pd.DataFrame({"layer": range(last + 1)}))
    title = f"'Minimal neuron set of each layer, within {in_points(delta)} of the oracle on dev'"
    return live(table, title, HEIGHT, [rule, base.mark_line(strokeWidth=2.5),
                                       base.mark_point(filled=True, size=90, opacity=1).encode(
                                           shape=shape, tooltip=tooltip)], ks)


def histograms(counts: pd.DataFrame, centres: pd.DataFrame, ks: Sequence[int]) -> list[Overlay]:
    """Layers of the first k neurons over all layers: pre-trained, fine-tuned, and the change."""
    last, most = int(counts.layer.max()), "neurons:Q"
    x = layer_axis(last, 0.6)
    highest = counts[["before", "after"]].max(axis=1).groupby(counts.k).transform("max")
    shared = counts.assign(highest=ABOVE * highest)
    found = []
    for role, column in zip(COLOURS, ("before", "after"), strict=True):
        rows = shared.rename(columns={column: "neurons"})[["k", "layer", "neurons", "highest"]]
        y = alt.Y(most, scale=alt.Scale(domainMin=0, nice=False),
                  axis=value_axis("Neurons", "d", tickCount=4, tickMinStep=1))
        here = alt.Chart().transform_filter(AT_K)
        bars = here.mark_bar(color=COLOURS[role], size=min(34.0, 330 / (last + 1))).encode(
            x=x, y=y, tooltip=[alt.Tooltip("layer:Q"), alt.Tooltip(most, format="d")])
        headroom = here.mark_point(opacity=0).encode(x=x, y=alt.Y("highest:Q"))  # both histograms have one scale
        middle = alt.Chart(centres[centres.checkpoint == role]).transform_filter(AT_K)
        tip = [alt.Tooltip("centre:Q", title="centre of mass (layer)", format=".2f"),
               alt.Tooltip("low:Q", title="95 % from", format=".2f"), alt.Tooltip("high:Q", title="to", format=".2f")]
        span = middle.mark_rect(color=NEUTRAL, opacity=0.22, clip=True).encode(
            x=alt.X("low:Q"), x2=alt.X2("high:Q"), tooltip=tip)
        centre = middle.mark_rule(color=NEUTRAL, strokeWidth=2.5).encode(x=alt.X("centre:Q"), tooltip=tip)
        found.append(live(rows, f"'{role.capitalize()}: layers of the top ' + {K} + ' neurons'", LOW,
                          [headroom, span, bars, centre], ks))
    here = alt.Chart().transform_filter(AT_K)
    change = here.mark_bar(color=NEUTRAL, size=min(34.0, 330 / (last + 1))).encode(
        x=x, y=alt.Y("change:Q", scale=alt.Scale(padding=14, nice=False),
                     axis=value_axis("Change (neurons)", "+d", tickCount=4, tickMinStep=1, labelExpr=SIGNED)),
        tooltip=[alt.Tooltip("layer:Q"), alt.Tooltip("change:Q", format="+d")])
    zero = alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.YDatum(0))
    return [*found, live(counts, "'Change: fine-tuned − pre-trained'", LOW, [zero, change], ks)]


def moved(table: pd.DataFrame, ks: Sequence[int]) -> Overlay:
    """Place of each neuron before and after, at the slider's layer, and which of the first k were kept."""
    whole = max(ks)
    ticks = k_ticks(whole)
    scale = alt.Scale(type="log", domain=[0.8, whole * 1.3], nice=False)
    x = alt.X("before:Q", scale=scale, axis=alt.Axis(title="Place before (pre-trained)", values=ticks, format="d"))
    y = alt.Y("after:Q", scale=scale, axis=alt.Axis(title="Place after (fine-tuned)", values=ticks, format="d",
                                                     minExtent=MARGIN))
    fate = (f"datum.before <= {K} ? (datum.after <= {K} ? 'kept' : 'lost')"
            f" : (datum.after <= {K} ? 'gained' : 'neither')")
    colour = alt.Color("fate:N", scale=alt.Scale(domain=list(FATES), range=list(FATES.values())),
                       legend=alt.Legend(title=None, orient="top", symbolSize=120, symbolOpacity=1,
                                         labelFontSize=FONT))
    points, pick = clickable(alt.Chart().transform_filter(AT_LAYER).transform_calculate(fate=fate).mark_point(
        filled=True, size=55, opacity=0.8, cursor="pointer").encode(x=x, y=y, color=colour, tooltip=[
            alt.Tooltip("neuron:N"), alt.Tooltip("fate:N", title="in the top k"), alt.Tooltip("before:Q"),
            alt.Tooltip("after:Q"), alt.Tooltip("correlation:Q", format=".3f")]))
    edge = alt.Chart(pd.DataFrame({"k": list(ks)})).transform_filter(AT_K)
    style: dict[str, Any] = {"color": NEUTRAL, "strokeWidth": 1.5, "strokeDash": [5, 4]}
    title = f"'Places by LCA before and after, layer ' + {LAYER} + ', top ' + {K}"
    return live(table, title, HEIGHT + 60, [edge.mark_rule(**style).encode(x=alt.X("k:Q", scale=scale)),
                                            edge.mark_rule(**style).encode(y=alt.Y("k:Q", scale=scale)),
                                            points], ks, [pick])


def similarity(table: pd.DataFrame, ks: Sequence[int]) -> Overlay:
    """By layer: linear CKA between the checkpoints, and the spread of the neurons' correlations."""
    last = int(table.layer.max())
    quartiles = table.groupby("layer").correlation.quantile([0.05, 0.5, 0.95]).unstack()
    rows = pd.DataFrame({"layer": quartiles.index, "cka": table.groupby("layer").cka.first(), "low": quartiles[0.05],
                         "median": quartiles[0.5], "high": quartiles[0.95]}).astype(float).round(4)
    x = layer_axis(last, 0.4)
    bottom = min(0.0, float(rows.low.min()))
    y = alt.Y("value:Q", scale=alt.Scale(domain=[bottom, 1.03], nice=False),
              axis=value_axis("Similarity (1: unchanged)", ".1f", tickCount=6))
    names = {"cka": "linear CKA", "median": "correlation (5, 50, 95 %)"}
    colour = alt.Color("what:N", scale=alt.Scale(domain=list(names.values()), range=["#7a4fa3", NEUTRAL]),
                       legend=alt.Legend(title=None, orient="top", labelFontSize=FONT, labelLimit=420, symbolSize=120))
    lines = alt.Chart().transform_fold(["cka", "median"], as_=["key", "value"]).transform_calculate(
        what=f"datum.key == 'cka' ? '{names['cka']}' : \"{names['median']}\"")
    tip = [alt.Tooltip("layer:Q"), *(alt.Tooltip(f"{field}:Q", title=title, format=".3f") for field, title in (
        ("cka", "linear CKA"), ("median", "median correlation"), ("low", "5 % below"), ("high", "5 % above")))]
    band = alt.Chart().mark_area(opacity=0.2, color=NEUTRAL).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    rule = slider_line(x, AT_LAYER)
    return live(rows, "'Before and after on the test words, by layer'", HEIGHT + 60, [
        rule, band, lines.mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour),
        lines.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=colour, tooltip=tip)], ks)
