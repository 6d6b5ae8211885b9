"""Speed of a neuron's card and of a sentence's answer: python -m tests.benchmarks.hands (takes seconds).

For each study in the cache that has its activations: what a page does for them, in process, without drawing it.
"""
import logging
import statistics
import time
from collections.abc import Callable
from functools import partial

import pandas as pd

from explorer import cached, sentence
from explorer.activations import KEPT
from explorer.card import WHEN
from explorer.charts.sentence import WIDTH, grid, heatmap
from explorer.evidence import Evidence
from explorer.neuron import Neuron
from explorer.study import Study, finished

SENTENCES = 10
MOST = 300  # milliseconds that either may take


def main() -> None:
    logging.disable(logging.WARNING)  # Streamlit's caches miss their page
    store = cached.store()
    for summary in finished(store):
        study = cached.load(store.root, summary.key)
        pair = study.base, study.finetuned[-1]
        if Evidence(store, study).complete():
            cards = {index: [timed(partial(cached.neuron_card, store.root, study.key, pair, "test",
                                           Neuron(int(layer), index), False)) for layer in study.layers().index]
                     for index in (3, 5)}
            lines = cached.sentences(store.root, study.key, "test")[:SENTENCES + 1]
            answers = [timed(partial(answer, study, pair, words)) for words, _ in lines]
            print(f"{summary.title}, {len(cached.words(store.root, study.key, 'test')):,} test words, under {MOST} ms "
                  f"wanted: the first card {cards[3][0]:.0f} ms, {shown('the first of a layer', cards[3][1:])}, "
                  f"{shown('another', cards[5])}, {shown('a sentence', answers[1:])}", flush=True)


def answer(study: Study, pair: tuple[str, str], words: tuple[str, ...]) -> None:
    """A sentence read by both models, coloured by a neuron, with every layer's predictions, as charts."""
    root, specs, k = cached.store().root, dict(study.spec.checkpoints), max(study.spec.k)
    labels, colours, frames = cached.evidence(root, study.key).labels(), [], []
    for when, name in zip(WHEN, pair, strict=True):
        reading = cached.reading(name, specs[name].test.checkpoint, words, study.request.pooling)
        probes = [cached.probes(root, study.key, name, layer)[k] for layer in range(len(reading.words))]
        value = sentence.of_neuron(reading.words[-1], probes[-1], 0)
        colours.append(sentence.flow(words, WIDTH).assign(checkpoint=when, value=value,
                                                          activation=reading.words[-1, :, 0]))
        frame = sentence.predictions(reading.words, reading.fate == KEPT, probes, labels, None)
        frames.append(frame.assign(checkpoint=when, settled=frame.position.map(sentence.settled(frame)) == frame.layer))
    heatmap(pd.concat(colours, ignore_index=True), "", "")
    grid(pd.concat(frames, ignore_index=True), list(words), len(study.layers()))


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def shown(what: str, times: list[float]) -> str:
    return f"{what} {statistics.median(times):.0f} ms ({max(times):.0f} at most)"


if __name__ == "__main__":
    main()
