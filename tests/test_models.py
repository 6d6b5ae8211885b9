"""Checkpoints: every family and file format loads as it is, and what does not fit is refused in plain words."""
import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CLIPConfig,
    T5Config,
    T5EncoderModel,
    T5Model,
    ViTConfig,
    Wav2Vec2Config,
)
from transformers.utils import logging

from explorer import models
from explorer.models import LONGEST, check_pair, load, load_tokenizer, resolve, steps
from explorer.specs import InputError
from tests.tiny import FAMILIES, POSITIONS, WORDS, build

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return {family: build(folder / family, family) for family in FAMILIES}


@pytest.fixture
def bert(built: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(built["bert"], tmp_path / "bert")


def reconfigure(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def same_weights(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), two.state_dict()
    shared = [name for name in ours if "pooler" not in name]
    return set(shared) <= set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in shared)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(built: dict[str, Path], family: str) -> None:
    checkpoint = resolve(str(built[family]))
    assert (checkpoint.model_type, checkpoint.n_layers, checkpoint.width) == (family, 3, 16)
    assert checkpoint.max_length == (LONGEST if family == "xlnet" else POSITIONS)
    model, tokenizer = load(checkpoint)
    assert checkpoint.vocab_size == len(tokenizer) == model.get_input_embeddings().num_embeddings
    assert not model.training
    assert tokenizer.is_fast


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_are_left_aside(built: dict[str, Path], tmp_path: Path, family: str) -> None:
    """What fine-tuning saves has other names and more weights than what pre-training saves."""
    base = AutoModel.from_pretrained(built[family])
    tuned = AutoModelForSequenceClassification.from_pretrained(built[family])
    tuned.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(built[family]).save_pretrained(tmp_path)
    check_pair(resolve(str(built[family])), resolve(str(tmp_path)))
    assert same_weights(base, load(resolve(str(tmp_path)))[0])


def test_resolving_needs_no_torch(built: dict[str, Path]) -> None:
    code = f"import sys, explorer.models as m; m.resolve({str(built['bert'])!r})\n" \
           "print([m for m in ('torch', 'transformers', 'huggingface_hub') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_draws_and_says_nothing(built: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    AutoModelForSequenceClassification.from_pretrained(built["bert"]).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(built["bert"]).save_pretrained(tmp_path)
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    load(resolve(str(tmp_path)))
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_another_byte_is_another_checkpoint(bert: Path, file: str) -> None:
    before = resolve(str(bert))
    (bert / "config.json").write_text((bert / "config.json").read_text() + " ")
    padded = resolve(str(bert))
    if file != "config.json":
        (bert / file).write_bytes((bert / file).read_bytes() + b" ")
    assert resolve(str(bert)).digest not in {before.digest} | ({padded.digest} - {resolve(str(bert)).digest})
    assert (resolve(str(bert)).tokenizer_digest != before.tokenizer_digest) == file.startswith("tokenizer")


def test_a_copy_is_the_same_checkpoint(built: dict[str, Path], bert: Path) -> None:
    (bert / "README.md").write_text("what it is")
    (bert / "optimizer.pt").write_bytes(b"what a trainer leaves")
    assert resolve(str(bert)).digest == resolve(str(built["bert"])).digest


def test_large_files_are_read_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = models.sha256
    monkeypatch.setattr(models, "sha256", lambda path: read.append(path.name) or digest(path))
    first = resolve(str(bert))
    assert sorted(set(read)) == sorted(read) == sorted(path.name for path in bert.iterdir())
    assert resolve(str(bert)) == first
    assert len(read) == 4
    alter(bert / "model.safetensors")
    assert resolve(str(bert)).digest != first.digest
    assert read[4:] == ["model.safetensors"]


def test_a_starter_name(built: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "STARTER", built["bert"].parent)
    assert resolve("bert").digest == resolve(str(built["bert"])).digest


def test_a_starter_run_is_its_last_checkpoint(
    built: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "STARTER", tmp_path)
    for step in (9, 10):
        reconfigure(shutil.copytree(built["bert"], tmp_path / "tuned" / f"checkpoint-{step}"), note=step)
    last, first = resolve("tuned"), resolve("tuned/checkpoint-9")
    assert last.digest == resolve(str(tmp_path / "tuned" / "checkpoint-10")).digest != first.digest
    assert [last.name, first.name] == ["tuned", "tuned/checkpoint-9"]


def test_steps_come_in_their_order(tmp_path: Path) -> None:
    for name in ("checkpoint-100", "checkpoint-0", "checkpoint-20", "checkpoint-last", "runs", "checkpoint-7b"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-3").touch()
    assert [path.name for path in steps(tmp_path)] == ["checkpoint-0", "checkpoint-20", "checkpoint-100"]
    with pytest.raises(InputError, match="takes one of its checkpoints: checkpoint-0, checkpoint-20, checkpoint-100"):
        resolve(str(tmp_path))


def as_bin(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_shards(folder: Path) -> None:
    AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="8KB")
    (folder / "model.safetensors").unlink(missing_ok=True)


def as_bin_shards(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, part in parts.items():
        torch.save({name: weights[name] for name in part}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def as_half(folder: Path) -> None:
    weights = {name: value.half().float() for name, value in load_file(folder / "model.safetensors").items()}
    save_file({name: value.half() for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    reconfigure(folder, dtype="float16")


@pytest.mark.parametrize("convert", [as_bin, as_shards, as_bin_shards, as_half])
def test_every_form_of_weights(built: dict[str, Path], bert: Path, convert: Callable[[Path], None]) -> None:
    convert(bert)
    model = load(resolve(str(bert)))[0]
    expected = AutoModel.from_pretrained(built["bert"])
    if convert is as_half:
        expected = expected.half().float()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert same_weights(expected, model)


def test_a_lost_shard(bert: Path) -> None:
    as_bin_shards(bert)
    (bert / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(InputError, match=r"names 2 files .* pytorch_model-00002-of-00002\.bin is not there"):
        resolve(str(bert))


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_does_not_run(bert: Path, tmp_path: Path, legacy: bool) -> None:
    as_bin(bert)
    weights = torch.load(bert / "pytorch_model.bin")
    torch.save(weights | {"more": Malicious(tmp_path / "ran")}, bert / "pytorch_model.bin",
               _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="is damaged, or holds more than weights; it is not run"):
        load(resolve(str(bert)))
    assert not (tmp_path / "ran").exists()
    (bert / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious(tmp_path / "ran"), protocol=2))
    with pytest.raises(InputError, match="it is not run"):
        load(resolve(str(bert)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("model_type", ["bert", "of-ones-own"])
def test_code_that_comes_along_does_not_run(bert: Path, tmp_path: Path, model_type: str) -> None:
    (bert / "code.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    reconfigure(bert, model_type=model_type, auto_map={"AutoConfig": "code.Config", "AutoModel": "code.Model"})
    tokenizer = json.loads((bert / "tokenizer_config.json").read_text())
    tokenizer |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["code.Own", None]}}
    (bert / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    if model_type == "of-ones-own":
        with pytest.raises(InputError, match="cannot be loaded"):
            load(resolve(str(bert)))
    else:
        load(resolve(str(bert)))
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fill_the_model(bert: Path) -> None:
    weights = load_file(bert / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1.output" not in name}
    save_file(kept, bert / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 4 of its parameters \(encoder\.layer\.1\.output\.LayerNorm\.bias, "):
        load(resolve(str(bert)))


def test_a_pooler_is_not_missed(bert: Path) -> None:
    weights = load_file(bert / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, bert / "model.safetensors", {"format": "pt"})
    load(resolve(str(bert)))


@pytest.mark.parametrize("cls", [T5Model, T5EncoderModel])
def test_of_an_encoder_and_decoder_the_encoder_counts(built: dict[str, Path], tmp_path: Path, cls: type) -> None:
    tokenizer = AutoTokenizer.from_pretrained(built["albert"])
    config = T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=3, num_decoder_layers=1,
                      num_heads=2)
    cls(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    checkpoint = resolve(str(tmp_path))
    model, tokenizer = load(checkpoint)
    out = model(**tokenizer("the cat", return_tensors="pt"), output_hidden_states=True)
    assert len(out.hidden_states) == checkpoint.n_layers == 4


def without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def write(file: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_text(content) and None


def config_of(config: object) -> Callable[[Path], None]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(config.to_dict())) and None


def empty_index(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(("spoil", "message"), [
    (without("config.json"), "no config.json in .*bert; takes a checkpoint as transformers saves it"),
    (without("model.safetensors"), "no weights in .*; takes model.safetensors or pytorch_model.bin"),
    (without("tokenizer.json"), "no tokenizer in .*; takes tokenizer.json or a vocabulary"),
    (write("config.json", "{"), "config.json: cannot be read as JSON"),
    (write("config.json", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")), "cannot be read as JSON"),
    (write("config.json", "[]"), "config.json: holds a list; takes a JSON object"),
    (lambda folder: reconfigure(folder, model_type=None), "no model_type; add it"),
    (lambda folder: reconfigure(folder, num_hidden_layers=-1), "none of encoder_layers, num_hidden_layers"),
    (empty_index, "has no weight_map"),
    (adapter, "holds an adapter; takes a whole model"),
    (config_of(ViTConfig()), r"none of vocab_size, n_words \(model_type vit\); takes a text model"),
    (config_of(CLIPConfig()), r"none of hidden_size, .* \(model_type clip\); takes a text model"),
])
def test_folders_that_cannot_be_used(bert: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(bert)
    with pytest.raises(InputError, match=f"(?s){message}"):
        resolve(str(bert))


@pytest.mark.parametrize(("name", "message"), [
    ("/no/such/folder", "there is no such folder"), ("./neither", "there is no such folder"),
    ("~/neither", "there is no such folder"), ("", "got no name"), ("a/b/c", "no hub id"), ("a b", "no hub id"),
    (str(Path(__file__)), "there is no such folder"),
])
def test_names_that_stand_for_nothing(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(name)


def truncated(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:len(content) // 2])


def speech(folder: Path) -> None:
    config = Wav2Vec2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                            conv_dim=[8], conv_kernel=[3], conv_stride=[2], num_feat_extract_layers=1,
                            num_conv_pos_embedding_groups=2)
    AutoModel.from_config(config).save_pretrained(folder)


def more_subwords(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["more", "words"])
    tokenizer.save_pretrained(folder)


def slow_only(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "CanineTokenizer"}))


@pytest.mark.parametrize(("spoil", "message"), [
    (truncated, r"cannot be loaded \(SafetensorError"),
    (write("tokenizer.json", "{}"), "cannot be loaded"),
    (write("tokenizer.json", '{"model": {"type": "?"}}'), "cannot be loaded"),
    (write("tokenizer_config.json", "[]"), "cannot be loaded"),
    (lambda folder: reconfigure(folder, model_type="unheard-of"), "cannot be loaded .*unheard-of"),
    (lambda folder: reconfigure(folder, hidden_size=32), "cannot be loaded"),
    (lambda folder: reconfigure(folder, num_attention_heads=0), "cannot be loaded"),
    (lambda folder: reconfigure(folder, hidden_act="?"), "cannot be loaded"),
    (speech, "wav2vec2 takes input_values; takes a model of text"),
    (more_subwords, "its tokenizer has sub-word number 136, its embeddings end at 134"),
    (slow_only, "CanineTokenizer cannot tell which sub-word belongs to which word"),
])
def test_files_that_cannot_be_used(bert: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(bert)
    with pytest.raises(InputError, match=message):
        load(resolve(str(bert)))


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


@pytest.mark.parametrize(("fields", "length"), [
    ({"max_position_embeddings": 40}, 40), ({"max_position_embeddings": 100_000}, LONGEST),
    ({"max_position_embeddings": -1}, 77), ({"model_type": "roberta", "pad_token_id": 1}, POSITIONS - 2),
    ({"model_type": "roberta", "pad_token_id": None}, POSITIONS - 2),
])
def test_the_longest_sentence(bert: Path, fields: dict, length: int) -> None:
    """By the positions; the tokenizer's limit, often one of training, only where there are none."""
    reconfigure(bert, **fields)
    path = bert / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 77}))
    assert resolve(str(bert)).max_length == length
