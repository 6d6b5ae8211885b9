"""Checkpoints: every family and file format loads as it is, and runs no code that comes along."""
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    T5Config,
    T5EncoderModel,
    T5Model,
)
from transformers.utils import logging

from explorer import models
from explorer.corpus import CorpusRequest, read_corpus
from explorer.models import LONGEST, check_name, check_pair, expand, folder_of, last_steps, load, resolve, steps
from explorer.specs import InputError
from explorer.tasks import read_task
from tests.tiny import FAMILIES, POSITIONS, reconfigure

ROOT = Path(__file__).resolve().parents[1]

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


@pytest.mark.parametrize("name", ["a" * 300, "/" + "a" * 300, "a/" * 3000, "~nobody/a"])
def test_no_name_is_too_long_or_strange_to_be_refused(name: str) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        resolve(name)
    assert steps(folder_of(name)) == []
    assert expand([name]) == (name,)
    for read in (lambda: read_corpus(CorpusRequest(name)), lambda: read_task("sst2", name)):
        with pytest.raises(InputError):
            read()


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
    (bert / file).write_bytes((bert / file).read_bytes() + b" ")
    assert resolve(str(bert)).digest != before.digest
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


def test_the_last_step_of_each_run_stands_for_it() -> None:
    assert last_steps(["a/checkpoint-1", "a/checkpoint-9", "hub/b", "c/checkpoint-2"]) == [
        "a/checkpoint-9", "hub/b", "c/checkpoint-2"]
    assert last_steps(["a/checkpoint-40", "a/checkpoint-10", "hub/b@step3000", "hub/b@step1000"]) == [
        "a/checkpoint-40", "hub/b@step3000"]
    assert last_steps(["starter-bert-sst2", "starter-bert-sst2/checkpoint-526"]) == ["starter-bert-sst2"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "./my-model", "~/no-model", "<b>hi</b>", "a/b/c",
                                  "random:/no/model"])
def test_what_can_be_no_checkpoint_is_known_at_once(name: str) -> None:
    with pytest.raises(InputError, match="takes a folder, a starter name or a hub id"):
        check_name(name)


@pytest.mark.parametrize("name", ["starter-bert", "random:starter-bert@3", "bert-base-cased", "google/x@refs/pr/1"])
def test_what_may_be_a_checkpoint(name: str) -> None:
    check_name(name)
