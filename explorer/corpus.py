"""A corpus: sentences with a label for every word, in three splits."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.files import is_there
from explorer.readers import Sentence, offered, read
from explorer.specs import InputError, digest, whole

TREEBANK = Path(__file__).resolve().parent / "starter" / "treebank"
SHARE = 0.1  # of the sentences in the training file, for each split that has no file


@dataclass(frozen=True)
class Split:
    """Some sentences of a corpus; words and labels have the same shape."""

    name: str  # 'train', 'dev' or 'test'
    sentences: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]

    @property
    def n_words(self) -> int:
        return sum(map(len, self.sentences))

    def words_digest(self) -> str:
        """Names the words alone, so that properties of one text share its activations."""
        return digest(self.sentences)

    def labels_digest(self) -> str:
        """Names the labels alone."""
        return digest(self.labels)


@dataclass(frozen=True)
class CorpusRequest:
    """Which files and which property; read_corpus finds out what is in them."""

    train: str  # a path, or the name of a file of the starter treebank
    dev: str | None = None  # without one, cut from the training file
    test: str | None = None
    property: str = "upos"
    columns: tuple[int, int] | None = None  # the word's and the label's in a column file
    separator: str | None = None
    limit: int | None = None  # sentences of each split at most, sampled
    seed: int = 0  # of the cut and the sample

    def check(self) -> None:
        """Raises InputError for a limit or a seed out of range; no file is looked at."""
        for name, value, (fits, takes) in (("limit", self.limit, whole(1, absent=True)), ("seed", self.seed, whole(0))):
            if not fits(value):
                raise InputError(f"{name}: {value}; takes {takes}")


@dataclass(frozen=True)
class Corpus:
    """Three splits labelled with one property."""

    train: Split
    dev: Split
    test: Split
    property: str

    def inventory(self) -> tuple[str, ...]:
        """The labels of the training words, sorted."""
        return tuple(sorted({label for labels in self.train.labels for label in labels}))


def read_corpus(request: CorpusRequest) -> Corpus:
    """Read the files of a corpus; the same request and files give the same corpus.

    Splits without a file are cut from the training file by a seeded shuffle of its sentences, SHARE each. Raises
    InputError for files that cannot be read, a property that is not there, too few sentences, and training words that
    all have one label.
    """
    request.check()
    paths = {"train": request.train, "dev": request.dev, "test": request.test}
    read_in = {name: read(find(path), request.property, request.columns, request.separator, name == "train")
               for name, path in paths.items() if path}
    if "train" not in read_in:
        raise InputError("train: no file was given; takes CoNLL-U, a column file or TSV with a header")
    missing = [name for name, path in paths.items() if not path]
    read_in |= _cut(read_in["train"], missing, request)
    random = np.random.default_rng(request.seed)
    splits = {name: _split(name, _sample(read_in[name], request.limit, random)) for name in paths}
    corpus = Corpus(splits["train"], splits["dev"], splits["test"], request.property)
    inventory = corpus.inventory()
    if len(inventory) < 2:
        raise InputError(f"{request.train}: all {corpus.train.n_words} training words have the same label "
                         f"({inventory[0]!r}) of {request.property}; a probe takes two labels or more")
    return corpus


def properties(path: str, columns: tuple[int, int] | None = None, separator: str | None = None) -> list[str]:
    """What a file has labels of, by its first sentences."""
    return offered(find(path), columns, separator)


def find(path: str) -> str:
    """The path, or that of the starter treebank's file of this name."""
    starter = TREEBANK / path
    return str(starter) if not is_there(Path(path)) and Path(path).name == path and is_there(starter) else path


def _cut(sentences: list[Sentence], missing: Sequence[str], request: CorpusRequest) -> dict[str, list[Sentence]]:
    """The splits that have no file, and what they leave of the training sentences."""
    if not missing:
        return {}
    size = max(1, round(SHARE * len(sentences)))
    if len(sentences) < size * len(missing) + 1:
        found = "1 sentence" if len(sentences) == 1 else f"{len(sentences)} sentences"
        raise InputError(f"{request.train}: {found}; cutting {' and '.join(missing)} from them "
                         f"takes {len(missing) + 1} or more")
    order = np.random.default_rng(request.seed).permutation(len(sentences))
    parts = np.split(order, [size * (i + 1) for i in range(len(missing))])
    return {name: [sentences[i] for i in sorted(part)]
            for name, part in zip([*missing, "train"], parts, strict=True)}


def _sample(sentences: list[Sentence], limit: int | None, random: np.random.Generator) -> list[Sentence]:
    """At most so many sentences, in their order."""
    if limit is None or limit >= len(sentences):
        return sentences
    return [sentences[i] for i in sorted(random.choice(len(sentences), limit, replace=False))]


def _split(name: str, sentences: list[Sentence]) -> Split:
    return Split(name, tuple(words for words, _ in sentences), tuple(labels for _, labels in sentences))
