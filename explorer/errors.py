"""Where the probes of two checkpoints disagree: words that fine-tuning lost or gained."""
from __future__ import annotations

import numpy as np
import pandas as pd

from explorer.evidence import Evidence

LOST, GAINED = "lost", "gained"
BOTH_RIGHT, BOTH_WRONG = "both right", "both wrong"
OTHER = "(others)"


def predictions(evidence: Evidence, checkpoints: tuple[str, str], split: str, layer: int, k: int) -> pd.DataFrame:
    """Every kept word with both probes' predictions: columns gold, before, after, confidence_before,
    confidence_after, and kind: LOST (right before, wrong after), GAINED, BOTH_RIGHT or BOTH_WRONG.
    """
    labels = np.array(evidence.labels(), object)
    kept = evidence.activations(checkpoints[0], split).kept
    columns = {"gold": evidence.words(split).label.to_numpy(object)[kept]}
    for when, name in zip(("before", "after"), checkpoints, strict=True):
        chances = evidence.probes(name, layer)[k].probabilities(evidence.activations(name, split).layer(layer)[kept])
        columns |= {when: labels[chances.argmax(1)], f"confidence_{when}": chances.max(1)}
    frame = pd.DataFrame(columns)
    right = [(frame[when] == frame.gold).to_numpy() for when in ("before", "after")]
    kinds = np.array([BOTH_WRONG, GAINED, LOST, BOTH_RIGHT], object)
    return frame.assign(kind=kinds[2 * right[0] + right[1]])


def confusion(frame: pd.DataFrame, n: int = 20) -> pd.DataFrame:
    """Words by gold and predicted label: columns gold, predicted, before, after, difference, gold's share of each.

    Of more than n labels the n most frequent keep their names, the rest is OTHER.
    """
    names = frame.gold.value_counts().index[:n].tolist()
    shown = {column: frame[column].where(frame[column].isin(names), OTHER) for column in ("gold", "before", "after")}
    counts = {when: pd.DataFrame({"gold": shown["gold"], "predicted": shown[when]}).value_counts()
              for when in ("before", "after")}
    table = pd.DataFrame(counts).fillna(0).astype(int).reset_index()
    words = table.gold.map(shown["gold"].value_counts())
    return table.assign(difference=table.after - table.before, before_share=table.before / words,
                        after_share=table.after / words)
