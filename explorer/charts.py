"""Charts of a study: data frames in, altair charts out; nothing here knows of Streamlit.

A chart holds the whole grid of layers and k, and shows the part that its two parameters choose: L, the layer, and K,
the index of k in the grid. Bound to an element of the page they follow a slider while it is dragged, and neither data
nor specification change; unbound they are fixed, for a file.
"""
import altair as alt
import pandas as pd

Chart = alt.LayerChart | alt.FacetChart

BEFORE, AFTER = "pre-trained", "fine-tuned"
COLOURS = alt.Scale(domain=[BEFORE, AFTER], range=["#3b8fd9", "#e8741e"])  # apart for the colour-blind, on any ground
FELL, ROSE, UNSURE = "#d1495b", "#2a9d6f", "#9a9a9a"
MARK = "#8a8a8a"  # of the sliders' positions
AXIS_WIDTH = 52  # pixels: charts one above the other have one layer axis
LIVE = {"L": "#live-layer", "K": "#live-k"}  # elements whose value the parameters follow
AT_LAYER, AT_K = "datum.layer == toNumber(L)", "datum.ki == toNumber(K)"


def grid(table: pd.DataFrame, base: str, finetuned: str) -> pd.DataFrame:
    """What the charts draw: a row for each layer and k with before, after, delta, low, high (shares) and ki.

    table is a study's; the figures are of the whole test split, low and high the delta's 95 % interval.
    """
    whole = table[(table.split == "test") & (table.label == "")]
    index = ["layer", "k"]
    before = whole[(whole.checkpoint == base) & (whole.metric == "accuracy")].set_index(index).value
    after = whole[whole.checkpoint == finetuned].pivot_table(index=index, columns="metric", values="value")
    wide = pd.DataFrame({BEFORE: before, AFTER: after.accuracy, "delta": after.delta, "low": after.delta_low,
                         "high": after.delta_high}).reset_index()
    wide["ki"] = wide.k.rank(method="dense").astype(int) - 1
    return wide


def accuracy_by_layer(wide: pd.DataFrame, layer: int | None = None, ki: int | None = None) -> Chart:
    """Both checkpoints' probe accuracy in every layer, at the chosen k; the chosen layer is marked."""
    lines = _at_k(_both(wide)).mark_line(point=alt.OverlayMarkDef(size=60), strokeWidth=2.5).encode(
        _layer_axis(wide, labels=False), _accuracy_axis(wide), _colour(), tooltip=_tooltip())
    return _finished([_layer_rule(wide), lines], layer, ki, 250, "Probe accuracy by layer")


def delta_by_layer(wide: pd.DataFrame, layer: int | None = None, ki: int | None = None) -> Chart:
    """Fine-tuned minus pre-trained in every layer, at the chosen k, with 95 % intervals; grey where they hold zero."""
    base = _at_k(alt.Chart(wide)).transform_calculate(
        points="100 * datum.delta", from_="100 * datum.low", to="100 * datum.high",
        sure=f"datum.low > 0 ? '{ROSE}' : datum.high < 0 ? '{FELL}' : '{UNSURE}'",
    )
    limit = 100 * max(abs(wide.low.min()), abs(wide.high.max()), 0.005)
    y = alt.Y("points:Q", title="delta (points)", scale=alt.Scale(domain=[-limit, limit], nice=True),
              axis=alt.Axis(minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH, tickCount=5, format="+"))
    bars = base.mark_bar(size=_bar(wide), opacity=0.75).encode(
        _layer_axis(wide), y, alt.Color("sure:N", scale=None), tooltip=_tooltip())
    spans = base.mark_rule(strokeWidth=1.5).encode(_layer_axis(wide), alt.Y("from_:Q"), alt.Y2("to:Q"),
                                                   color=alt.value(MARK))
    return _finished([_layer_rule(wide), bars, spans], layer, ki, 180, "Change by layer: fine-tuned minus pre-trained")


def accuracy_by_k(wide: pd.DataFrame, layer: int | None = None, ki: int | None = None) -> Chart:
    """Both checkpoints' accuracy against the number of best neurons, in the chosen layer; the chosen k is marked."""
    x = alt.X("k:Q", title="top-k neurons of the layer (log scale)",
              scale=alt.Scale(type="log", domain=[1, int(wide.k.max())], nice=False))
    lines = _both(wide).transform_filter(AT_LAYER).mark_line(point=alt.OverlayMarkDef(size=40), strokeWidth=2.5).encode(
        x, _accuracy_axis(wide), _colour(), tooltip=_tooltip())
    ks = wide[["k", "ki"]].drop_duplicates()
    rule = _at_k(alt.Chart(ks)).mark_rule(color=MARK, strokeWidth=2, strokeDash=[5, 4]).encode(x)
    return _finished([rule, lines], layer, ki, 250, "Accuracy by number of neurons in the chosen layer")


def readout(wide: pd.DataFrame, layer: int | None = None, ki: int | None = None) -> Chart:
    """One line of text: the figures at the chosen layer and k."""
    text = (
        f"'Layer ' + datum.layer + ', top ' + format(datum.k, ',') + (datum.k == 1 ? ' neuron' : ' neurons')"
        f" + ':  {BEFORE} ' + format(datum['{BEFORE}'], '.1%') + ',  {AFTER} ' + format(datum['{AFTER}'], '.1%')"
        " + ',  delta ' + format(100 * datum.delta, '+.1f') + ' points'"
    )
    line = alt.Chart(wide).transform_filter(f"{AT_LAYER} && {AT_K}").transform_calculate(text=text).mark_text(
        align="left", fontSize=17, fontWeight=600, dx=2).encode(alt.Text("text:N"), x=alt.value(0), y=alt.value(12))
    return alt.layer(line).add_params(*_params(layer, ki)).properties(height=24, width="container")


def _params(layer: int | None, ki: int | None) -> list[alt.Parameter]:
    """L and K: fixed where a value is given, bound to the page's elements where not."""
    fixed = {"L": layer, "K": ki}
    return [
        alt.param(name=name, value=fixed[name]) if fixed[name] is not None
        else alt.param(name=name, value="0", bind=alt.BindDirect(element=LIVE[name], event="input"))
        for name in LIVE
    ]


def _finished(layers: list[alt.Chart], layer: int | None, ki: int | None, height: int, title: str) -> Chart:
    return alt.layer(*layers).add_params(*_params(layer, ki)).properties(
        height=height, width="container", title=alt.TitleParams(title, anchor="start"))


def _both(wide: pd.DataFrame) -> alt.Chart:
    return alt.Chart(wide).transform_fold([BEFORE, AFTER], as_=["checkpoint", "accuracy"])


def _at_k(chart: alt.Chart) -> alt.Chart:
    return chart.transform_filter(AT_K)


def _layer_axis(wide: pd.DataFrame, labels: bool = True) -> alt.X:
    last = int(wide.layer.max())
    axis = alt.Axis(values=list(range(last + 1)), format="d", grid=False, labels=labels, ticks=labels)
    return alt.X("layer:Q", title="layer (0: embeddings)" if labels else None, axis=axis,
                 scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False))


def _layer_rule(wide: pd.DataFrame) -> alt.Chart:
    layers = wide[["layer"]].drop_duplicates()
    return alt.Chart(layers).transform_filter(AT_LAYER).mark_rule(
        color=MARK, strokeWidth=2, strokeDash=[5, 4]).encode(_layer_axis(wide))


def _accuracy_axis(wide: pd.DataFrame) -> alt.Y:
    """One range for every k and layer: nothing jumps when a slider moves."""
    lowest = min(wide[BEFORE].min(), wide[AFTER].min())
    return alt.Y("accuracy:Q", title="accuracy (%)", scale=alt.Scale(domain=[int(10 * lowest) / 10, 1]),
                 axis=alt.Axis(format="%", minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH, tickCount=6))


def _colour() -> alt.Color:
    return alt.Color("checkpoint:N", scale=COLOURS, legend=alt.Legend(title=None, orient="top-right", symbolSize=120))


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("layer:Q", title="layer"), alt.Tooltip("k:Q", title="neurons", format=","),
        alt.Tooltip(f"{BEFORE}:Q", format=".1%"), alt.Tooltip(f"{AFTER}:Q", format=".1%"),
        alt.Tooltip("delta:Q", format="+.1%"), alt.Tooltip("low:Q", title="delta, 95 % from", format="+.1%"),
        alt.Tooltip("high:Q", title="to", format="+.1%"),
    ]


def _bar(wide: pd.DataFrame) -> float:
    """Pixels: bars of a 12-layer and of a 24-layer model both leave gaps."""
    return min(40.0, 420 / (int(wide.layer.max()) + 1))


def labels(table: pd.DataFrame, base: str, finetuned: str, layer: int, k: int) -> pd.DataFrame:
    """Accuracy of each label of the test split, in percent, the most changed first: label, before, after, delta, n."""
    rows = table[(table.split == "test") & (table.label != "") & (table.layer == layer) & (table.k == k)
                 & (table.metric == "accuracy")]
    before = rows[rows.checkpoint == base].set_index("label")
    after = rows[rows.checkpoint == finetuned].set_index("label")
    found = pd.DataFrame({BEFORE: 100 * before.value, AFTER: 100 * after.value, "n": before.n})
    found.insert(2, "delta", found[AFTER] - found[BEFORE])
    return found.sort_values("delta", key=lambda delta: -delta.abs(), kind="stable").reset_index()
