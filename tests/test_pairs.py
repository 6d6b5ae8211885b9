"""Tokenizers of every form, and pairs of checkpoints that fit one another or say why not."""
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from transformers import (
    AutoTokenizer,
)

from explorer.models import check_pair, load_tokenizer, resolve
from explorer.specs import InputError
from tests.tiny import WORDS, build


def only_words(folder: Path) -> None:
    """As BERT checkpoints were before tokenizer.json."""
    vocabulary = AutoTokenizer.from_pretrained(folder).get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def only_merges(folder: Path) -> None:
    """As RoBERTa and GPT-2 checkpoints were."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, model["merges"])]) + "\n")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(("family", "convert"), [("bert", only_words), ("roberta", only_merges), ("gpt2", only_merges)])
def test_old_forms_of_a_tokenizer_are_the_same(built: dict[str, Path], tmp_path: Path, family: str,
                                               convert: Callable[[Path], None]) -> None:
    folder = shutil.copytree(built[family], tmp_path / family)
    convert(folder)
    old, new = resolve(str(folder)), resolve(str(built[family]))
    assert old.tokenizer_digest != new.tokenizer_digest
    check_pair(new, old)
    words = ["the", "catdog", "zq"]
    ours, theirs = (load_tokenizer(c)(words, is_split_into_words=True) for c in (old, new))
    assert (ours.input_ids, ours.word_ids()) == (theirs.input_ids, theirs.word_ids())


@pytest.mark.parametrize(("family", "file"), [("xlnet", "spiece.model"), ("albert", "spiece.model"),
                                              ("deberta-v2", "spm.model")])
def test_sentencepiece_models_are_converted(built: dict[str, Path], tmp_path: Path, family: str, file: str) -> None:
    folder = shutil.copytree(built[family], tmp_path / family, ignore=shutil.ignore_patterns("tokenizer*"))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"{word} {word}s" for word in WORDS] * 20), model_prefix=str(tmp_path / "trained"),
        vocab_size=45, minloglevel=2, control_symbols=["[CLS]", "[SEP]", "[MASK]", "<cls>", "<sep>"],
    )
    (tmp_path / "trained.model").rename(folder / file)
    tokenizer = load_tokenizer(resolve(str(folder)))
    found = tokenizer(["the", "cats", "see"], is_split_into_words=True).word_ids()
    assert [word for word in dict.fromkeys(found) if word is not None] == [0, 1, 2]


@pytest.mark.parametrize(("family", "options", "message"), [
    ("electra", {}, "architecture electra against bert"),
    ("bert", {"layers": 3}, r"layers 4 against 3; takes a checkpoint fine-tuned from the same model"),
    ("bert", {"width": 32}, "width 32 against 16"),
    ("bert", {"words": ("other", "words")}, r"vocabulary \d+ against \d+"),
    ("roberta", {"layers": 1}, "architecture roberta against bert, layers 2 against 3, vocabulary"),
])
def test_pairs_that_do_not_fit(built: dict[str, Path], tmp_path: Path, family: str, options: dict,
                               message: str) -> None:
    other = resolve(str(build(tmp_path / "other", family, **options)))
    with pytest.raises(InputError, match=f"^{other.name} does not fit {built['bert']}: .*{message}"):
        check_pair(resolve(str(built["bert"])), other)


def swap_subwords(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"cat":', '"?":').replace('"dog":', '"cat":').replace('"?":', '"dog":'))


def keep_case(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": False}))


@pytest.mark.parametrize(("spoil", "part"), [(swap_subwords, "vocabulary"), (keep_case, "normalisation")])
def test_tokenizers_that_differ(built: dict[str, Path], bert: Path, spoil: Callable[[Path], None], part: str) -> None:
    spoil(bert)
    with pytest.raises(InputError, match=f"its tokenizer's {part}.* is another"):
        check_pair(resolve(str(built["bert"])), resolve(str(bert)))


def test_a_pair_fits_itself_and_its_neighbours(built: dict[str, Path], tmp_path: Path) -> None:
    base = resolve(str(built["bert"]))
    check_pair(base, base)
    check_pair(base, resolve(str(build(tmp_path / "tuned", "bert", seed=1))))
    assert dataclasses.replace(base, name="another") != base
