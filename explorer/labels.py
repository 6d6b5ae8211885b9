"""The labels of a corpus's words that have activations, as codes, and what a reader should know of the others."""
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from explorer.activations import Activations
from explorer.corpus import Corpus, Split
from explorer.specs import InputError

SPLITS = ("train", "dev", "test")
UNSEEN = -1  # code of a label that training does not have: no prediction equals it, so it counts as an error


class Labels:
    """Words, labels and sentences of the words that have activations, by split."""

    def __init__(self, corpus: Corpus, activations: Mapping[str, Activations]) -> None:
        splits = {split.name: split for split in (corpus.train, corpus.dev, corpus.test)}
        kept = {name: activations[name].kept for name in splits}
        self.what = f"{corpus.property} of {corpus.train.words_digest()}"
        self.names = {name: flat(split.labels)[kept[name]] for name, split in splits.items()}
        self.words = {name: flat(split.sentences)[kept[name]] for name, split in splits.items()}
        self.sentences = {name: _sentences(split, kept[name]) for name, split in splits.items()}
        self.inventory = np.unique(self.names["train"])  # the labels that a probe tells apart, in order
        self.codes = {name: pd.Index(self.inventory).get_indexer(names) for name, names in self.names.items()}
        for name, codes in self.codes.items():
            if not len(codes):
                raise InputError(f"{name}: the model keeps none of its {len(kept[name])} words, which its maximum "
                                 "length cuts off or its tokenizer drops")
            if (codes == UNSEEN).all():
                raise InputError(f"{name}: training has none of its labels, such as {self.names[name][0]!r}; it has "
                                 f"{', '.join(map(repr, self.inventory[:5]))}")
        self.notes = [note for name in splits for note in self._notes(name, ~kept[name])]
        if len(self.inventory) < 2:
            raise InputError(f"property {corpus.property}: every training word that the model keeps has the label "
                             f"{self.inventory[0]!r}; a probe takes two labels or more")

    @property
    def seen(self) -> np.ndarray:
        """(test words,) bool: whether training has the word's form."""
        return pd.Series(self.words["test"]).isin(self.words["train"]).to_numpy()

    def _notes(self, split: str, masked: np.ndarray) -> Iterator[str]:
        if masked.any():
            yield (f"{split}: {_count(masked.sum(), 'word')} of {len(masked)} left out, cut off by the model's "
                   f"maximum length or dropped by its tokenizer")
        unseen = self.names[split][self.codes[split] == UNSEEN]
        if len(unseen):
            yield (f"{split}: {_count(len(unseen), 'word')} counted as errors: training never has their "
                   f"{_count(len(np.unique(unseen)), 'label')} ({', '.join(np.unique(unseen)[:5])}"
                   f"{', ...' if len(np.unique(unseen)) > 5 else ''})")


def flat(sentences: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """Words or labels of all sentences, one after another, as objects."""
    return np.array([item for sentence in sentences for item in sentence], dtype=object)


def _sentences(split: Split, kept: np.ndarray) -> np.ndarray:
    """(kept words,) number of the sentence that each is in, counting those alone that have any."""
    number = np.repeat(np.arange(len(split.sentences)), [len(sentence) for sentence in split.sentences])
    return np.unique(number[kept], return_inverse=True)[1]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
