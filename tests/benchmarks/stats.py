"""Speed of the intervals: python -m tests.benchmarks.stats (takes seconds).

A study's size: 13 layers x 30 numbers of neurons x 2 checkpoints on 2,077 test sentences, 2,000 paired resamples.
"""
import time

import numpy as np

from explorer.stats import RESAMPLES, bounds, draws, simultaneous, sums

LAYERS, KS, SENTENCES = 13, 30, 2077
MOST = 2.0  # seconds


def main() -> None:
    random = np.random.default_rng(0)
    words = random.integers(1, 25, SENTENCES)
    before, after = (random.binomial(words[:, None, None], p, (SENTENCES, LAYERS, KS)) for p in (0.9, 0.88))
    start = time.perf_counter()
    drawn = draws(SENTENCES, random)
    total = sums(words, drawn)[:, None, None]
    values = [sums(hits, drawn) / total for hits in (before, after)]  # each (draws, layers, k)
    values.append(values[1] - values[0])
    for part in values:
        bounds(part[1:].reshape(RESAMPLES, -1))
    alone = time.perf_counter() - start
    for part in values:
        simultaneous(part[0], part[1:])
    both = time.perf_counter() - start
    print(f"{RESAMPLES} paired resamples of {LAYERS} layers x {KS} k x 2 checkpoints on {SENTENCES} sentences: "
          f"{alone:.2f} s ({'under' if alone < MOST else 'over'} {MOST:.0f} s); with max-T bounds {both:.2f} s")


if __name__ == "__main__":
    main()
