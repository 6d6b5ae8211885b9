"""What a set of studies shows, in sentences made from its numbers, beside the patterns of the published study.

The patterns are those of Durrani, Sajjad & Dalvi 2021, *How transfer learning impacts linguistic knowledge in deep NLP
models?* (Findings of ACL). Each is seen, not seen, or undecided on the numbers at hand; none is taken for granted.
"""
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from explorer.tasks import TASKS

SEEN, NOT_SEEN, UNDECIDED = "seen here", "not seen here", "undecided here"
UNTESTED = "not tested here"  # what it takes is not there
RULE = ("A pattern is seen, or not seen, where most cases that it can be tested on say so beyond chance and none says "
        "the opposite.")
FORGETTING, PRESERVING = ("sst2", "qnli", "mnli"), ("stsb", "rte", "mrpc")  # tasks, as the published study found
KEPT = 0.01  # a layer has kept what it knew when its probe lost no more than this


@dataclass(frozen=True)
class Verdict:
    """A published pattern and what the studies at hand say of it."""

    pattern: str
    verdict: str  # SEEN, NOT_SEEN, UNDECIDED or UNTESTED
    because: str  # the figures


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict over cases, by RULE, with their numbers."""
    if len(verdicts) == 1:
        return verdicts[0]
    count = Counter(one.verdict for one in verdicts)
    tested = len(verdicts) - count[UNTESTED]
    verdict = (UNTESTED if not tested else
               SEEN if count[SEEN] > tested / 2 and not count[NOT_SEEN] else
               NOT_SEEN if count[NOT_SEEN] > tested / 2 and not count[SEEN] else UNDECIDED)
    said = [f"{name.removesuffix(' here')} in {count[name]}" for name in (SEEN, NOT_SEEN, UNDECIDED) if count[name]]
    parts = [f"{', '.join(said)} of {cases(tested)}"] if tested else []
    if count[UNTESTED]:
        reasons = {one.because for one in verdicts if one.verdict == UNTESTED}
        why = f": {reasons.pop()}" if len(reasons) == 1 else ""
        parts.append(f"not tested in {cases(count[UNTESTED])}{why}")
    return Verdict(verdicts[0].pattern, verdict, "; ".join(parts))


def layer_table(table: pd.DataFrame, base: str, finetuned: str) -> pd.DataFrame:
    """Whole-layer figures of one pair on the test words: layer, before, after, delta, low, high, n.

    table is a study's; low and high bound the delta at 95 %.
    """
    whole = table[(table.split == "test") & (table.label == "") & (table.k == table.k.max())]
    before = whole[(whole.checkpoint == base) & (whole.metric == "accuracy")].set_index("layer")
    after = whole[whole.checkpoint == finetuned].pivot_table(index="layer", columns="metric", values="value")
    return pd.DataFrame({
        "before": before.value, "after": after.accuracy, "delta": after.delta, "low": after.delta_low,
        "high": after.delta_high, "n": before.n,
    }).reset_index()


def sentences(layers: pd.DataFrame) -> str:
    """Two sentences on what a reader of layer_table's figures sees."""
    first, last = layers.iloc[0], layers.iloc[-1]
    down, up = layers[layers.high < 0], layers[layers.low > 0]
    moves = (("falls in", down.layer.tolist()), ("rises in", up.layer.tolist()))
    moved = [f"{verb} {_layers(numbers)}" for verb, numbers in moves if numbers]
    change = " and ".join(moved) if moved else "changes in no layer beyond what chance would"
    before, after = layers.loc[layers.before.idxmax()], layers.loc[layers.after.idxmax()]
    return (
        f"Accuracy {change}: by {points(first.delta)} points in layer {first.layer:.0f} and "
        f"{points(last.delta)} ({points(last.low)} to {points(last.high)}) in layer {last.layer:.0f}. "
        f"The fine-tuned checkpoint knows most in layer {after.layer:.0f} ({after.after:.1%}), "
        f"the pre-trained one in layer {before.layer:.0f} ({before.before:.1%})."
    )


def change_is_in_the_higher_layers(layers: pd.DataFrame) -> Verdict:
    """Of the blocks, the upper half loses more than the lower half; undecided where that may be chance."""
    lower, upper = halves(layers)
    blocks = layers[layers.layer > 0]
    changed = ((blocks.low > 0) | (blocks.high < 0)).any()
    gap = upper.delta.mean() - lower.delta.mean()
    margin = ((upper.high - upper.low).mean() + (lower.high - lower.low).mean()) / 2  # never too narrow
    verdict = SEEN if gap + margin < 0 else NOT_SEEN if gap - margin > 0 else UNDECIDED
    return Verdict(
        "Fine-tuning takes linguistic knowledge from the higher layers and leaves it in the lower ones.", verdict,
        f"mean delta {points(upper.delta.mean())} points in layers {_span(upper)}, {points(lower.delta.mean())} in "
        f"layers {_span(lower)}; the difference, {points(gap)}, is sure to ± {100 * margin:.1f} at most"
        + ("" if changed else "; no block changes beyond chance"),
    )


def tasks_differ(by_task: dict[str, pd.DataFrame]) -> Verdict:
    """In the last layer SST-2, QNLI and MNLI lose more than STS-B, RTE and MRPC; by_task holds layer_tables.

    Seen where the intervals of the two groups do not meet; not seen where one of the first surely loses less than one
    of the others.
    """
    last = {task: layers.iloc[-1] for task, layers in by_task.items()}
    forget, keep = [t for t in FORGETTING if t in last], [t for t in PRESERVING if t in last]
    pattern = "SST-2, QNLI and MNLI make the higher layers forget more than STS-B, RTE and MRPC do."
    figures = ", ".join(f"{TASKS[task].folder} {points(last[task].delta)}" for task in (*forget, *keep))
    if not (forget and keep):
        return Verdict(pattern, UNTESTED, f"it takes tasks of both groups (there is {figures or 'neither'})")
    if max(last[t].high for t in forget) < min(last[t].low for t in keep):
        verdict = SEEN
    else:
        against = max(last[t].low for t in forget) > min(last[t].high for t in keep)
        verdict = NOT_SEEN if against else UNDECIDED
    return Verdict(pattern, verdict, f"delta in the last layer, in points: {figures}")


def bert_keeps_deeper(bert: dict[str, pd.DataFrame], others: dict[str, pd.DataFrame]) -> Verdict:
    """A BERT's last kept layer is deeper than RoBERTas' and XLNets': layer_tables of one task, by model.

    A layer is surely kept, or lost, where its interval lies on one side of the loss that counts.
    """
    pattern = "BERT keeps linguistic knowledge deeper than RoBERTa and XLNet do."
    if not (bert and others):
        return Verdict(pattern, UNTESTED, "it takes BERT, and RoBERTa or XLNet")
    depth, least, most = ({name: kept_depth(layers, bound) for name, layers in (bert | others).items()}
                          for bound in ("delta", "low", "high"))
    name, = bert
    verdict = SEEN if least[name] > max(most[other] for other in others) else \
        NOT_SEEN if most[name] <= max(least[other] for other in others) else UNDECIDED
    figures = ", ".join(f"{model} {_depth(value)} ({_depth(least[model])} to {_depth(most[model])})"
                        for model, value in depth.items())
    return Verdict(pattern, verdict, f"last layer up to which no probe loses over {100 * KEPT:.0f} point: {figures}")


def kept_depth(layers: pd.DataFrame, by: str = "delta") -> int:
    """The layer up to which every probe, from layer 0 on, lost no more than KEPT; -1 if layer 0 lost more.

    By the low bounds of the deltas it is the least that this can be, by the high ones the most.
    """
    kept = (layers[by] >= -KEPT).cumprod()
    return int(kept.sum()) - 1


def most_kept(layers: pd.DataFrame) -> int:
    """The block whose probe lost the least, or gained the most; the lowest of equals. Layer 0, below them, is none."""
    blocks = layers[layers.layer > 0]
    return int(blocks.layer[blocks.delta.idxmax()])


def halves(layers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lower and the upper half of the blocks; a middle one is in both."""
    blocks = layers[layers.layer > 0]
    half = (len(blocks) + 1) // 2
    return blocks.iloc[:half], blocks.iloc[-half:]


def cases(n: int) -> str:
    """'1 case', '2 cases'."""
    return f"{n} case" if n == 1 else f"{n} cases"


def points(share: float) -> str:
    """A signed number of percentage points, with a true minus; what rounds to nothing has no sign."""
    return "0.0" if abs(share) < 0.0005 else f"{100 * share:+.1f}".replace("-", "−")


def _depth(layer: int) -> str:
    return "none" if layer < 0 else str(layer)


def _span(layers: pd.DataFrame) -> str:
    return f"{layers.layer.min():.0f} to {layers.layer.max():.0f}"


def _layers(numbers: list[int]) -> str:
    """'layer 3', 'layers 3 to 6' or 'layers 0, 2 and 5'."""
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"layers {numbers[0]} to {numbers[-1]}"
    return f"layers {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
