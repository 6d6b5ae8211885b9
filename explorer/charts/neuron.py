"""Charts of a neuron's card, and of two neurons against each other."""
from functools import cache

import altair as alt
import pandas as pd

from explorer.card import Card
from explorer.charts.theme import COLOURS, NEUTRAL, Overlay, checkpoint_colour, filled, still

ROW = 24  # pixels of a label's row
POINTS = 3000  # words in a scatter
NAMED = 9  # labels with a colour of their own
REST = "(other labels)"
PALETTE = ["#4c78a8", "#e45756", "#54a24b", "#b279a2", "#eeca3b", "#72b7b2", "#9d755d", "#ff9da6", "#d67195"]


def charts(card: Card) -> list[dict]:
    """Vega-Lite of a card: activations by label, weights by label, histogram."""
    order = card.labels.label.drop_duplicates().tolist()
    rows = {"labels": card.labels, "zero": pd.DataFrame({"zero": [0]})}
    by_label, weights = (
        filled(template, rows, title=f"{card.neuron}: {what} by label", order=order, height=ROW * len(order))
        for template, what in ((_by_label(), "activation"), (_weights(), "weight")))
    return [by_label, weights, filled(_histogram(), {"bins": card.bins}, title=f"{card.neuron}: all words")]


@cache
def _by_label() -> dict:
    """Boxes of a neuron's activations label by label, the highest mean first."""
    base = _rows()
    x = alt.X("q05:Q", title="Activation", scale=alt.Scale(zero=False))
    layers = [
        _zero(),
        base.mark_rule(strokeWidth=1.5).encode(x=x, x2="q95:Q", color=checkpoint_colour()),
        base.mark_bar(height=8).encode(x="q25:Q", x2="q75:Q", color=checkpoint_colour()),
        # Seen where there is no box.
        base.mark_tick(thickness=3, height=14, opacity=1).encode(x="mean:Q", color=checkpoint_colour()),
        base.mark_tick(color="white", thickness=2, height=8).encode(x="mean:Q"),
    ]
    chart = still(Overlay(layer=layers), "$title", ROW, "Box: middle half of the words, line: 5 to 95 %, white: mean")
    return chart.to_dict(validate=False) | {"height": "$height"}


@cache
def _weights() -> dict:
    """A neuron's weight for each label in the probe on its whole layer; rows as in _by_label."""
    bars = _rows().mark_bar(height=8).encode(
        x=alt.X("weight:Q", title="Weight (on standardised activations)"), color=checkpoint_colour())
    chart = still(Overlay(layer=[_zero(), bars]), "$title", ROW, "In the probe on the whole layer; rows as on the left")
    return chart.to_dict(validate=False) | {"height": "$height"}


@cache
def _histogram() -> dict:
    """All words by their activation, before and after."""
    chart = alt.Chart(alt.NamedData("bins")).transform_calculate(percent="100 * datum.share").mark_area(
        interpolate="step-after", opacity=0.35, line={"strokeWidth": 2},
    ).encode(
        x=alt.X("low:Q", title="Activation", scale=alt.Scale(zero=False, nice=False)),
        y=alt.Y("percent:Q", title="Words (%)", stack=None), color=checkpoint_colour(),
        tooltip=["checkpoint:N", alt.Tooltip("low:Q", title="from", format=".3f"),
                 alt.Tooltip("high:Q", title="to", format=".3f"),
                 alt.Tooltip("percent:Q", title="words (%)", format=".2f")])
    return still(chart, "$title", 230, "Share of words in each of 60 bins of activation").to_dict()


def scatter(frame: pd.DataFrame, x: str, y: str) -> alt.Chart:
    """Words (columns x, y, word, label) by the activations of two neurons; x and y name them.

    Of many words, POINTS evenly spaced ones are drawn; of many labels, the most frequent have colours.
    """
    of = f" of {len(frame):,}" if len(frame) > POINTS else ""
    frame = frame.iloc[:: max(1, -(-len(frame) // POINTS))]
    named = frame.label.value_counts().index[:NAMED].tolist()
    frame = frame.assign(colour=frame.label.where(frame.label.isin(named), REST))
    domain = named + [REST] * bool((frame.colour == REST).any())
    colours = [*PALETTE[:len(named)], NEUTRAL][:len(domain)]
    colour = alt.Color("colour:N", title="Label", scale=alt.Scale(domain=domain, range=colours),
                       legend=alt.Legend(symbolOpacity=1, symbolSize=120))
    chart = alt.Chart(frame).mark_circle(size=28, opacity=0.6).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(zero=False)), y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=False)),
        color=colour, tooltip=["word:N", "label:N", alt.Tooltip("x:Q", title=x, format=".3f"),
                               alt.Tooltip("y:Q", title=y, format=".3f")])
    return still(chart, f"{x} against {y}, {len(frame):,}{of} words", 440)


def _zero() -> alt.Chart:
    return alt.Chart(alt.NamedData("zero")).mark_rule(color=NEUTRAL).encode(x="zero:Q")


def _rows() -> alt.Chart:
    """A row for each label, the checkpoints side by side in it."""
    y = alt.Y("label:N", sort="$order", title="Label (highest mean first)", axis=alt.Axis(labelOverlap=False))
    offset = alt.YOffset("checkpoint:N", sort=list(COLOURS))
    return alt.Chart(alt.NamedData("labels")).encode(y=y, yOffset=offset, tooltip=_tooltip())


def _tooltip() -> list[alt.Tooltip]:
    shown = {"mean": "mean", "median": "median", "q05": "5 % below", "q95": "95 % below", "weight": "weight"}
    return [alt.Tooltip("checkpoint:N"), alt.Tooltip("label:N"), alt.Tooltip("n:Q", title="words", format=","),
            *(alt.Tooltip(f"{field}:Q", title=title, format=".3f") for field, title in shown.items())]
