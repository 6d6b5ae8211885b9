"""What a run will take, told before it starts: rough figures from sizes, no model is loaded.

Time: 6 floating-point operations a weight and sub-word in training, 2 in a forward pass (Kaplan et al. 2020), at
shares of the speed of a large matrix product, which is measured; a constant for each step and block, and for each
checkpoint; probes by their words. The constants are those of one core that multiplies at 96 GFLOP/s.
"""
from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.corpus import CorpusRequest, find
from explorer.files import is_folder, is_there
from explorer.models import RANDOM, check_name, folder_of, resolve
from explorer.runs import FinetuneRequest
from explorer.specs import InputError
from explorer.tasks import Examples, read_task
from explorer.work import RunRequest

TRAINING, FORWARD = 0.4, 0.8  # of the speed of a matrix product of 768 x 768, that small models reach
STEP = 0.0025  # seconds for a step and block, besides the arithmetic
START = 5.0  # seconds until a job's process has its libraries
CHECKPOINT = 1.5  # seconds to write one, to load it again, and for the figures of all so far
SUBWORDS = 1.35  # a word
PADDING = 1.2
SENTENCE = 1100, 16.3  # bytes of a CoNLL-U file and words, each for a sentence of UD English EWT
COMPRESSED = 6.0
PROBE = 3.4e-7, 8e-6  # seconds: for a training word and neuron of the whole layer; for a training word and k


@dataclass(frozen=True)
class Estimate:
    """Of a whole run, and its model."""

    seconds: float
    disk: float  # bytes: checkpoints, the state to resume from, activations
    blocks: int
    rows: int  # in training


def estimate(request: RunRequest, speed: float) -> Estimate | None:
    """The estimate at so many floating-point operations a second; raises InputError for what cannot be used.

    None for a hub's model, whose size is known once the run has it.
    """
    tune, study = request.finetune, request.study
    tune.check()
    study.corpus.check()
    data = read_task(tune.task, tune.data, tune.limit, tune.seed)
    check_name(tune.model)
    drawn = RANDOM.fullmatch(tune.model)
    if not is_folder(folder_of(drawn[1] if drawn else tune.model)):
        return None
    base = resolve(tune.model)
    tune.check(base.n_layers - 1)
    weights = 12 * (base.n_layers - 1) * base.width**2  # of blocks whose inner width is four times the outer
    whole = weights + base.vocab_size * base.width
    kept, passes = len(set(tune.fractions)), len(set(tune.fractions)) + 1
    steps = math.ceil(tune.epochs * math.ceil(len(data.train) / tune.batch_size))
    words = _words(study.corpus)
    training = 6 * weights * _subwords(data.train, tune) * tune.epochs / (TRAINING * speed)
    training += STEP * steps * (base.n_layers - 1)
    forward = 2 * weights * (_subwords(data.dev, tune) * kept + 1.5 * words * SUBWORDS * passes) / (FORWARD * speed)
    probes = words * base.n_layers * passes * (PROBE[0] * base.width + PROBE[1] * len(study.k))
    seconds = START + training + forward + probes + CHECKPOINT * passes
    activations = 2 * 1.5 * words * base.n_layers * base.width * passes  # of all splits, in 16 bits
    return Estimate(seconds, 4 * whole * (kept + 6) + activations, base.n_layers - 1, len(data.train))


def matrix_speed() -> float:
    """Floating-point operations a second of a matrix product in float32 here and now; takes some 50 ms."""
    square = np.ones((768, 768), np.float32)
    square @ square
    start = time.perf_counter()
    for _ in range(4):
        square @ square
    return 4 * 2 * 768**3 / (time.perf_counter() - start)


def _subwords(examples: Examples, tune: FinetuneRequest) -> float:
    """Of all rows, padding included, as far as they are not cut."""
    each = [min(tune.max_length, SUBWORDS * sum(len(text.split()) for text in row) + 3) for row in examples.texts]
    return PADDING * sum(each)


def _words(corpus: CorpusRequest) -> float:
    """Words of the training file, by its size."""
    path = Path(find(corpus.train))
    if not (is_there(path) and path.is_file()):
        raise InputError(f"corpus: there is no file {corpus.train}")
    size, words = SENTENCE
    sentences = path.stat().st_size * (COMPRESSED if path.suffix in (".xz", ".gz") else 1) / size
    return words * min(sentences, corpus.limit or sentences)
