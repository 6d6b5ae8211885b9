"""Charts of the Neurons page: which neurons serve which label, and whether rankings agree."""
from collections.abc import Sequence

import altair as alt
import pandas as pd

from explorer.charts.neurons import ALL_LAYERS, HEIGHT, colours, in_points, k_axis, percent
from explorer.charts.theme import (
    AT_K,
    AT_LAYER,
    FONT,
    LAYER,
    NEUTRAL,
    K,
    Overlay,
    clickable,
    live,
    slider_line,
    value_axis,
)

METHODS = {"lca": "LCA", "probeless": "Probeless", "iou": "IoU", "gaussian": "Gaussian", "l1": "L1 path"}
PALETTE = ["#0a7cc4", "#d05800", "#4a9d5b", "#7a4fa3", "#a0791c"]
LOW = 330  # pixels of the two charts at the foot
CELL = 22  # pixels of a row of a map
FRAME, MAP_FRAME = 120, 200  # pixels of what stands around the rows: title, legend, axis


def label_map(table: pd.DataFrame, heading: str) -> Overlay:
    """Labels by neurons, clustered; table as tables.label_map has it."""
    most = float(table["share"].abs().max()) or 1.0
    x = alt.X("neuron:N", sort=alt.EncodingSortField("neuron_order", op="min"),
              axis=alt.Axis(title="Neuron (the layer's top k by LCA, like beside like)", labelAngle=-60,
                            labelOverlap=True))
    y = alt.Y("label:N", sort=alt.EncodingSortField("label_order", op="min"),
              axis=_labels("Label", table.label, grid=False))
    colour = alt.Color("share:Q", scale=alt.Scale(scheme="blueorange", domain=[-most, most], domainMid=0),
                       legend=alt.Legend(title="Share of the label's |weight| (%), signed", orient="top",
                                         titleLimit=400, titleFontSize=FONT, labelFontSize=FONT,
                                         gradientLength=260, format=".1f"))
    tooltip = [alt.Tooltip("label:N"), alt.Tooltip("neuron:N"), alt.Tooltip("place:Q", title="place by LCA"),
               alt.Tooltip("share:Q", title="share (%)", format="+.2f"), alt.Tooltip("weight:Q", format="+.3f"),
               alt.Tooltip("serves:N", title="among the label's own top k")]
    rows, columns = table.label.nunique(), table.neuron.nunique()
    cells, pick = clickable(alt.Chart().mark_rect(cursor="pointer").encode(x=x, y=y, color=colour, tooltip=tooltip))
    dots = alt.Chart().transform_filter("datum.serves").mark_point(  # no tooltip: the cell has the mouse
        filled=True, size=14, color="black", opacity=0.8).encode(x=x, y=y)
    axis = alt.AxisConfig(labelFontSize=FONT - 2 if columns > 25 or rows > 25 else FONT, titleFontSize=FONT, grid=False)
    return Overlay(layer=[cells, dots], height=MAP_FRAME + CELL * rows, data=table, params=[pick],
                   config=alt.Config(axis=axis), title=alt.TitleParams(heading, fontSize=FONT + 3, offset=8))


def needed(table: pd.DataFrame, ks: Sequence[int], delta: float) -> Overlay:
    """How many neurons each label needs, before and after; table as tables.needed has it, checkpoint being the role."""
    colour, shape = colours()
    x = k_axis(ks, "Neurons of the layer's top k (log scale)")
    y = alt.Y("label:N", sort=alt.EncodingSortField("n", op="max", order="descending"),
              axis=_labels("Label, the most frequent first", table.label))
    here = alt.Chart().transform_filter(AT_LAYER)
    points = here.mark_point(filled=True, size=90, opacity=0.85).encode(
        x=x, y=y, color=colour, shape=shape, tooltip=[
            alt.Tooltip("label:N"), alt.Tooltip("checkpoint:N"), alt.Tooltip("k:Q", title="neurons needed"),
            alt.Tooltip("oracle:Q", title="oracle on dev (%)", format=".1f"), alt.Tooltip("n:Q", title="dev words")])
    lines = here.mark_line(color=NEUTRAL, strokeWidth=2).encode(x=x, y=y, detail="label:N")
    title = f"'Neurons that a label needs, within {in_points(delta)} of its oracle on dev, layer ' + {LAYER}"
    return live(table, title, FRAME + CELL * table.label.nunique(), [lines, points], ks)


def audit(table: pd.DataFrame, ks: Sequence[int], role: str, over_all: bool) -> Overlay:
    """Accuracy on the first k neurons by each method, at the slider's layer; table as tables.audit has it."""
    shown = table[(table.layer == ALL_LAYERS if over_all else table.layer != ALL_LAYERS)
                  & (table.checkpoint == role) & (table.order == "top")]
    here = alt.Chart() if over_all else alt.Chart().transform_filter(AT_LAYER)
    x, y = k_axis(ks), percent(shown[["value"]], "Test accuracy (%)")
    tooltip = [alt.Tooltip("name:N", title="method"), alt.Tooltip("k:Q"),
               alt.Tooltip("value:Q", title="accuracy (%)", format=".1f")]
    line = here.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=60, filled=True)).encode(
        x=x, y=y, color=_methods(), tooltip=tooltip)
    rule = slider_line(x, AT_K, pd.DataFrame({"k": ks}))
    where = "', all layers at once'" if over_all else f"', layer ' + {LAYER}"
    return live(_named(shown), f"'Ranked by each method, then probed alike, {role}' + {where}", HEIGHT + 60,
                [rule, line], ks)


def overlap(pairs: pd.DataFrame, ks: Sequence[int], role: str, over_all: bool) -> Overlay:
    """Share of the first k that two methods have in common, at the sliders' position."""
    shown = pairs[(pairs.checkpoint == role) & (pairs.layer == ALL_LAYERS if over_all else pairs.layer != ALL_LAYERS)]
    shown = shown.assign(one=shown.one.map(METHODS), other=shown.other.map(METHODS), value=shown.value.round(1))
    here = alt.Chart().transform_filter(AT_K if over_all else f"{AT_LAYER} && {AT_K}")
    names = list(METHODS.values())
    x = alt.X("one:N", sort=names, axis=alt.Axis(title="Method", labelAngle=0, labelFlush=False))
    y = alt.Y("other:N", sort=names, axis=_labels("Method", pd.Series(names), grid=False))
    cells = here.mark_rect().encode(x=x, y=y, color=alt.Color(
        "value:Q", scale=alt.Scale(scheme="blues", domain=[0, 100]), legend=None))
    text = here.mark_text(fontSize=FONT + 1).encode(
        x=x, y=y, text=alt.Text("value:Q", format=".0f"),
        color=alt.condition("datum.value > 55", alt.value("white"), alt.value("#222")))
    shared = f"'Top ' + {K} + ' shared by two methods (%), "
    title = f"{shared}all layers'" if over_all else (
        f"{K} == {max(ks)} ? 'All {max(ks)} neurons are one set, layer ' + {LAYER}"
        f" : {shared}layer ' + {LAYER}")
    return live(shown[["layer", "k", "one", "other", "value"]], title, LOW, [cells, text], ks)


def stability(table: pd.DataFrame, ks: Sequence[int], role: str) -> Overlay:
    """How much of its first k a method keeps from resample to resample, at the slider's layer."""
    shown = _named(table[table.checkpoint == role]).round({"value": 1, "low": 1, "high": 1})
    here = alt.Chart().transform_filter(AT_LAYER)
    x = k_axis(ks, "Neurons (top k, log scale)")
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 100]), axis=value_axis("Shared by two resamples (%)", "d"))
    tooltip = [alt.Tooltip("name:N", title="method"), alt.Tooltip("k:Q"),
               *(alt.Tooltip(f"{field}:Q", title=title, format=".0f") for field, title in (
                   ("value", "shared, mean (%)"), ("low", "least of all pairs"), ("high", "most")))]
    band = here.mark_area(opacity=0.1).encode(x=x, y="low:Q", y2="high:Q", color=_methods(3))
    line = here.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=50, filled=True)).encode(
        x=x, y=y, color=_methods(3), tooltip=tooltip)
    rule = slider_line(x, AT_K, pd.DataFrame({"k": ks}))
    title = f"'Stability over resamples, layer ' + {LAYER}"
    return live(shown, title, LOW, [rule, band, line], ks)


def _labels(title: str, names: pd.Series, grid: bool = True) -> alt.Axis:
    """An axis with room for its longest name from the start: the chart may still be empty when it is laid out."""
    room = min(130, 20 + 8 * int(names.str.len().max()))
    return alt.Axis(title=title, labelLimit=130, minExtent=room, labelOverlap=False, labelFlush=False,
                    grid=grid)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(name=table.method.map(METHODS)).drop(columns=["method", "checkpoint"])


def _methods(columns: int = 5) -> alt.Color:
    return alt.Color("name:N", scale=alt.Scale(domain=list(METHODS.values()), range=PALETTE),
                     legend=alt.Legend(title=None, orient="top", labelFontSize=FONT, symbolSize=120, symbolOpacity=1,
                                       columns=columns))
