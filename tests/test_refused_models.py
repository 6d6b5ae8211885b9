"""Folders and files that are no model of text: each is refused in plain words."""
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import (
    AutoModel,
    AutoTokenizer,
    CLIPConfig,
    ViTConfig,
    Wav2Vec2Config,
)

from explorer.models import load, resolve
from explorer.specs import InputError
from tests.tiny import reconfigure


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
