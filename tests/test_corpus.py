"""Corpora: every format as it comes, splits that are the same every time, and what malformed files get."""
import gzip
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.corpus import Corpus, CorpusRequest, properties, read_corpus
from explorer.specs import InputError
from tests.words import write_conllu

CONLLU = """# sent_id = 1
# text = Don't go
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\tMood=Imp|Number=Sing\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\tChunk=O
3\tgo\tgo\tVERB\tVB\tMood=Imp\t0\troot\t_\tChunk=B-VP
3.1\tgone\tgo\tVERB\tVBN\t_\t_\t_\t_\t_

1\tNew York\t_\tPROPN\tNNP\t_\t0\troot\t_\tSpaceAfter=No
"""
COLUMNS = "# # B-NP\n5 CD I-NP\n. . O\n\n-DOCSTART- -X- O\n\nHe PRP B-NP\n"
HEADED = "token\tsem\tccg\nbrown\tCOL\tn/n\ndog\tCON\tn\n\na\tDIS\tnp/n\n"


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def corpus(path: str, **options: object) -> Corpus:
    """All three splits from one file."""
    return read_corpus(CorpusRequest(**{"train": path, "dev": path, "test": path, **options}))


@pytest.mark.parametrize(("name", "labels"), [
    ("upos", (("AUX", "PART", "VERB"), ("PROPN",))),
    ("pos", (("AUX", "PART", "VERB"), ("PROPN",))),
    ("xpos", (("VB", "RB", "VB"), ("NNP",))),
    ("Mood", (("Imp", "_", "Imp"), ("_",))),
    ("chunk", (("_", "O", "B-VP"), ("_",))),
])
def test_conllu_has_words_but_no_ranges_or_empty_nodes(
    tmp_path: Path, name: str, labels: tuple[tuple[str, ...], ...],
) -> None:
    found = corpus(write(tmp_path / "a.conllu", CONLLU), property=name)
    assert found.train.sentences == (("Do", "n't", "go"), ("New York",))
    assert found.train.labels == labels
    assert found.train.n_words == 4


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, newline: str, bom: str) -> None:
    for text, options in ((CONLLU, {}), (COLUMNS, {"columns": (0, 2)}), (HEADED, {"property": "sem"})):
        plain = corpus(write(tmp_path / "plain", text), **options)
        assert corpus(write(tmp_path / "other", bom + text.replace("\n", newline)), **options) == plain


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_files_are_known_by_their_content(tmp_path: Path, pack) -> None:
    assert corpus(write(tmp_path / "a", pack(CONLLU.encode()))) == corpus(write(tmp_path / "b", CONLLU))


def test_column_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", COLUMNS)
    found = corpus(path, columns=(0, 2), property="chunk")
    assert found.train.sentences == (("#", "5", "."), ("He",))
    assert found.train.labels == (("B-NP", "I-NP", "O"), ("B-NP",))
    assert corpus(path, property="1").train.labels == (("#", "CD", "."), ("PRP",))
    assert properties(path) == ["column 1", "column 2"]


def test_only_spaces_and_tabs_part_cells(tmp_path: Path) -> None:
    found = corpus(write(tmp_path / "a.txt", "10\u00a0000  CD \nx\tSYM\n"), columns=(0, 1))
    assert found.train.sentences == (("10\u00a0000", "x"),)
    assert found.train.labels == (("CD", "SYM"),)


@pytest.mark.parametrize("separator", [";", "|", ", "])
def test_any_separator(tmp_path: Path, separator: str) -> None:
    text = "a;X\nb c;Y\n".replace(";", separator)
    found = corpus(write(tmp_path / "a", text), separator=separator, columns=(0, 1))
    assert found.train.sentences == (("a", "b c"),)


def test_words_and_labels_with_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", HEADED)
    assert properties(path) == ["sem", "ccg"]
    assert corpus(path, property="CCG").train.labels == (("n/n", "n"), ("np/n",))
    assert corpus(path, property="sem").train.sentences == (("brown", "dog"), ("a",))
    spaced = write(tmp_path / "b.tsv", HEADED.replace("\t", " \t", 1))
    assert corpus(spaced, property="sem").train.sentences == (("brown", "dog"), ("a",))


def test_a_column_may_number_the_sentences(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "sentence_id\tword\tlabel\n1\ta\tX\n1\tb\tY\n2\tc\tX\n")
    assert corpus(path, property="label").train.sentences == (("a", "b"), ("c",))
    assert properties(path) == ["label"]


def test_a_key_that_test_lacks_is_absent_there(tmp_path: Path) -> None:
    other = write(tmp_path / "b.conllu", CONLLU.replace("Mood=Imp|", "").replace("Mood=Imp", "_"))
    found = corpus(write(tmp_path / "a.conllu", CONLLU), property="Mood", test=other)
    assert found.test.labels == (("_", "_", "_"), ("_",))


def test_missing_splits_are_cut_from_training(tmp_path: Path) -> None:
    path = str(write_conllu(tmp_path / "a.conllu", 100, 0, ""))
    whole = corpus(path).train
    found = read_corpus(CorpusRequest(path))
    assert [len(split.sentences) for split in (found.train, found.dev, found.test)] == [80, 10, 10]
    together = found.train.sentences + found.dev.sentences + found.test.sentences
    assert sorted(together) == sorted(whole.sentences)
    assert read_corpus(CorpusRequest(path)) == found
    assert read_corpus(CorpusRequest(path, seed=1)) != found
    one_file_for_test = read_corpus(CorpusRequest(path, test=path))
    assert [len(s.sentences) for s in (one_file_for_test.train, one_file_for_test.dev)] == [90, 10]


@given(st.integers(1, 30), st.integers(0, 5))
def test_a_sample_has_sentences_of_the_whole_in_their_order(limit: int, seed: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = str(write_conllu(Path(folder) / "a.conllu", 20, 3))
        whole, part = corpus(path).train, corpus(path, limit=limit, seed=seed).train
        assert corpus(path, limit=limit, seed=seed).train == part
    assert len(part.sentences) == min(limit, 20)
    pairs = iter(zip(whole.sentences, whole.labels, strict=True))
    assert all(pair in pairs for pair in zip(part.sentences, part.labels, strict=True))


def test_words_and_labels_have_digests_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", CONLLU)
    upos, xpos = corpus(path).train, corpus(path, property="XPOS").train
    assert upos.words_digest() == xpos.words_digest()
    assert upos.labels_digest() != xpos.labels_digest()
    other = corpus(write(tmp_path / "b.conllu", CONLLU.replace("go\tgo", "gone\tgo"))).train
    assert other.words_digest() != upos.words_digest()


ROW = "\t_" * 8
BAD = {
    "empty": (b"", "holds no words"),
    "a carriage return alone": (f"1\ta{ROW}\r2\tb{ROW}\r".encode(), r"line 1: a carriage return inside"),
    "only comments": (b"# text = x\n\n", "holds no words"),
    "not UTF-8": (f"1\ta{ROW}\n2\tcaf\xe9{ROW}\n".encode("latin-1"), r"line 2: not UTF-8 \(byte 0xe9"),
    "ragged CoNLL-U": (f"1\ta{ROW}\n2\tb\tX\n".encode(), "line 2.*3 columns.*ten"),
    "no word": (f"1\ta{ROW}\n2\t{ROW}\n".encode(), "line 2"),
    "ragged columns": (b"a X\nb c Y\n", "line 2: 3 columns.*first line of words has 2"),
    "one column": (b"a\nb\n", "one column.*a word and its label"),
    "empty cell": (b"a\tX\nb\t\n", "line 2: an empty cell"),
    "truncated xz": (lzma.compress(CONLLU.encode() * 50)[:-40], "cut off or damaged"),
    "truncated gz": (gzip.compress(CONLLU.encode() * 50)[:-40], "cut off or damaged"),
    "a column twice": (b"word\tpos\tpos\na\tX\tY\n", "header.*'pos' twice"),
    "CoNLL-U with spaces": (f"1\ta{ROW}\n2\tb{ROW}\n".replace("\t", " ").encode(), "ten columns with spaces.*tabs"),
    "no word's number": (f"1\ta{ROW}\nx\tb{ROW}\n".encode(), "line 2.*no number"),
    "one class": (b"a X\nb X\n", "the same label.*'X'"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_malformed_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "bad.txt", content)
    with pytest.raises(InputError, match=f"bad.txt.*{message}"):
        corpus(path)


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "one class"])
def test_malformed_first_sentences_are_told_when_properties_are_asked_for(tmp_path: Path, kind: str) -> None:
    content, message = BAD[kind]
    with pytest.raises(InputError, match=f"bad.txt.*{message}"):
        properties(write(tmp_path / "bad.txt", content))


@pytest.mark.parametrize("content", ["token\tsem\n", "sent_id\tword\n1\ta\n", f"1\ta{ROW}\n"])
def test_a_file_without_labels_offers_none_and_says_so(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="first 100 sentences have no labels"):
        properties(write(tmp_path / "bare", content))


def test_a_treebank_is_known_by_its_name_when_its_first_line_is_ragged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1.*9 columns; CoNLL-U takes ten"):
        corpus(write(tmp_path / "a.conllu", f"1\ta{ROW}\n".replace("\t_", "", 1)))


def test_a_pipe_is_refused_since_files_are_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe; takes a file"):
        corpus(str(tmp_path / "pipe"))


@pytest.mark.parametrize(("options", "message"), [
    ({"property": "Tense"}, "no word has 'Tense'.*upos, xpos, Mood, Number, Chunk"),
    ({"limit": 0}, "limit: 0; takes a whole number, 1 or more"),
    ({"limit": 1.5}, "limit: 1.5"),
    ({"seed": -1}, "seed: -1"),
    ({"dev": None, "test": None}, "2 sentences.*takes 3"),
    ({"columns": (0, 40)}, "columns 0,40.*has 10"),
    ({"train": "/no/such/file"}, "/no/such/file: No such file"),
    ({"train": "/"}, "Is a directory"),
    ({"train": ""}, "no file was given"),
])
def test_requests_that_cannot_be_met(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corpus(write(tmp_path / "a.conllu", CONLLU), **options)


@pytest.mark.parametrize(("text", "name", "message"), [
    (COLUMNS, "chunk", "no column 'chunk'; takes one of column 1, column 2, or .*--columns"),
    (HEADED, "pos", "no column 'pos'; takes one of sem, ccg"),
])
def test_columns_that_are_not_there(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corpus(write(tmp_path / "a", text), property=name)


def test_the_starter_treebank_goes_by_its_name() -> None:
    found = read_corpus(CorpusRequest("starter-train.conllu", "starter-dev.conllu", "starter-test.conllu", "sem"))
    assert (found.train.n_words, found.dev.n_words, found.test.n_words) == (7063, 1240, 1848)
    assert set(properties("starter-test.conllu")) == {"upos", "xpos", "Chunk", "Sem", "CCG"}


@pytest.mark.parametrize(("file", "options", "words", "labels"), [
    ("ud_ewt/en_ewt-ud-test.conllu.xz", {}, 25094, 17),
    ("ud_ewt/en_ewt-ud-test.conllu.xz", {"property": "xpos"}, 25094, 48),
    ("conll2000/test.txt.xz", {"columns": (0, 2)}, 47377, None),
    ("pmb/en.test.word_sem_ccg.tsv", {"property": "1"}, 6821, 62),
    ("pmb/en.test.word_sem_ccg.tsv", {"property": "2"}, 6821, 180),
])
def test_real_corpora(shared: Path, file: str, options: dict, words: int, labels: int | None) -> None:
    found = corpus(str(shared / "data" / file), **options)
    assert found.test.n_words == words
    assert labels is None or len(found.inventory()) == labels
