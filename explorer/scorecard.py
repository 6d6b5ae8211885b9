"""The published patterns, checked on any set of studies: each seen, not seen, or undecided at 95 %.

A pattern is checked on each study's pair of checkpoints; a pair says 'seen' or 'not seen' only where intervals let it.
Over several pairs patterns.together says what they say. The patterns are those of Durrani, Sajjad & Dalvi 2021, and top
over random over bottom of Dalvi et al. 2019.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.all_layers import MOST, AllLayers, fits, stored
from explorer.evidence import Evidence, Missing
from explorer.models import last_steps
from explorer.patterns import (
    KEPT,
    NOT_SEEN,
    SEEN,
    UNDECIDED,
    UNTESTED,
    Verdict,
    change_is_in_the_higher_layers,
    layer_table,
    tasks_differ,
    together,
)
from explorer.specs import LayerSpec
from explorer.stats import LEVEL, RESAMPLES, bounds, draws, resamples, simultaneous, sums
from explorer.store import Store
from explorer.study import Study, short_name, tasks_of, unusual
from explorer.untrained import tuned

RISE = "Before fine-tuning, accuracy rises from layer 0."
ALL = "A probe on all layers together is nearly as good after fine-tuning as before."
SHIFT = "After fine-tuning, the salient neurons lie in lower layers."
ORDER = "Probes on the top neurons beat those on random ones, and these those on the bottom ones."
UNKNOWN = "it takes probes on all layers together, which are not computed yet"
TOO_MANY = f"it takes one probe on the neurons of all layers together; these have more than {MOST:,}"
SEED = 0


@dataclass(frozen=True, eq=False)
class Pair:
    """One fine-tuned checkpoint of a study."""

    study: Study
    finetuned: str

    @property
    def name(self) -> str:
        return self._of(f"{short_name(self.study.base)} → {short_name(self.finetuned)}")

    @property
    def start(self) -> str:
        """Its pre-trained checkpoint alone."""
        return self._of(short_name(self.study.base))

    @property
    def before(self) -> LayerSpec:
        """What the figures of its pre-trained checkpoint are of."""
        return dict(self.study.spec.checkpoints)[self.study.base]

    def _of(self, models: str) -> str:
        request = self.study.request
        return ", ".join(filter(None, (f"{request.corpus.property}: {models}", unusual(request))))

    @property
    def task(self) -> str | None:
        """What it was fine-tuned on, as the run's record says."""
        return tasks_of(self.study.made).get(self.finetuned)


@dataclass(frozen=True)
class Line:
    """A pattern, the verdict over all pairs, and what each says."""

    verdict: Verdict
    pairs: tuple[tuple[str, Verdict], ...]


def pairs(studies: Sequence[Study]) -> list[Pair]:
    """Each study's fine-tuned checkpoints; of a run's steps the last alone, and no random weights.

    Of the same checkpoints on the same words, which studies name differently, the first. One with unusual settings,
    such as a sample, counts where no study of the same has the usual ones.
    """
    found: dict[tuple[LayerSpec, LayerSpec], Pair] = {}
    usual = set()
    for study in sorted(studies, key=lambda study: bool(unusual(study.request))):
        specs, corpus = dict(study.spec.checkpoints), study.request.corpus
        for name in last_steps(tuned(study.request)):
            same = study.base, specs[name].train.checkpoint, corpus.property, corpus.train
            if not unusual(study.request):
                usual.add(same)
            elif same in usual:
                continue
            found.setdefault((specs[study.base], specs[name]), Pair(study, name))
    return list(found.values())


def scorecard(studies: Sequence[Study], store: Store) -> list[Line]:
    """The six patterns, in the order of the module's account of them; the first is of pre-trained checkpoints alone."""
    found = pairs(studies)
    starts = {pair.before: pair for pair in reversed(found)}
    layers = {pair: layer_table(pair.study.table, pair.study.base, pair.finetuned) for pair in found}
    figures = {pair: (stored(Evidence(store, pair.study), pair.study.base),
                      stored(Evidence(store, pair.study), pair.finetuned)) for pair in found}

    def known(check: Callable[[AllLayers, AllLayers], Verdict], pattern: str, pair: Pair) -> Verdict:
        before, after = figures[pair]
        return check(before, after) if before and after else \
            Verdict(pattern, UNTESTED, UNKNOWN if fits(pair.study) else TOO_MANY)

    checks: list[Callable[[Pair], Verdict]] = [
        lambda pair: change_is_in_the_higher_layers(layers[pair]),
        lambda pair: known(unchanged, ALL, pair), lambda pair: known(shifts, SHIFT, pair),
        lambda pair: known(ordered, ORDER, pair),
    ]
    if not found:
        return []
    risen = [(pair.start, rises_paired(Evidence(store, pair.study)) or rises(pair.study.table, pair.study.base))
             for pair in reversed(starts.values())]
    lines = [_line([(pair.name, check(pair)) for pair in found]) for check in checks]
    return [_line(risen), lines[0], _line(list(_tasks(layers))), *lines[1:]]


def rises(table: pd.DataFrame, base: str) -> Verdict:
    """Some layer's accuracy lies above layer 0's, by bounds that hold for all layers at once."""
    whole = table[(table.checkpoint == base) & (table.split == "test") & (table.label == "")
                  & (table.k == table[table.split == "test"].k.max())]
    wide = whole.pivot_table(index="layer", columns="metric", values="value")
    if "accuracy_low_all" not in wide:
        return Verdict(RISE, UNTESTED, "the study was made without bounds for all layers at once; run it again")
    best, first = wide.loc[wide.accuracy.idxmax()], wide.loc[0]
    below = (wide.accuracy_high_all.drop(0) < first.accuracy_low_all).all()
    verdict = SEEN if best.accuracy_low_all > first.accuracy_high_all else NOT_SEEN if below else UNDECIDED
    return Verdict(RISE, verdict, f"layer {best.name} has {_accuracy(best)}, layer 0 {_accuracy(first)}")


def rises_paired(evidence: Evidence) -> Verdict | None:
    """The same by bounds of each layer's gain over layer 0 on the same sentences; None where the cache lacks them."""
    base, whole = evidence.study.base, max(evidence.study.spec.k)
    try:
        test = evidence.activations(base, "test")
        gold, sentence = evidence.codes("test")[test.kept], evidence.words("test").sentence.to_numpy()[test.kept]
        layers = [evidence.store.arrays(evidence.spec(base, layer)) for layer in range(test.n_layers)]
    except Missing:
        return None
    if not all(found is not None and f"{whole}/test" in found[0] for found in layers):
        return None
    right = np.stack([found[0][f"{whole}/test"] == gold for found in layers if found], 1)  # (words, layers)
    starts = np.flatnonzero(np.diff(sentence, prepend=-1))
    gain = np.add.reduceat(right.astype(np.int64) - right[:, :1], starts, axis=0)  # (sentences, layers)
    drawn = draws(len(starts), np.random.default_rng(SEED))
    values = sums(gain, drawn) / sums(np.diff(starts, append=len(gold)), drawn)[:, None]
    low, high = simultaneous(values[0][:, None], values[1:, :, None])
    best = int(values[0].argmax())
    verdict = SEEN if low.max() > 0 else NOT_SEEN if high[1:].max(initial=-1) < 0 else UNDECIDED
    gained = _points(values[0, best], low[best, 0], high[best, 0])
    return Verdict(RISE, verdict, f"most in layer {best}: {gained} points over layer 0's {right[:, 0].mean():.1%}")


def unchanged(before: AllLayers, after: AllLayers) -> Verdict:
    """The interval of the change lies within KEPT of zero, or all of it beyond."""
    value, low, high = difference(after.hits["all"], before.hits["all"], before.words)
    verdict = SEEN if low > -KEPT and high < KEPT else NOT_SEEN if high < -KEPT or low > KEPT else UNDECIDED
    return Verdict(ALL, verdict, f"delta {_points(value, low, high)} points; nearly is within {100 * KEPT:.0f}")


def shifts(before: AllLayers, after: AllLayers) -> Verdict:
    """The mean layer of the salient neurons falls; they are resampled, each checkpoint's apart."""
    random = np.random.default_rng(SEED)
    draws = [random.choice(part.layers, (RESAMPLES, len(part.layers))).mean(1) for part in (before, after)]
    value = after.layers.mean() - before.layers.mean()
    (low,), (high,) = bounds((draws[1] - draws[0])[:, None])
    verdict = SEEN if high < 0 else NOT_SEEN if low > 0 else UNDECIDED
    figures = (f"mean layer {before.layers.mean():.2f} before, {after.layers.mean():.2f} after; change "
               f"{_signed(value, 2)} ({_signed(low, 2)} to {_signed(high, 2)})")
    return Verdict(SHIFT, verdict, figures)


def ordered(before: AllLayers, after: AllLayers) -> Verdict:
    """Both gaps are above zero, in both checkpoints."""
    gaps = {f"{upper} over {lower} {when}": difference(part.hits[upper], part.hits[lower], part.words)
            for when, part in (("before", before), ("after", after))
            for upper, lower in (("top", "random"), ("random", "bottom"))}
    verdict = SEEN if all(low > 0 for _, low, _ in gaps.values()) else \
        NOT_SEEN if any(high < 0 for *_, high in gaps.values()) else UNDECIDED
    return Verdict(ORDER, verdict, "points: " + ", ".join(f"{name} {_points(*gap)}" for name, gap in gaps.items()))


def difference(hits: np.ndarray, others: np.ndarray, words: np.ndarray) -> tuple[float, float, float]:
    """Of two accuracies on the same sentences, hits and words (sentences,): the value and its paired bounds."""
    drawn = resamples(len(words), np.random.default_rng(SEED))
    gap = hits.astype(np.int64) - others.astype(np.int64)
    (low,), (high,) = bounds((sums(gap, drawn) / sums(words, drawn))[:, None])
    return float(gap.sum() / words.sum()), float(low), float(high)


def to_markdown(lines: Sequence[Line], studies: Sequence[Study]) -> str:
    """The scorecard as a document."""
    rows = [f"| {line.verdict.pattern} | **{line.verdict.verdict}** | {line.verdict.because} |" for line in lines]
    parts = ["# Scorecard", f"{len(studies)} studies, intervals at {LEVEL:.0%}.", "\n".join(
        ["| pattern | verdict | over the pairs |", "|---|---|---|", *rows])]
    for line in lines:
        parts += [f"## {line.verdict.pattern}", "\n".join(
            f"- {_plain(name)}: {verdict.verdict}; {_plain(verdict.because)}" for name, verdict in line.pairs)]
    parts.append("## Studies\n\n```json\n" + json.dumps(_provenance(studies), indent=1, ensure_ascii=False) + "\n```")
    return "\n\n".join(parts) + "\n"


def to_json(lines: Sequence[Line], studies: Sequence[Study]) -> str:
    """The same for programs, with every spec, seed and version."""
    patterns = [{**dataclasses.asdict(line.verdict),
                 "pairs": [{"pair": name, **dataclasses.asdict(verdict)} for name, verdict in line.pairs]}
                for line in lines]
    return json.dumps({"level": LEVEL, "resamples": RESAMPLES, "seed": SEED, "patterns": patterns,
                       "studies": _provenance(studies)}, indent=1, ensure_ascii=False)


def _provenance(studies: Sequence[Study]) -> list[dict]:
    return [{"key": study.key, "created": study.created, "request": dataclasses.asdict(study.request),
             "spec": study.spec.as_dict(), **study.made, "notes": list(study.notes)} for study in studies]


def _line(found: list[tuple[str, Verdict]]) -> Line:
    return Line(together([verdict for _, verdict in found]), tuple(found))


def _tasks(layers: Mapping[Pair, pd.DataFrame]) -> Iterator[tuple[str, Verdict]]:
    """The pattern on tasks, for each base that they share, probed alike on the same words and labels.

    Of a task the newest study counts.
    """
    groups: dict[LayerSpec, list[Pair]] = {}
    for pair in layers:
        groups.setdefault(pair.before, []).append(pair)
    for group in groups.values():
        study = group[0].study
        by_task = {pair.task: layers[pair] for pair in sorted(group, key=lambda pair: pair.study.created) if pair.task}
        yield f"{study.request.corpus.property}: {short_name(study.base)}", tasks_differ(by_task)


def _accuracy(row: pd.Series) -> str:
    return f"{row.accuracy:.1%} ({100 * row.accuracy_low_all:.1f} to {100 * row.accuracy_high_all:.1f})"


def _points(value: float, low: float, high: float) -> str:
    return f"{_signed(100 * value, 1)} ({_signed(100 * low, 1)} to {_signed(100 * high, 1)})"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _plain(text: str) -> str:
    """Text from outside, that Markdown is not to read."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|$" else c for c in text)
