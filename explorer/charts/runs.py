"""Charts of runs that follow no slider: a run at work, its loss and dev score, and several runs side by side."""
from collections.abc import Sequence

import altair as alt
import pandas as pd

from explorer.charts.steps import CELLS, FIT, HEIGHT, LOW_HIGH, SIGNED, STRIP, score_scale, shift, time, tooltip
from explorer.charts.theme import FONT, MARGIN, NEUTRAL, Overlay, axes, ink, value_axis
from explorer.history import History
from explorer.study import short_name
from explorer.trajectory import forgotten


def growing(rows: pd.DataFrame) -> Overlay:
    """A run at work: delta by layer and step as far as it came, all neurons in the probe; follows no slider."""
    whole = rows[rows.k == rows.k.max()]
    return _cells(whole, time(scale=alt.Scale()), whole.delta.abs().max(),
                  alt.TitleParams("Delta to the start by layer", fontSize=FONT + 3, offset=8))


def multiples(found: Sequence[tuple[History, pd.DataFrame]]) -> list[Overlay]:
    """Small multiples of runs, on one scale."""
    most = max(*(rows[rows.k == rows.k.max()].delta.abs().max() for _, rows in found), 0.5)
    return [_multiple(rows, short_name(run.name), _facts(run, rows), most) for run, rows in found]


def _multiple(rows: pd.DataFrame, title: str, facts: str, most: float) -> Overlay:
    """One run among several: delta by layer and part of the run, all neurons in the probe; most: end of the scale."""
    whole = rows[rows.k == rows.k.max()]
    x = alt.X("part:O", axis=alt.Axis(title="Part of the run (%)", labelAngle=0, labelOverlap=True, grid=False))
    heading = alt.TitleParams(title, subtitle=facts, fontSize=FONT + 2, subtitleFontSize=FONT - 1, offset=8,
                              subtitleColor=NEUTRAL)
    return _cells(whole.assign(part=(100 * whole.step / whole.step.max()).round(1)), x, most, heading)


def _facts(run: History, rows: pd.DataFrame) -> str:
    """What a run is of, how long, and how much it forgets."""
    scores = [point.dev_score for point in run.points if point.dev_score is not None]
    lost = forgotten(rows)
    parts = [
        run.task, f"{run.train_rows:,} rows" if run.train_rows else "", f"{run.steps or run.points[-1].step:,} steps",
        f"dev {run.metric} {100 * scores[0]:.0f} → {100 * scores[-1]:.0f} %" if scores else "",
        f"{'loses' if lost > 0 else 'gains'} {abs(lost):.1f} points",
    ]
    return ", ".join(part for part in parts if part)


def _cells(rows: pd.DataFrame, x: alt.X, most: float, heading: alt.TitleParams) -> Overlay:
    """Deltas by layer along x; most: the end of the colour scale in points."""
    most = max(most, 0.5)
    y = alt.Y("layer:O", sort="descending", axis=alt.Axis(
        title="Layer (0: embeddings)", minExtent=MARGIN, maxExtent=MARGIN, labelFlush=False))
    cells = alt.Chart().mark_rect(cornerRadius=2).encode(x=x, y=y, color=shift(str(most)), tooltip=tooltip())
    numbers = alt.Chart().transform_calculate(text=SIGNED).mark_text(fontSize=FONT - 2).encode(
        x=x, y=y, text=alt.Text("text:N"), color=ink(f"abs(datum.delta) > {0.7 * most}"))
    return Overlay(layer=[cells, numbers] if len(rows) <= CELLS else [cells], height=HEIGHT, title=heading,
                   config=axes(), autosize=FIT, data=rows)


def losses(found: Sequence[tuple[int, float]], points: Sequence[tuple[int, float]], steps: int | None,
           most: int = 400) -> Overlay:
    """Training loss by step, at most so many means of neighbours, and the dev loss at each checkpoint (points)."""
    trained = pd.DataFrame(found, columns=["step", "loss"], dtype=float)
    trained = trained.groupby(trained.index // max(1, -(-len(trained) // most))).mean()
    last = steps or max([step for step, _ in (*found, *points)], default=1)
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, last], nice=False), axis=alt.Axis(title="Training step", format="d"))
    y = alt.Y("loss:Q", axis=value_axis("Loss", ".3~g", tickCount=5), scale=alt.Scale(zero=False))
    scored = pd.DataFrame(points, columns=["step", "loss"], dtype=float)
    kinds = pd.concat([trained.assign(of="training"), scored.assign(of="dev")])
    colour = alt.Color("of:N", scale=alt.Scale(domain=["training", "dev"], range=[NEUTRAL, LOW_HIGH[-1]]),
                       legend=alt.Legend(title=None, orient="top", labelFontSize=FONT, offset=2))
    dev = alt.Chart().transform_filter("datum.of == 'dev'")
    parts = [alt.Chart().transform_filter("datum.of == 'training'").mark_line(strokeWidth=1.5).encode(
                 x=x, y=y, color=colour),
             dev.mark_line(strokeWidth=3).encode(x=x, y=y, color=colour),
             dev.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=colour, tooltip=["step", "loss"])]
    return Overlay(layer=parts, data=kinds, height=HEIGHT - 60, config=axes(), autosize=FIT,
                   title=alt.TitleParams("Loss", fontSize=FONT + 3, offset=8))


def scores(known: History) -> Overlay:
    """Dev score at each checkpoint so far, on the time axis of losses()."""
    points = pd.DataFrame([(point.step, 100 * point.dev_score) for point in known.points
                           if point.dev_score is not None], columns=["step", "score"], dtype=float)
    if known.baseline is not None:
        points = points.assign(baseline=100 * known.baseline)
    scale = score_scale(points)
    x = alt.X("step:Q", axis=alt.Axis(title="Training step", format="d"),
              scale=alt.Scale(domain=[0, known.steps or max(points.step, default=1)], nice=False))
    y = alt.Y("score:Q", axis=value_axis(f"{known.metric} (%)", "d", tickCount=4), scale=scale)
    line, colour = alt.Chart(), LOW_HIGH[-1]
    parts = [line.mark_line(strokeWidth=3, color=colour).encode(x=x, y=y),
             line.mark_point(filled=True, size=90, opacity=1, color=colour).encode(x=x, y=y, tooltip=["step", "score"])]
    dotted = ""
    if known.baseline is not None:
        dotted = " (dotted: one answer for all)"
        parts.append(line.mark_rule(color=NEUTRAL, strokeDash=[2, 3]).encode(y=alt.Y("mean(baseline):Q", scale=scale)))
    return Overlay(layer=parts, data=points, height=STRIP, config=axes(), autosize=FIT,
                   title=alt.TitleParams(f"Dev {known.metric} of the task{dotted}", fontSize=FONT + 3, offset=8))
