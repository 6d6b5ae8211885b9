"""The starter's treebank and tasks: inventories, format, derivations, and nothing in two splits."""
import csv
import re
from collections import Counter
from pathlib import Path

import conllu
import pytest

from tests.ccg import derives, parse

STARTER = Path(__file__).resolve().parents[1] / "explorer" / "starter"
TREEBANK = sorted((STARTER / "treebank").glob("*.conllu"))
TASKS = {"sentiment": 1, "acceptability": 1, "paraphrase": 2}  # texts a row

UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
VERBS = {"VERB", "AUX"}
UPOS_OF_XPOS = {
    "DT": {"DET", "PRON"}, "NN": {"NOUN", "PRON", "SYM"}, "NNS": {"NOUN"}, "NNP": {"PROPN"}, "NNPS": {"PROPN"},
    "PRP": {"PRON"}, "PRP$": {"PRON"}, "CC": {"CCONJ"}, "CD": {"NUM", "NOUN"}, "MD": {"AUX"}, "EX": {"PRON"},
    "TO": {"PART"}, "POS": {"PART"}, "RP": {"ADP", "ADV"}, "UH": {"INTJ"}, "WRB": {"ADV", "SCONJ"}, "WP": {"PRON"},
    "WP$": {"PRON", "DET"}, "WDT": {"PRON", "DET"}, "JJ": {"ADJ"}, "JJR": {"ADJ"}, "JJS": {"ADJ"},
    "RB": {"ADV", "PART"}, "RBR": {"ADV"}, "RBS": {"ADV"}, "IN": {"ADP", "SCONJ"}, "PDT": {"DET"}, ".": {"PUNCT"},
    ",": {"PUNCT"}, ":": {"PUNCT"}, "$": {"SYM"}, "``": {"PUNCT"}, "''": {"PUNCT"}, "HYPH": {"PUNCT"},
    "-LRB-": {"PUNCT"}, "-RRB-": {"PUNCT"}, "FW": UPOS, "LS": UPOS, "SYM": UPOS,
    **dict.fromkeys(["VB", "VBD", "VBG", "VBN", "VBP", "VBZ"], VERBS),
}
CHUNKS = set("NP VP PP ADVP ADJP SBAR PRT CONJP INTJ LST".split())  # CoNLL-2000
SEM = set(
    "PRO DEF HAS REF EMP GRE ITJ HES QUE QUC QUV COL IST SST PRI DEG INT REL SCO EQU APX MOR LES TOP BOT ORD CON ROL "
    "GRP DXP DXT DXD ALT XCL NIL DIS IMP AND NOT NEC POS SUB COO APP BUT PER GPE GPO GEO ORG ART HAP UOM CTC LIT NTH "
    "EXS ENS EPS EXG EXT NOW PST FUT PRG PFT DAT DOM YOC DOW MOY DEC CLO".split())  # Abzianidze & Bos 2017


def sentences(path: Path) -> list[conllu.TokenList]:
    return conllu.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TREEBANK, ids=lambda p: p.stem)
def test_tags_are_of_their_inventories(path: Path) -> None:
    for sentence in sentences(path):
        for token in sentence:
            where = f"{sentence.metadata['sent_id']}: {token['form']}"
            assert set(token["misc"]) - {"SpaceAfter"} == {"Chunk", "Sem", "CCG"}, where
            assert token["upos"] in UPOS_OF_XPOS[token["xpos"]], where
            assert token["misc"]["Sem"] in SEM, where


@pytest.mark.parametrize("path", TREEBANK, ids=lambda p: p.stem)
def test_chunks_are_iob2(path: Path) -> None:
    for sentence in sentences(path):
        before = "O"
        for token in sentence:
            chunk = token["misc"]["Chunk"]
            position, _, kind = chunk.partition("-")
            assert chunk == "O" or (position in "BI" and kind in CHUNKS), sentence.metadata
            assert position != "I" or before in (f"B-{kind}", f"I-{kind}"), sentence.metadata
            before = chunk


@pytest.mark.parametrize("path", TREEBANK, ids=lambda p: p.stem)
def test_every_sentence_has_a_ccg_derivation(path: Path) -> None:
    without = [s.metadata["sent_id"] for s in sentences(path) if not derives([t["misc"]["CCG"] for t in s])]
    assert not without


@pytest.mark.parametrize("path", TREEBANK, ids=lambda p: p.stem)
def test_the_text_is_the_words(path: Path) -> None:
    for sentence in sentences(path):
        assert [token["id"] for token in sentence] == list(range(1, len(sentence) + 1))
        words = "".join(token["form"] + ("" if (token["misc"] or {}).get("SpaceAfter") == "No" else " ")
                        for token in sentence)
        assert words.strip() == sentence.metadata["text"]


def test_no_sentence_comes_twice() -> None:
    texts = Counter(" ".join(token["form"] for token in s) for path in TREEBANK for s in sentences(path))
    ids = Counter(s.metadata["sent_id"] for path in TREEBANK for s in sentences(path))
    assert max(texts.values()) == max(ids.values()) == 1


@pytest.mark.parametrize(("supertags", "derived"), [
    ("N (S[dcl]\\NP)/NP N .", True),  # Cats see dogs .
    ("NP/N N/N N S[dcl]\\NP", True),  # The small cat sleeps
    ("N conj N S[dcl]\\NP", True),  # Cats and dogs sleep
    ("N (NP\\NP)/(S[dcl]/NP) N (S[dcl]\\NP)/NP S[dcl]\\NP", True),  # Cats that dogs see sleep
    ("N N", False),
    ("NP/N S[dcl]\\NP", False),
    ("N (S[ng]\\NP)/NP (S[dcl]\\NP)/NP", False),
    ("N (S[dcl]\\NP)/(S[pss]\\NP) S[ng]\\NP .", False),  # a feature that does not fit
])
def test_derivations_that_are_known(supertags: str, derived: bool) -> None:
    assert derives(supertags.split()) == derived


@pytest.mark.parametrize("text", ["", "S[dcl", "(S\\NP", "S\\", "Q", "NP)"])
def test_what_is_no_category(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


@pytest.mark.parametrize(("name", "texts"), TASKS.items())
def test_tasks_are_balanced_and_clean(name: str, texts: int) -> None:
    with (STARTER / "tasks" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == (["sentence", "label"] if texts == 1 else ["sentence1", "sentence2", "label"])
    assert all(len(row) == texts + 1 and all(cell.strip() == cell != "" for cell in row) for row in rows)
    assert Counter(row[-1] for row in rows) == {"0": len(rows) // 2, "1": len(rows) // 2}
    assert len({tuple(row[:-1]) for row in rows}) == len(rows)
    assert not any(re.search(r"  |[<>\x00-\x1f]", cell) for row in rows for cell in row)
