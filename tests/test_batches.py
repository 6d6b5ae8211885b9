"""The order of rows in fine-tuning, and its learning rate."""
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import finetune as finetune_module


@given(st.lists(st.integers(1, 90), min_size=2, max_size=300), st.integers(1, 40), st.integers(0, 3))
def test_every_row_comes_once_an_epoch(lengths: list[int], batch_size: int, seed: int) -> None:
    n_batches = -(-len(lengths) // batch_size)
    endless = finetune_module._batches(np.array(lengths), batch_size, seed)
    batches = list(itertools.islice(endless, 3 * n_batches))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    for epoch in range(3):
        rows = np.concatenate(batches[epoch * n_batches:(epoch + 1) * n_batches])
        assert Counter(rows.tolist()) == Counter(range(len(lengths)))


def test_batches_are_of_like_length_and_differ_between_epochs() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 3200)
    batches = list(itertools.islice(finetune_module._batches(lengths, 32, 0), 200))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches[:100])
    assert padded < 1.2 * lengths.sum()
    firsts = {frozenset(batch.tolist()) for batch in batches[:100]}
    assert not firsts & {frozenset(batch.tolist()) for batch in batches[100:]}


@pytest.mark.parametrize(("done", "warmup", "rate"), [
    (0, 0, 1), (0.5, 0, 0.5), (1, 0, 0),
    (0, 0.2, 0), (0.1, 0.2, 0.5), (0.2, 0.2, 1), (0.6, 0.2, 0.5), (1, 0.2, 0),
])
def test_the_rate_rises_and_falls_in_straight_lines(done: float, warmup: float, rate: float) -> None:
    assert finetune_module._rate(done, warmup) == pytest.approx(rate)
