"""Files of words and labels: CoNLL-U, column files such as CoNLL-2000's, and word/label TSV with a header.

All are UTF-8, plain or compressed by gzip or xz, with an empty line between sentences. Which one a file is shows in its
first line that holds words, not in its name.
"""
from __future__ import annotations

import gzip
import itertools
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import conllu

from explorer.specs import InputError

Sentence = tuple[tuple[str, ...], tuple[str, ...]]
"""Words and their labels."""

Block = list[tuple[int, str]]
"""The lines between two empty ones, with their numbers."""

ALIASES = {"pos": "upos", "upos": "upos", "upostag": "upos", "xpos": "xpos", "xpostag": "xpos", "tag": "xpos"}
WORD_HEADERS = {"word", "words", "form", "token", "tokens"}
SENTENCE_HEADERS = {"sentence_id", "sent_id", "sentence", "sentence_number"}
ABSENT = "_"  # label of a word that lacks a FEATS or MISC key: that it lacks it is knowledge too
MAGIC: dict[bytes, Callable[[Path, str], Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}
AHEAD = 100  # sentences that are looked at to tell what a file offers
UNUSED = {name: lambda line, i: None for name in ("lemma", "head", "deprel", "deps")}  # twice as fast without


def read(
    path: str, name: str, columns: tuple[int, int] | None, separator: str | None, required: bool = True,
) -> list[Sentence]:
    """Sentences of a file with the labels of one property.

    A FEATS or MISC key that no word has is refused if required, and else absent from every word.
    columns are the word's and the label's in a column file, counted from 0; without a separator, cells end at tabs
    where there are any and else at spaces. Raises InputError, with file and line, for what cannot be read.
    """
    layout = _layout(path, columns, separator)
    sentences = list(layout.sentences(name, _blocks(path), required))
    if not sentences:
        raise InputError(f"{path}: holds no words; takes CoNLL-U, a column file or TSV with a header")
    return sentences


def offered(path: str, columns: tuple[int, int] | None = None, separator: str | None = None) -> list[str]:
    """The properties that the first sentences of a file have labels of.

    Raises InputError for what cannot be read in them, as read does, and where they have no labels.
    """
    found = _layout(path, columns, separator).offered(itertools.islice(_blocks(path), AHEAD))
    if not found:
        raise InputError(f"{path}: its first {AHEAD} sentences have no labels; takes words, each with a label")
    return found


@dataclass(frozen=True)
class ConlluLayout:
    """CoNLL-U: multi-word ranges and empty nodes are skipped, since no treebank labels them."""

    path: str

    def sentences(self, name: str, blocks: Iterator[Block], required: bool) -> Iterator[Sentence]:
        name = ALIASES.get(name.lower(), name)
        keys: dict[str, None] = {}
        found = False
        for tokens in map(self._tokens, blocks):
            labels = [_label(token, name) for token in tokens]
            found = found or any(label != ABSENT for label in labels)
            if not found:
                keys |= dict.fromkeys(key for token in tokens for key in _keys(token))
            if tokens:
                yield tuple(token["form"] for token in tokens), tuple(labels)
        if required and not found and keys:
            raise InputError(f"{self.path}: no word has {name!r}; takes one of {', '.join(keys)}")

    def offered(self, blocks: Iterator[Block]) -> list[str]:
        return list(dict.fromkeys(key for block in blocks for token in self._tokens(block) for key in _keys(token)))

    def _tokens(self, block: Block) -> list[conllu.Token]:
        lines = []
        for number, line in block:
            cells = line.split("\t")
            if line.startswith("#"):
                continue
            if len(cells) != 10 or not re.fullmatch(r"\d+([-.]\d+)?", cells[0]) or not cells[1].strip():
                found = f"{len(cells)} columns" if len(cells) != 10 else "no number" if cells[1].strip() else "no word"
                raise InputError(f"{self.path}, line {number}: {line[:60]!r} has {found}; CoNLL-U takes ten columns, "
                                 "with tabs between: a number, a word, ...")
            if cells[0].isdigit():
                lines.append(line)
        if not lines:
            return []
        try:
            return list(conllu.parse("\n".join(lines), field_parsers=UNUSED)[0])
        except conllu.exceptions.ParseException as error:
            raise InputError(f"{self.path}, line {block[0][0]}: {error}") from error


@dataclass(frozen=True)
class ColumnLayout:
    """A word a line, in cells; the header, if there is one, names the columns."""

    path: str
    separator: str | None
    columns: tuple[int, int] | None
    header: tuple[str, ...] | None
    width: int

    def sentences(self, name: str, blocks: Iterator[Block], required: bool) -> Iterator[Sentence]:
        word, label = self._columns(name)
        at = next((i for i, title in enumerate(self.header or ()) if title.lower() in SENTENCE_HEADERS), None)
        for block in blocks:
            rows = [row for row in map(self._cells, block) if row is not None]
            for _, group in itertools.groupby(rows, lambda row: None if at is None else row[at]):
                words, labels = zip(*((row[word], row[label]) for row in group), strict=True)
                yield words, labels

    def offered(self, blocks: Iterator[Block]) -> list[str]:
        words = [row for block in blocks for row in map(self._cells, block) if row is not None]
        return self._properties() if words else []

    def _properties(self) -> list[str]:
        if self.columns:
            return [f"column {self.columns[1]}"]
        titles = self.header or [f"column {i}" for i in range(self.width)]
        word = self._word()
        return [title for i, title in enumerate(titles) if i != word and title.lower() not in SENTENCE_HEADERS]

    def _cells(self, line: tuple[int, str]) -> list[str] | None:
        """The cells of a line that holds a word; None for comments, the header and CoNLL-2003's document marks."""
        number, text = line
        if _is_comment(text, self.separator) or text.startswith("-DOCSTART-"):
            return None
        cells = _split(text, self.separator)
        if len(cells) != self.width:
            raise InputError(f"{self.path}, line {number}: {len(cells)} columns in {text[:60]!r}; the first line of "
                             f"words has {self.width}")
        bare = [cell.strip() for cell in cells]
        if self.header and tuple(bare) == self.header:
            return None
        if "" in bare:
            raise InputError(f"{self.path}, line {number}: an empty cell in {text[:60]!r}; takes a word and a label")
        return bare

    def _word(self) -> int:
        titles = [title.lower() for title in self.header or ()]
        return next((i for i, title in enumerate(titles) if title in WORD_HEADERS), 0)

    def _columns(self, name: str) -> tuple[int, int]:
        """Where the word is, and the label."""
        if self.columns:
            if not all(0 <= column < self.width for column in self.columns):
                raise InputError(f"{self.path}: columns {self.columns[0]},{self.columns[1]} were asked for; it has "
                                 f"{self.width}, counted from 0")
            return self.columns
        titles = [title.lower() for title in self.header or ()]
        if name.lower() in titles:
            return self._word(), titles.index(name.lower())
        if (match := re.fullmatch(r"(?:column )?(\d+)", name)) and int(match[1]) < self.width:
            return self._word(), int(match[1])
        if self.width == 2 and not self.header:
            return 0, 1
        raise InputError(f"{self.path}: no column {name!r}; takes one of {', '.join(self._properties())}"
                         + ("" if self.header else ", or the word's and the label's as --columns 0,1"))


Layout = ConlluLayout | ColumnLayout


def _layout(path: str, columns: tuple[int, int] | None, separator: str | None) -> Layout:
    """What kind of file it is, by its first line of words."""
    lines = (line for block in _blocks(path) for _, line in block)
    first = next((line for line in lines if not line.startswith(("#", "-DOCSTART-"))), None)
    if first is None:
        raise InputError(f"{path}: holds no words; takes CoNLL-U, a column file or TSV with a header")
    cells = first.split("\t")
    numbered = len(cells) == 10 and re.fullmatch(r"\d+([-.]\d+)?", cells[0])
    if separator is None and columns is None and (numbered or ".conllu" in Path(path).suffixes):
        return ConlluLayout(path)
    separator = separator or ("\t" if "\t" in first else None)
    cells = [cell.strip() for cell in _split(first, separator)]
    if len(cells) < 2:
        raise InputError(f"{path}: {first[:60]!r} has one column; takes two or more, a word and its label, with tabs, "
                         "spaces or the separator given between them")
    if columns is None and separator is None and len(cells) == 10 and cells[0] == "1":
        raise InputError(f"{path}: {first[:60]!r} has ten columns with spaces between; CoNLL-U takes tabs, and other "
                         "files the word's and the label's columns")
    is_header = any(cell.lower() in WORD_HEADERS for cell in cells)
    if is_header and len(set(cells)) < len(cells):
        twice = next(cell for cell in cells if cells.count(cell) > 1)
        raise InputError(f"{path}: the header {first[:60]!r} has {twice!r} twice; takes a name for each column")
    return ColumnLayout(path, separator, columns, tuple(cells) if is_header else None, len(cells))


def _split(line: str, separator: str | None) -> list[str]:
    """Cells; by default at spaces and tabs alone, since a word may hold a no-break space."""
    return line.split(separator) if separator else re.split("[ \t]+", line.strip(" \t"))


def _is_comment(line: str, separator: str | None) -> bool:
    """Not '# # B-NP', which is a word of CoNLL-2000."""
    return re.match(r"# ?(newdoc|newpar|[\w.:]+ ?=)", line) is not None or (line.startswith("# ") and separator == "\t")


def _blocks(path: str) -> Iterator[Block]:
    block: Block = []
    for number, line in _lines(path):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _lines(path: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with _open(Path(path)) as file:
            for number, raw in enumerate(file, 1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if "\r" in line:
                    raise InputError(f"{path}, line {number}: a carriage return inside it; lines end in a line feed or "
                                     "in both: convert it, for instance by tr '\\r' '\\n'")
                yield number, line
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {number}: not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}); "
                         "convert it, for instance by iconv -t UTF-8") from error
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: cut off or damaged after line {number} ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; takes a file of words and labels") from error


def _open(path: Path) -> IO[bytes]:
    if path.is_fifo():
        raise InputError(f"{path}: is a pipe; takes a file, which is read more than once")
    with path.open("rb") as file:
        start = file.read(2)
    opener: Callable[[Path, str], Any] = MAGIC.get(start, open)
    return opener(path, "rb")


def _label(token: conllu.Token, name: str) -> str:
    if name in ("upos", "xpos"):
        return token[name] or ABSENT
    for field in ("feats", "misc"):
        for key, value in (token[field] or {}).items():
            if key.lower() == name.lower():
                return value or ABSENT
    return ABSENT


def _keys(token: conllu.Token) -> Sequence[str]:
    return [*(name for name in ("upos", "xpos") if token[name] not in (None, ABSENT)),
            *(token["feats"] or ()), *(key for key in token["misc"] or () if key != "SpaceAfter")]
