"""Pre-training: what is hidden from whom, where it starts, that it goes on after a kill; and all of it."""
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from explorer.models import STARTER, check_pair, load, resolve
from explorer.specs import InputError
from explorer.starter.build.__main__ import main
from explorer.starter.build.families import FAMILIES, OFFSETS
from explorer.starter.build.objectives import KEPT, MASKED, SWAPPED, Masked, Permuted
from explorer.starter.build.pretrain import BLOCK, Settings, Training, pretrain
from explorer.starter.build.text import Text, encoded
from explorer.starter.build.tune import SLIVER, tune

TINY = Settings(
    tokens=4 * 2 * BLOCK, vocabulary=400, vocabulary_lines=300, batch=2, valid_batches=1, valid_every=2 * BLOCK,
    warm_up=1)
OURS = Text(None)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads gain nothing on matrices so small, and wait for each other where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    return {name: family.tokenizer(OURS.lines(OURS.train[0]), 600) for name, family in FAMILIES.items()}


def pieces(tokenizer: PreTrainedTokenizerFast, n: int = 8, length: int = 30) -> np.ndarray:
    """Ordinary sub-words (n, length), with a separator in the middle of each window."""
    special = len(tokenizer.all_special_ids)
    found = np.random.default_rng(0).integers(special, len(tokenizer), (n, length)).astype(np.uint16)
    found[:, length // 2] = tokenizer.sep_token_id
    return found


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_masking_never_hits_special_sub_words(name: str, tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    tokenizer = tokenizers[name]
    objective = Masked(tokenizer)
    for seed in range(20):
        plain = objective.windows(pieces(tokenizer))
        inputs, chosen, targets = objective.batch(pieces(tokenizer), np.random.default_rng(seed))
        assert not chosen[torch.isin(plain, torch.tensor(tokenizer.all_special_ids))].any()
        assert torch.equal(inputs[~chosen], plain[~chosen])
        assert torch.equal(targets, plain[chosen])
        put_in = inputs[chosen][inputs[chosen] != tokenizer.mask_token_id]
        assert not torch.isin(put_in, torch.tensor(tokenizer.all_special_ids)).any()


def test_masks_are_drawn_anew_in_their_shares(tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    tokenizer = tokenizers["bert"]
    text = np.full((400, 60), tokenizer.convert_tokens_to_ids("a"), np.uint16)
    inputs, chosen, targets = Masked(tokenizer).batch(text, np.random.default_rng(0))
    again = Masked(tokenizer).batch(text, np.random.default_rng(1))[1]
    hidden = inputs[chosen] == tokenizer.mask_token_id
    same = inputs[chosen] == targets
    assert chosen[:, 1:-1].float().mean() == pytest.approx(MASKED + SWAPPED + KEPT, abs=0.01)
    found = [float(which.sum()) / chosen[:, 1:-1].numel() for which in (hidden, ~hidden & ~same, same)]
    assert found == pytest.approx([MASKED, SWAPPED, KEPT], abs=0.01)
    assert not torch.equal(chosen, again)


def test_a_permuted_word_sees_the_context_and_what_came_before_it(
    tokenizers: dict[str, PreTrainedTokenizerFast],
) -> None:
    tokenizer = tokenizers["xlnet"]
    inputs, hidden, mapping, targets = Permuted(tokenizer).batch(pieces(tokenizer), np.random.default_rng(0))
    for n in range(len(inputs)):
        order = mapping[n].argmax(1).tolist()
        context = [i for i in range(inputs.shape[1]) if i not in order]
        assert not hidden[n][:, context].any(), "everybody sees what is not predicted"
        assert hidden[n][context][:, order].all(), "what is not predicted sees nothing that is"
        for turn, position in enumerate(order):
            assert hidden[n, position, order[turn:]].all(), "nor does a word see itself or those after it"
            assert not hidden[n, position, order[:turn]].any()
        assert inputs[n, order].tolist() == targets[n].tolist()
        assert max(order) < inputs.shape[1] - 2


def test_a_prediction_does_not_depend_on_what_is_hidden_from_it(
    tokenizers: dict[str, PreTrainedTokenizerFast],
) -> None:
    tokenizer = tokenizers["xlnet"]
    inputs, hidden, mapping, _ = Permuted(tokenizer).batch(pieces(tokenizer, 1), np.random.default_rng(0))
    torch.manual_seed(0)
    model = FAMILIES["xlnet"].model(tokenizer).eval()
    last = mapping[0].argmax(1)[-1]
    changed = inputs.clone()
    changed[0, last] = inputs[0, 0]
    with torch.inference_mode():
        before, after = (model.transformer(x, perm_mask=hidden, target_mapping=mapping, use_mems=False)[0]
                         for x in (inputs, changed))
    assert changed[0, last] != inputs[0, last]
    torch.testing.assert_close(before, after)


def test_heads_start_on_their_neighbours(family: str, tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    tokenizer = tokenizers[family]
    torch.manual_seed(0)
    model = FAMILIES[family].model(tokenizer).eval()
    model.set_attn_implementation("eager")
    words = (Permuted if FAMILIES[family].permuted else Masked)(tokenizer).windows(pieces(tokenizer, 16, 40))
    attention = model.base_model(words, output_attentions=True).attentions[0].mean(0)  # (heads, from, to)
    middle = torch.arange(10, 30)
    for head, offset in enumerate(OFFSETS):
        others = [d for d in range(-8, 9) if d]
        found = [attention[head, middle, middle + d].mean().item() for d in others]
        assert others[int(np.argmax(found))] == offset
        assert max(found) > 5 / words.shape[1]


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(family: str, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(FAMILIES[family], OURS, TINY, whole, whole / "model")
    shutil.copytree(whole / "tokenizer", parts / "tokenizer")
    pretrain(FAMILIES[family], OURS, replace(TINY, until=0.0), parts, parts / "model")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(parts / "tokenizer")
    training = Training(FAMILIES[family], OURS, TINY, parts, tokenizer)
    training.restore()
    blocks = training._blocks()
    training._learn(next(blocks))
    training._measure(training._valid())
    training.save(parts / "model")
    pretrain(FAMILIES[family], OURS, TINY, parts, parts / "model")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (whole / "model" / name).read_bytes() == (parts / "model" / name).read_bytes()


def test_no_text_is_left_out(tmp_path: Path, tokenizers: dict[str, PreTrainedTokenizerFast]) -> None:
    tokenizer = tokenizers["bert"]
    found = encoded(OURS, OURS.valid, tokenizer.backend_tokenizer, tokenizer.sep_token_id, tmp_path)
    lines = " ".join(OURS.lines(OURS.valid))
    ends = int((found == tokenizer.sep_token_id).sum())
    assert ends == len(list(OURS.lines(OURS.valid)))
    again = tokenizer.decode(found[found != tokenizer.sep_token_id].tolist())
    assert again.replace(" ", "") == lines.replace(" ", "")


def test_a_folder_without_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no file \*\.train\.\*"):
        _ = Text(tmp_path).train


def test_what_has_learnt_nothing_does_not_ship(tmp_path: Path) -> None:
    rows = [f"sentence {i}\t{int(i % 10 == 0)}" for i in range(100)]
    (tmp_path / "rows.tsv").write_text("\n".join(["sentence\tlabel", *rows, ""]))
    still = replace(SLIVER[0], learning_rate=1e-9, file=str(tmp_path / "rows.tsv"))
    told = tune(STARTER / "starter-bert", still, tmp_path, tmp_path / "work", tmp_path / "out")
    assert "does not ship" in told
    assert not (tmp_path / "out").exists()


def test_smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    none = str(tmp_path / "none")
    monkeypatch.setattr("sys.argv", ["build", "--smoke", "--text", none, "--ewt", none, "--threads", "1",
                                     "--out", str(tmp_path / "models")])
    main()
    for family in FAMILIES.values():
        folder = tmp_path / "models" / family.name
        model, tokenizer = load(resolve(str(folder)))
        assert model.dtype == torch.float32
        assert tokenizer(["A", "word"], is_split_into_words=True).word_ids()
        record = json.loads((folder / "pretraining.json").read_text())
        losses = [point["loss"] for point in record["curve"]]
        assert losses[-1] < losses[0] - 0.5
        assert record["loss"] == losses[-1]
        assert len(record["upos"]["trained"]) == len(record["upos"]["untrained"]) == 7
        assert f"**{record['loss']:.2f}**" in (folder / "README.md").read_text()
        run = tmp_path / "models" / f"{family.name}-sentiment"
        tuned = resolve(str(next(run.glob("checkpoint-*"))))
        check_pair(resolve(str(folder)), tuned)
        assert tuned.digest != resolve(str(folder)).digest
        weights = load_file(tuned.folder / "model.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        record = json.loads((run / "run.json").read_text())
        assert f"**{100 * record['checkpoints'][-1]['dev_score']:.1f} %**" in (run / "README.md").read_text()
    assert "1 of 1: done" in capsys.readouterr().out  # the studies
    masked = AutoModelForMaskedLM.from_pretrained(tmp_path / "models" / "starter-bert")
    assert masked.get_output_embeddings().weight.data_ptr() == masked.get_input_embeddings().weight.data_ptr()
