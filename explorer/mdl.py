"""Description length of labels given activations, by online coding (Voita & Titov 2020): how hard a probe's task is.

Sender and receiver share the activations, the set of labels and how probes are fitted. Labels are sent in blocks: the
first by the uniform code, each other by the probe fitted on all labels sent before it.
"""
from itertools import pairwise

import numpy as np

from explorer.probe import Probe
from explorer.probes import fit_probe
from explorer.specs import ProbeSpec, Progress, silent

PERCENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.25, 12.5, 25, 50, 100)  # of the words, at which the blocks end


def block_ends(n: int) -> list[int]:
    """How many of n words have been sent after each block; blocks that hold no word are left out."""
    return sorted({max(1, round(n * percent / 100)) for percent in PERCENT})


def uniform_bits(n: int, n_labels: int) -> float:
    """What n labels take when nothing is known of them."""
    return n * float(np.log2(n_labels))


def codelength(
    x: np.ndarray, y: np.ndarray, n_labels: int, spec: ProbeSpec, on_progress: Progress = silent,
) -> float:
    """Bits that the labels y (words,) take given the activations x (words, neurons).

    Words are sent in an order shuffled by spec.seed. So that no label is impossible, a probe on t words is mixed with
    the uniform distribution over the K labels as one word of each would: (t p + 1) / (t + K).
    """
    order = np.random.default_rng(spec.seed).permutation(len(y))
    ends = block_ends(len(y))
    bits = uniform_bits(ends[0], n_labels)
    probe: Probe | None = None
    for i, (sent, end) in enumerate(pairwise(ends)):
        on_progress(i, len(ends) - 1, f"description length, block {i + 2} of {len(ends)}")
        known, block = order[:sent], order[sent:end]
        if len(np.unique(y[known])) < 2:  # of a single label a probe would be certain
            p = np.broadcast_to(y[known[0]] == np.arange(n_labels), (len(block), n_labels))
        else:
            probe = fit_probe(x[known], y[known], n_labels, spec, near=probe)
            p = probe.probabilities(x[block])
        right = p[np.arange(len(block)), y[block]].astype(np.float64)
        bits -= float(np.log2((sent * right + 1) / (sent + n_labels)).sum())
    return bits
