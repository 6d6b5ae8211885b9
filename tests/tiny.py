"""Tiny random checkpoints of real architectures, with matching tokenizers trained on the tests' own words."""
import functools
import json
import string
from pathlib import Path

import torch
from transformers import (
    AlbertConfig,
    AlbertTokenizer,
    AutoModel,
    BertConfig,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    GPT2Tokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaTokenizer,
    XLNetConfig,
    XLNetTokenizer,
)

from tests.words import LEXICON

WORDS = tuple(word for words in LEXICON.values() for word in words)
LETTERS = list(string.ascii_letters + string.digits + string.punctuation)
POSITIONS = 64  # sub-words that fit; XLNet has no such limit
SIZES = 400  # most sub-words of a vocabulary; 256 of them are bytes where the tokenizer works on bytes

TOKENIZERS = {
    "bert": BertTokenizer, "distilbert": BertTokenizer, "electra": BertTokenizer, "roberta": RobertaTokenizer,
    "xlnet": XLNetTokenizer, "albert": AlbertTokenizer, "deberta-v2": DebertaV2Tokenizer, "gpt2": GPT2Tokenizer,
}
FAMILIES = tuple(TOKENIZERS)


def build(folder: Path, family: str, seed: int = 0, layers: int = 2, width: int = 16,
          words: tuple[str, ...] = WORDS, spread: float = 1) -> Path:
    """Write config, random weights (safetensors) and a fast tokenizer.

    layers is the number of blocks, so that there are layers + 1 layers of hidden states. spread multiplies the weights'
    standard deviation: as families start, a word's context shows in its activations by little more than rounding.
    """
    tokenizer = train_tokenizer(family, words)
    config = make_config(family, tokenizer, layers, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(spread if parameter.ndim > 1 else 1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@functools.cache  # training breaks ties at random, and two checkpoints of a pair have one tokenizer
def train_tokenizer(family: str, words: tuple[str, ...] = WORDS) -> PreTrainedTokenizerBase:
    """The family's own tokenizer, with a vocabulary of the words' frequent parts and all ASCII letters."""
    text = [f" {word}" for word in words] * 3 + LETTERS
    return TOKENIZERS[family]().train_new_from_iterator([text], vocab_size=SIZES, show_progress=False)


def make_config(family: str, tokenizer: PreTrainedTokenizerBase, layers: int, width: int) -> PreTrainedConfig:
    """A config in which the sizes that matter are small; the rest is the family's default."""
    ids = {
        "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
    }
    usual = ids | {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2,
        "intermediate_size": 2 * width, "max_position_embeddings": POSITIONS,
    }
    if family == "bert":
        return BertConfig(**usual)
    if family == "roberta":  # its positions are counted from the padding's id + 1
        return RobertaConfig(**usual | {"max_position_embeddings": POSITIONS + tokenizer.pad_token_id + 1})
    if family == "electra":
        return ElectraConfig(**usual, embedding_size=width // 2)
    if family == "albert":
        return AlbertConfig(**usual, embedding_size=width // 2)
    if family == "deberta-v2":  # as in version 3
        return DebertaV2Config(**usual, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8,
                               norm_rel_ebd="layer_norm", share_att_key=True, position_biased_input=False)
    if family == "distilbert":
        return DistilBertConfig(**ids, dim=width, n_layers=layers, n_heads=2, hidden_dim=2 * width,
                                max_position_embeddings=POSITIONS)
    if family == "xlnet":
        return XLNetConfig(**ids, d_model=width, n_layer=layers, n_head=2, d_inner=2 * width)
    return GPT2Config(**ids, n_embd=width, n_layer=layers, n_head=2, n_positions=POSITIONS)


def reconfigure(folder: Path, **fields: object) -> None:
    """Change fields of a checkpoint's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
