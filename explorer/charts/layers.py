"""Charts of one pair of checkpoints over the whole grid of layers and numbers of neurons."""
import altair as alt
import pandas as pd

from explorer.charts.theme import (
    AT_K,
    AT_LAYER,
    COLOURS,
    FONT,
    LAYER,
    NEUTRAL,
    SHAPES,
    K,
    live,
    rimmed,
    value_axis,
)

HEIGHT, LOW = 250, 300  # pixels of a chart
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
DELTA_TICKS = (0.3, 1, 3, 10, 30)
CROWDED = 14  # layers, above which bars have no numbers of their own


def grid(table: pd.DataFrame, base: str, finetuned: str) -> pd.DataFrame:
    """Figures of a pair on the whole test split, from a study's table: one row for each layer and k.

    Columns layer, k, n (test words); before, after (accuracy, %) and delta (after minus before, points), each with
    its bounds at 95 %, such as delta_low and delta_high.
    """
    whole = table[(table.split == "test") & (table.label == "")]
    index = ["layer", "k"]
    found: dict[str, pd.Series] = {}
    for column, name, metric in (("before", base, "accuracy"), ("after", finetuned, "accuracy"),
                                 ("delta", finetuned, "delta")):
        rows = whole[whole.checkpoint == name].pivot_table(index=index, columns="metric", values="value")
        found |= {column + bound: 100 * rows[metric + bound] for bound in ("", "_low", "_high")}
    return pd.DataFrame(found).round(3).assign(n=whole.groupby(index).n.first()).reset_index()


def labels(table: pd.DataFrame, base: str, finetuned: str) -> pd.DataFrame:
    """Test accuracy of a pair label by label: one row for each layer, k and label.

    Columns layer, k, label, n (test words), before, after (%) and delta (points).
    """
    parts = table[(table.split == "test") & (table.label != "") & (table.metric == "accuracy")]
    before, after = (parts[parts.checkpoint == name].set_index(["layer", "k", "label"]) for name in (base, finetuned))
    found = pd.DataFrame({"n": before.n, "before": 100 * before.value, "after": 100 * after.value})
    return found.assign(delta=found.after - found.before).reset_index()


def by_layer(grid: pd.DataFrame) -> alt.LayerChart:
    """Accuracy of both checkpoints by layer, at the slider's k."""
    x, whole = _layer_axis(grid), grid.k.max()
    title = f"'Accuracy by layer, ' + ({K} == {whole} ? 'all {whole} neurons' : 'top ' + {K} + ' of {whole} neurons')"
    return live(grid, title, HEIGHT, [_rule(x), _accuracies(grid, x, AT_K)])


def by_k(grid: pd.DataFrame) -> alt.LayerChart:
    """Accuracy of both checkpoints by number of neurons, at the slider's layer."""
    whole = int(grid.k.max())
    ticks = [*(tick for tick in TICKS if tick < whole / 1.6), whole]
    x = alt.X("k:Q", scale=alt.Scale(type="log", domain=[0.87, whole * 1.5], nice=False),
              axis=alt.Axis(title="Neurons in the probe (top-k, log scale)", values=ticks, format="d"))
    title = f"'Accuracy by number of neurons, layer ' + {LAYER}"
    return live(grid, title, HEIGHT, [_rule(x), _accuracies(grid, x, AT_LAYER)])


def delta_by_layer(grid: pd.DataFrame) -> alt.LayerChart:
    """Fine-tuned minus pre-trained by layer with its 95 % interval, at the slider's k; pale where that holds zero."""
    x, last = _layer_axis(grid, "Layer (0: embeddings)"), grid.layer.max()
    low, high = min(grid.delta_low.min(), 0.0), max(grid.delta_high.max(), 0.0)
    reach = 1.6 * max(-low, high, 1.0)  # with room for the numbers
    ticks = [tick for tick in DELTA_TICKS if reach / 15 < tick < reach]
    # Of few neurons a delta may be 20 points, of a whole layer half a point: both are to be seen on one scale.
    y = alt.Y("delta:Q", scale=alt.Scale(type="symlog", constant=1, domain=[-reach, reach], nice=False),
              axis=value_axis("Delta (points, log scale)", "+", values=sorted([0, *ticks, *(-tick for tick in ticks)]),
                              labelExpr="datum.value == 0 ? '0' : format(datum.value, '+')"))
    rows = alt.Chart().transform_filter(AT_K)
    unsure = alt.condition("datum.delta_low <= 0 && datum.delta_high >= 0", alt.value(0.35), alt.value(0.75))
    bars = rows.mark_bar(color=NEUTRAL, size=min(26.0, 300 / (last + 1))).encode(
        x=x, y=y, opacity=unsure, tooltip=_tooltip())
    intervals = rows.mark_rule(color=NEUTRAL, strokeWidth=2).encode(x=x, y="delta_low:Q", y2="delta_high:Q")
    zero = alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.datum(0))
    numbered = rows.transform_calculate(text="abs(datum.delta) < 0.05 ? '0.0' : format(datum.delta, '+.1f')")
    numbered = numbered.transform_filter(AT_LAYER) if last >= CROWDED else numbered
    falls, rises = (
        rimmed(numbered.transform_filter(f"datum.delta {sign} 0").encode(x=x, y=f"delta_{end}:Q"), FONT - 1, dy)
        for sign, end, dy in (("<", "low", 12), (">=", "high", -10)))
    title = "'Delta by layer (fine-tuned − pre-trained)'"
    return live(grid, title, LOW, [zero, bars, intervals, _rule(x), falls, rises])


def _accuracies(grid: pd.DataFrame, x: alt.X, shown: str) -> alt.LayerChart:
    """Both checkpoints' lines along x, where `shown` holds, and their values at the sliders' position."""
    low, high = grid[["before", "after"]].min(axis=None), grid[["before", "after"]].max(axis=None)
    room = 0.1 * max(high - low, 1.0)  # for the numbers
    step = 10 if high - low < 60 else 20
    y = alt.Y("accuracy:Q", axis=value_axis("Accuracy (%)", "d", values=list(range(0, 101, step))),
              scale=alt.Scale(domain=[max(low - room, 0), high + 1.3 * room], nice=False))
    legend = alt.Legend(title=None, orient="top", direction="horizontal", symbolSize=130, symbolStrokeWidth=3,
                        labelFontSize=FONT + 1, offset=2)
    names = list(COLOURS)
    colour = alt.Color("checkpoint:N", legend=legend, scale=alt.Scale(domain=names, range=list(COLOURS.values())))
    shape = alt.Shape("checkpoint:N", legend=legend, scale=alt.Scale(domain=names, range=SHAPES))
    here = alt.Chart().transform_filter(f"{AT_LAYER} && {AT_K}")
    upper = "datum.accuracy > min(datum.before, datum.after) || datum.delta == 0 && datum.role == 'before'"
    parts = [
        alt.Chart().mark_line(strokeWidth=3).encode(x=x, y=y, color=colour),
        alt.Chart().mark_point(filled=True, size=70, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=_tooltip()),
        here.mark_point(filled=True, size=200, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
        *(rimmed(here.transform_filter(condition).encode(x=x, y=y), FONT + 3, dy, colour)
          for condition, dy in ((upper, -17), (f"!({upper})", 19))),
    ]
    return alt.LayerChart(layer=parts, transform=[
        alt.FilterTransform(shown), alt.FoldTransform(fold=["before", "after"], **{"as": ["role", "accuracy"]}),
        alt.CalculateTransform(calculate=f"datum.role == 'before' ? '{names[0]}' : '{names[1]}'",
                               **{"as": "checkpoint"}),
        alt.CalculateTransform(calculate="format(datum.accuracy, '.1f')", **{"as": "text"}),
    ])


def _rule(x: alt.X) -> alt.Chart:
    """The line that shows where the slider of this axis stands."""
    here = alt.Chart().transform_filter(f"{AT_LAYER} && {AT_K}")
    return here.mark_rule(color=NEUTRAL, strokeWidth=2, strokeDash=[5, 4]).encode(x=x)


def _layer_axis(grid: pd.DataFrame, title: str | None = None) -> alt.X:
    last = int(grid.layer.max())
    return alt.X("layer:Q", scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False, padding=0),
                 axis=alt.Axis(title=title, values=list(range(last + 1)), format="d", grid=False))


def _tooltip() -> list[alt.Tooltip]:
    shown = {"before": "pre-trained (%)", "after": "fine-tuned (%)", "delta": "delta (points)",
             "delta_low": "delta, 95 % from", "delta_high": "to"}
    return [alt.Tooltip("layer:Q"), alt.Tooltip("k:Q", title="neurons"),
            *(alt.Tooltip(f"{field}:Q", title=title, format=".1f") for field, title in shown.items())]
