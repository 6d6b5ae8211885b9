"""Checkpoints: what a name stands for, whether two belong together, and their weights.

Neither importing this module nor resolving a name imports torch or transformers. Code that comes with a checkpoint
never runs: weights are read from safetensors, or from .bin by torch's weights-only loader.
"""
from __future__ import annotations

import dataclasses
import json
import math
import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.files import is_folder, is_there, sha256
from explorer.hub import BIN, SAFETENSORS, TOKENIZER, VOCABULARIES, download
from explorer.specs import InputError, Progress, digest, silent
from explorer.tasks import task_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STARTER = Path(__file__).resolve().parent / "starter" / "models"
LONGEST = 1024  # sub-words of a sentence, whatever the model takes: attention's memory grows with the square
OFFSET_POSITIONS = {  # families whose positions are counted from the padding's id + 1
    "roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer",
    "data2vec-text", "ibert", "luke", "mluke", "xmod", "esm",
}
NAMES = {  # of the sizes in config.json: each family has its own
    "width": ("hidden_size", "d_model", "n_embd", "dim", "emb_dim"),
    "blocks": ("encoder_layers", "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "vocabulary": ("vocab_size", "n_words"),
}
RANDOM = re.compile(r"random:(.+?)(?:@(\d+))?")  # the architecture of a model, its weights drawn anew by a seed
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")  # with a revision or not
POSITIONS = ("max_position_embeddings", "n_positions")
STEP = re.compile(r"(.*?)[/@_-]?(?:checkpoint-|step[-_]?)(\d+)(k?)/?", re.IGNORECASE)


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights with its tokenizer, in a folder."""

    name: str  # as the user gave it
    folder: Path = field(repr=False)
    digest: str  # of config, weights and tokenizer files: another byte, another checkpoint
    model_type: str
    n_layers: int  # the embedding output, layer 0, included
    width: int  # neurons of a layer
    vocab_size: int
    max_length: int  # sub-words of a sentence, special ones included
    tokenizer_digest: str
    seed: int | None = None  # of weights drawn anew, in place of those in the folder


def resolve(name: str, on_progress: Progress = silent) -> Checkpoint:
    """The checkpoint that a local folder, a starter name or a hub id with optional @revision stands for.

    random:NAME or random:NAME@SEED is the same architecture and tokenizer with random weights, a baseline.
    Tried in this order. The name of a starter's run stands for its last checkpoint. A hub model is downloaded unless
    the hub's cache has it; HF_HUB_OFFLINE=1 keeps to the cache. Raises InputError where there is nothing, or
    something that is not a text model with its tokenizer.
    """
    if match := RANDOM.fullmatch(name):
        return _at_random(name, resolve(match[1], on_progress), int(match[2] or 0))
    folder = _folder(name, on_progress)
    config = _read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    if config is None:
        raise InputError(_no_config(name, folder))
    weights = _weights(name, folder)
    tokenizer = [folder / file for file in TOKENIZER if (folder / file).is_file()]
    if not any(path.name in VOCABULARIES for path in tokenizer):
        raise InputError(f"model {name}: no tokenizer in {folder}; takes tokenizer.json or a vocabulary "
                         f"({', '.join(VOCABULARIES[1:])}), the one of the model it was fine-tuned from")
    sizes = {what: _size(name, folder, config, keys) for what, keys in NAMES.items()}
    return Checkpoint(
        name, folder, _digest([folder / "config.json", *weights, *tokenizer]), _model_type(name, folder, config),
        sizes["blocks"] + 1, sizes["width"], sizes["vocabulary"], _max_length(folder, config), _digest(tokenizer),
    )


def folder_of(name: str) -> Path:
    """The folder of this path, there or not; or the starter's of this name."""
    folder, starter = Path(name).expanduser(), STARTER / name
    return starter if name and is_folder(starter) and not is_folder(folder) else folder


def steps(folder: Path) -> list[Path]:
    """The checkpoint-STEP folders in a run's folder, in the order of their steps."""
    found = {int(match[1]): path for path in (Path(folder).glob("checkpoint-*") if is_folder(Path(folder)) else ())
             if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and path.is_dir()}
    return [found[step] for step in sorted(found)]


def tuning(folder: Path) -> dict:
    """What a run's record says of how its checkpoint in this folder was fine-tuned; empty for other folders."""
    record = folder.parent / "run.json"
    if not re.fullmatch(r"checkpoint-\d+", folder.name) or not record.is_file():
        return {}
    told, fields = _read_json(record), ("task", "train_rows", "steps", "epochs", "batch_size", "learning_rate", "seed")
    found = {field: told[field] for field in fields if field in told}
    if "task" in told and "data" in told:
        found["task"] = task_name(told["task"], told["data"])
    return found | {"step": int(folder.name.removeprefix("checkpoint-"))}


def place(name: str) -> tuple[str, int] | None:
    """The run and the step that a checkpoint's name tells, or None.

    runs/sst2/checkpoint-40, EleutherAI/pythia-70m@step3000 and google/multiberts-seed_0-step_20k are steps 40, 3,000
    and 20,000 of runs/sst2, EleutherAI/pythia-70m and google/multiberts-seed_0.
    """
    match = STEP.fullmatch(name)
    return (match[1], int(match[2]) * (1000 if match[3] else 1)) if match and match[1] else None


def last_steps(names: Sequence[str]) -> list[str]:
    """Of the checkpoints of one run, the one of the last step; a name without a step, the run's own, is of its end."""
    runs: dict[str, tuple[float, str]] = {}
    for name in names:
        run, step = place(name) or (name, math.inf)
        runs[run] = max(runs.get(run, (step, name)), (step, name))
    return [name for _, name in runs.values()]


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """The names, a run's folder replaced by all its checkpoints."""
    found: list[str] = []
    for name in names:
        folder = Path(name).expanduser()
        found += [name] if is_there(folder / "config.json") else [str(path) for path in steps(folder)] or [name]
    return tuple(found)


def check_pair(base: Checkpoint, finetuned: Checkpoint) -> None:
    """Raises InputError, saying what differs, unless neuron and word of one are neuron and word of the other."""
    facts = {
        "architecture": (base.model_type, finetuned.model_type), "layers": (base.n_layers, finetuned.n_layers),
        "width": (base.width, finetuned.width), "vocabulary": (base.vocab_size, finetuned.vocab_size),
        "longest sentence": (base.max_length, finetuned.max_length),
    }
    differ = [f"{what} {theirs} against {ours}" for what, (ours, theirs) in facts.items() if ours != theirs]
    if not differ and base.tokenizer_digest != finetuned.tokenizer_digest:
        ours, theirs = _behaviour(base), _behaviour(finetuned)
        differ = [f"its tokenizer's {part} is another" for part in ours if ours[part] != theirs[part]]
    if differ:
        raise InputError(f"{finetuned.name} does not fit {base.name}: {', '.join(differ)}; "
                         "takes a checkpoint fine-tuned from the same model, with the same tokenizer")


def load(checkpoint: Checkpoint) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The encoder in float32 on the CPU, in evaluation mode, without heads, and its fast tokenizer.

    Raises InputError for files that cannot be read, weights that do not fill the encoder (transformers would make
    up the rest), a tokenizer that does not fit, and models that take no text.
    """
    import torch
    from transformers import AutoModel

    tokenizer = load_tokenizer(checkpoint)
    if checkpoint.seed is not None:
        return _drawn(checkpoint), tokenizer
    with _explained(checkpoint):
        model, report = AutoModel.from_pretrained(
            checkpoint.folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False,
            output_loading_info=True,
        )
    if model.main_input_name != "input_ids":
        raise InputError(f"model {checkpoint.name}: {checkpoint.model_type} takes {model.main_input_name}; "
                         "takes a model of text")
    halves = hasattr(model, "encoder") and hasattr(model, "decoder")
    encoder = model.get_encoder() if halves else model
    missing = sorted(name for name in report["missing_keys"]
                     if "pooler" not in name and not (halves and "decoder." in name))
    if missing:
        raise InputError(f"model {checkpoint.name}: the weights in {checkpoint.folder} lack {len(missing)} of its "
                         f"parameters ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''})")
    rows = model.get_input_embeddings().num_embeddings
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise InputError(f"model {checkpoint.name}: its tokenizer has sub-word number {largest}, its embeddings "
                         f"end at {rows - 1}; takes the tokenizer that the model was trained with")
    return encoder.eval(), tokenizer


def load_classifier(checkpoint: Checkpoint, encoder: PreTrainedModel) -> PreTrainedModel | None:
    """The checkpoint with its head for classifying sentences, on the encoder that load() gave; None if it has none."""
    architectures = _read_json(checkpoint.folder / "config.json").get("architectures") or ()
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
        return None
    import torch
    from transformers import AutoModelForSequenceClassification

    with _explained(checkpoint):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            checkpoint.folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False,
            output_loading_info=True,
        )
    if report["missing_keys"]:  # transformers made up the rest of the head
        return None
    if type(model.base_model) is type(encoder):
        setattr(model, model.base_model_prefix, encoder)
    return model.eval()


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer, which cuts on the right and knows which sub-word belongs to which word."""
    from transformers import AutoTokenizer

    with _explained(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(f"model {checkpoint.name}: {type(tokenizer).__name__} cannot tell which sub-word belongs "
                         "to which word; takes a model with a fast tokenizer (tokenizer.json)")
    tokenizer.truncation_side = "right"
    return tokenizer


def _at_random(name: str, model: Checkpoint, seed: int) -> Checkpoint:
    """A model with random weights: what it was trained to plays no part in its digest."""
    architecture = _digest([model.folder / "config.json"])
    return dataclasses.replace(model, name=name, seed=seed,
                               digest=digest("random", architecture, model.tokenizer_digest, seed))


def _drawn(checkpoint: Checkpoint) -> PreTrainedModel:
    """The encoder with weights as its family starts training, by the checkpoint's seed."""
    import torch
    from transformers import AutoConfig, AutoModel

    with _explained(checkpoint), torch.random.fork_rng(devices=[]):
        torch.manual_seed(checkpoint.seed or 0)
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
        model = AutoModel.from_config(config, trust_remote_code=False).float()
    halves = hasattr(model, "encoder") and hasattr(model, "decoder")
    return (model.get_encoder() if halves else model).eval()


def check_name(name: str) -> None:
    """Raises InputError for what can be no checkpoint: neither a folder that is there, nor an id as the hub's are."""
    takes = "takes a folder, a starter name or a hub id"
    if match := RANDOM.fullmatch(name):
        check_name(match[1])
    elif not name:
        raise InputError(f"model: got no name; {takes}")
    elif not is_folder(folder_of(name)):
        if is_there(Path(name).expanduser()) or name.startswith(("/", ".", "~")):
            raise InputError(f"model {name}: there is no such folder; {takes}")
        if not HUB_ID.fullmatch(name):
            raise InputError(f"model {name}: there is no such folder, and it is no hub id; {takes}")


def _folder(name: str, on_progress: Progress) -> Path:
    check_name(name)
    folder = folder_of(name)
    if is_folder(folder):
        run = steps(folder) if folder.is_relative_to(STARTER) else []
        return (run[-1] if run else folder).resolve()
    return download(name, on_progress)


def _no_config(name: str, folder: Path) -> str:
    """What to say of a folder that holds no checkpoint itself."""
    if found := steps(folder):
        return f"model {name}: a run of fine-tuning; takes one of its checkpoints: {', '.join(p.name for p in found)}"
    if (folder / "adapter_config.json").is_file():
        return f"model {name}: {folder} holds an adapter; takes a whole model: merge it into its base and save that"
    return f"model {name}: no config.json in {folder}; takes a checkpoint as transformers saves it"


def _weights(name: str, folder: Path) -> list[Path]:
    """The files that transformers will load, in its order of preference; the index of shards comes first."""
    for file in (*SAFETENSORS, *BIN):
        path = folder / file
        if path.is_file():
            shards = _shards(path) if path.suffix == ".json" else set()
            missing = [shard for shard in shards if not (folder / shard).is_file()]
            if missing:
                raise InputError(f"model {name}: {path} names {len(shards)} files of weights, and "
                                 f"{', '.join(sorted(missing))} is not there")
            return [path, *(folder / shard for shard in sorted(shards))]
    raise InputError(f"model {name}: no weights in {folder}; takes {SAFETENSORS[0]} or {BIN[0]}, whole or in shards")


def _shards(index: Path) -> set[str]:
    files = _read_json(index).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise InputError(f"{index}: has no weight_map, which names the files of weights")
    return set(files.values())


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; takes a JSON object")
    return content


def _size(name: str, folder: Path, config: dict, keys: tuple[str, ...]) -> int:
    for key in keys:
        if isinstance(config.get(key), int) and config[key] > 0:
            return config[key]
    raise InputError(f"model {name}: {folder / 'config.json'} has none of {', '.join(keys)} (model_type "
                     f"{config.get('model_type')}); takes a text model whose layers have hidden states")


def _model_type(name: str, folder: Path, config: dict) -> str:
    if not isinstance(config.get("model_type"), str):
        raise InputError(f"model {name}: {folder / 'config.json'} has no model_type; add it, for instance "
                         '"model_type": "bert"')
    return config["model_type"]


def _max_length(folder: Path, config: dict) -> int:
    """Sub-words that fit, by the model's positions; its tokenizer's limit counts only where there are none."""
    positions = next((config[key] for key in POSITIONS if isinstance(config.get(key), int) and config[key] > 0), None)
    if positions is None and (folder / "tokenizer_config.json").is_file():
        limit = _read_json(folder / "tokenizer_config.json").get("model_max_length")
        positions = limit if isinstance(limit, int | float) else None
    elif positions is not None and config["model_type"] in OFFSET_POSITIONS:
        positions -= (1 if config.get("pad_token_id") is None else config["pad_token_id"]) + 1
    if positions is not None and positions < 1:
        raise InputError(f"{folder / 'config.json'}: its positions leave room for {positions} sub-words")
    return min(int(positions or LONGEST), LONGEST)


def _digest(paths: list[Path]) -> str:
    return digest(*([path.name, _file_digest(path, *_identity(path))] for path in paths))


def _identity(path: Path) -> tuple[int, int, int]:
    """What changes when a file does."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=256)
def _file_digest(path: Path, *identity: int) -> str:
    """Weights are large: each file is read once, as long as its identity stays."""
    return sha256(path)


def _behaviour(checkpoint: Checkpoint) -> dict[str, object]:
    """All that decides how words become numbers of sub-words, as the tokenizer is when loaded."""
    tokenizer = load_tokenizer(checkpoint)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    return {
        "vocabulary": tokenizer.get_vocab(), "normalisation (such as lower-casing)": state["normalizer"],
        "splitting": state["pre_tokenizer"], "model": state["model"], "special sub-words": state["post_processor"],
    }


@contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn what transformers cannot read into InputError, and keep it quiet."""
    try:
        with quiet():
            yield
    except pickle.UnpicklingError as error:
        raise InputError(f"model {checkpoint.name}: the .bin in {checkpoint.folder} is damaged, or holds more than "
                         "weights; it is not run") from error
    except Exception as error:  # of a file that somebody else wrote; the tokenizers library raises nothing narrower
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"model {checkpoint.name}: {checkpoint.folder} cannot be loaded "
                         f"({type(error).__name__}: {reason})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' tables and progress bars to itself."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
