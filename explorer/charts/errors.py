"""The confusion matrix of both checkpoints' probes, and its change."""
import altair as alt
import pandas as pd

from explorer.charts.sentence import DARK, DIVERGING, NONE
from explorer.charts.theme import FONT, Overlay, ink, still

CELL = 22  # pixels
LEGEND = alt.Legend(orient="top", direction="horizontal", gradientLength=200)
TITLES = {"before": "Pre-trained", "after": "Fine-tuned", "difference": "Change"}


def confusion(table: pd.DataFrame, which: str) -> Overlay:
    """errors.confusion as a matrix; which is one of TITLES. Counts are words; colours of the first two are shares."""
    order = table.groupby("gold").before.sum().sort_values(ascending=False).index.tolist()
    columns = order + sorted(set(table.predicted) - set(order))
    table = table[table[which] != 0]
    x = alt.X("predicted:N", sort=columns, title="Predicted label", scale=alt.Scale(domain=columns),
              axis=alt.Axis(labelAngle=-60, labelOverlap=False))
    y = alt.Y("gold:N", sort=order, title="Gold label (most frequent first)", scale=alt.Scale(domain=order),
              axis=alt.Axis(labelOverlap=False, labelFlush=False))
    tooltip = [alt.Tooltip("gold:N"), alt.Tooltip("predicted:N"), alt.Tooltip("before:Q", title="pre-trained (words)"),
               alt.Tooltip("after:Q", title="fine-tuned (words)"), alt.Tooltip("difference:Q", format="+d")]
    if which == "difference":
        largest = max(int(table.difference.abs().max()) if len(table) else 0, 1)
        scale = alt.Scale(domain=[-largest, largest], domainMid=0, range=DIVERGING)
        colour = alt.Color("difference:Q", title="Fine-tuned minus pre-trained (words)", scale=scale, legend=LEGEND)
        dark = f"abs(datum.difference) > {DARK * largest}"
        form = "+d"
    else:
        colour = alt.Color(f"{which}_share:Q", title="Share of the gold label", legend=LEGEND,
                           scale=alt.Scale(domain=[0, 1], range=[NONE, DIVERGING[0]]))
        dark, form = f"datum.{which}_share > 0.5", "d"
    base = alt.Chart().encode(x=x, y=y, tooltip=tooltip)
    counts = base.mark_text(fontSize=FONT - 4).encode(text=alt.Text(f"{which}:Q", format=form), color=ink(dark))
    chart = Overlay(layer=[base.mark_rect().encode(color=colour), counts], data=table)
    title = f"{TITLES[which]}: words by gold and predicted label"
    return still(chart.resolve_scale(color="independent"), title, CELL * len(order))
