"""The three architectures of the study, small: their tokenizers, sizes and the state they start from."""
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
    XLNetConfig,
    XLNetLMHeadModel,
    XLNetModel,
)

WIDTH, BLOCKS, HEADS, FEED_FORWARD = 128, 6, 4, 512
LONGEST = 128  # sub-words, special ones included
HEAD, HALF = WIDTH // HEADS, WIDTH // 2
OFFSETS = (-1, 1, -2, 2)  # what each head of a block attends to at the start, in words from its own


@dataclass(frozen=True)
class Family:
    """One architecture: how its tokenizer is trained, and how the model is made."""

    name: str
    tokenizer: Callable[[Iterable[str], int], PreTrainedTokenizerFast]
    model: Callable[[PreTrainedTokenizerFast], PreTrainedModel]
    learning_rate: float = 1e-3  # at its highest; at twice that the upper blocks of BERT stop attending to anything
    permuted: bool = False  # permutation language modelling, else masked


def _template(tokenizer: Tokenizer, single: str, pair: str, specials: Iterable[str]) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in specials])


def wordpiece(lines: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """BERT's cased WordPiece (Devlin et al. 2019)."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=specials, limit_alphabet=400, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]")


def byte_level(lines: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """RoBERTa's byte-level BPE (Liu et al. 2019)."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    _template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", ("<s>", "</s>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"])


def unigram(lines: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """XLNet's SentencePiece unigram model (Kudo 2018; Yang et al. 2019), special sub-words last and padding first."""
    specials = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation("isolated")])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(lines, trainers.UnigramTrainer(
        vocab_size=size, special_tokens=specials, unk_token="<unk>", show_progress=False))
    _template(tokenizer, "$A:0 <sep>:0 <cls>:2", "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2", ("<sep>", "<cls>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        sep_token="<sep>", cls_token="<cls>", pad_token="<pad>", mask_token="<mask>", padding_side="left",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"])


def bert(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    model = BertForMaskedLM(BertConfig(**_sizes(tokenizer), max_position_embeddings=LONGEST))
    torch.nn.init.zeros_(model.bert.embeddings.token_type_embeddings.weight)
    _look_at_neighbours(model.bert)
    return model


def roberta(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    model = RobertaForMaskedLM(RobertaConfig(
        **_sizes(tokenizer), max_position_embeddings=LONGEST + tokenizer.pad_token_id + 1, type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))
    torch.nn.init.zeros_(model.roberta.embeddings.token_type_embeddings.weight)
    _look_at_neighbours(model.roberta)
    return model


def xlnet(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    model = XLNetLMHeadModel(XLNetConfig(
        vocab_size=len(tokenizer), d_model=WIDTH, n_layer=BLOCKS, n_head=HEADS, d_inner=FEED_FORWARD, dropout=0.0,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, use_mems_eval=False))
    encoder: Any = model.transformer
    _look_at_neighbours_relative(encoder)
    # One encoding of the distances for all texts, not a copy for each: a step takes a tenth less.
    encoding = encoder.relative_positional_encoding
    encoder.relative_positional_encoding = lambda qlen, klen, **_: encoding(qlen, klen).to(model.device)
    return model


FAMILIES = {
    "bert": Family("starter-bert", wordpiece, bert),
    "roberta": Family("starter-roberta", byte_level, roberta),
    "xlnet": Family("starter-xlnet", unigram, xlnet, learning_rate=2e-3, permuted=True),
}


def _sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Without dropout: no sub-word is seen often enough to be learnt by heart."""
    return {
        "vocab_size": len(tokenizer), "hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS,
        "intermediate_size": FEED_FORWARD, "pad_token_id": tokenizer.pad_token_id, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }


@torch.no_grad()
def _look_at_neighbours(encoder: BertModel | RobertaModel, gain: float = 1.2) -> None:
    """Start the heads of all blocks on the neighbouring words, from which everything else is learnt.

    Left to itself so small a model takes over 8 M sub-words to find its neighbours and learns nothing until then.
    Words start in the second half of the neurons, positions, as strong, in the first as sinusoids (Vaswani et al.
    2017), and the queries turn them by the head's offset, so that query . key is largest at that offset.
    """
    words, positions = encoder.embeddings.word_embeddings.weight, encoder.embeddings.position_embeddings.weight
    words.normal_(0, 0.07)
    words[:, :HALF] = 0
    frequencies = 2.6 * torch.exp(-math.log(400) * torch.arange(HALF // 2) / HALF)
    angles = torch.arange(len(positions))[:, None] * frequencies
    positions.zero_()
    positions[:, 0:HALF:2], positions[:, 1:HALF:2] = 0.1 * torch.sin(angles), 0.1 * torch.cos(angles)
    blocks: Any = encoder.encoder.layer
    for attention in (block.attention.self for block in blocks):
        for head, offset in enumerate(OFFSETS):
            query, key = _turns(frequencies, offset, first=head % 2)
            rows = slice(head * HEAD, (head + 1) * HEAD)
            attention.query.weight[rows] += gain * query
            attention.key.weight[rows] += gain * key


def _turns(frequencies: Tensor, offset: int, first: int) -> tuple[Tensor, Tensor]:
    """Query and key (HEAD, WIDTH) of a head that looks `offset` away, on every second frequency."""
    query, key = torch.zeros(HEAD, WIDTH), torch.zeros(HEAD, WIDTH)
    for i in range(HEAD // 2):
        j = 2 * i + first
        sine, cosine = torch.sin(offset * frequencies[j]), torch.cos(offset * frequencies[j])
        at = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        query[at] = torch.stack([torch.stack([cosine, sine]), torch.stack([-sine, cosine])])
        key[at] = torch.eye(2)
    return query, key


@torch.no_grad()
def _look_at_neighbours_relative(encoder: XLNetModel, gain: float = 8.0) -> None:
    """The same for relative positions: the first neuron of each head scores the distance, by ridge regression."""
    torch.nn.init.normal_(encoder.word_embedding.weight, 0, 0.05)
    span = LONGEST // 2
    distances = torch.arange(-span, span + 1.0)  # of the query from the key
    inverse = 1 / 10000 ** (torch.arange(0, WIDTH, 2) / WIDTH)
    encoding = encoder.positional_embedding(distances, inverse)[:, 0]  # (distances, neurons)
    gram = encoding.T @ encoding + 0.1 * torch.eye(WIDTH)
    block: Any = encoder.layer[0]
    attention = block.rel_attn
    for head, offset in enumerate(OFFSETS):
        wanted = gain * torch.exp(-(distances + offset).abs())
        attention.r[:, head, 0] = torch.linalg.solve(gram, encoding.T @ wanted)
        attention.r_r_bias[head, 0] = HEAD ** 0.5
