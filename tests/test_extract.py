"""Extraction: equal to one sentence at a time, whatever the text, the batch, the family or the interruption."""
import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from explorer import extract as extract_module
from explorer.activations import CUT, DROPPED, KEPT
from explorer.corpus import Split
from explorer.extract import NONE, POOLINGS, encode, extract, plan, pool
from explorer.models import Checkpoint, load_tokenizer, resolve
from explorer.specs import InputError
from explorer.store import Store
from tests.tiny import FAMILIES, POSITIONS, build
from tests.words import LEXICON

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = [
    "the small cat sees a dog", "catdog redgarden houseful", "the", "\u200b", "\u200b the \u200b cat \u200b",
    "e\u0301 cafe\u0301 \u0301", "\x00 cat \x07", "漢字 кот 🐈 🐈\u200d⬛ \U0010ffff", "\ufeffcat ﷺ ½ ß",
    "[SEP] </s> [MASK] <pad> <|endoftext|>", "''the'' ``cat`` ...", "cat" * 200, "a " * 30 + "catdogbird " * 30,
    "dog " * 61 + "birdhousecat \u200b cat",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """A checkpoint of every family, whose context shows."""
    folder = tmp_path_factory.mktemp("tiny")
    return {family: resolve(str(build(folder / family, family, spread=10))) for family in FAMILIES}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def split_of(*sentences: str) -> Split:
    words = tuple(tuple(sentence.split(" ")) for sentence in sentences)
    return Split("train", words, tuple(tuple("X" for _ in sentence) for sentence in words))


def simple(n: int = 40) -> Split:
    random = np.random.default_rng(0)
    words = [word for words in LEXICON.values() for word in words]
    return split_of(*(" ".join(random.choice(words, random.integers(1, 9))) for _ in range(n)))


def reference(checkpoint: Checkpoint, split: Split, pooling: str) -> tuple[np.ndarray, np.ndarray]:
    """Activations (layers, words, neurons) and fates (words,), one sentence at a time, by transformers alone."""
    model = AutoModel.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, add_prefix_space=True)
    rows, fates = [], []
    for words in split.sentences:
        whole = tokenizer(list(words), is_split_into_words=True).word_ids()
        encoded = tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=checkpoint.max_length,
                            return_tensors="pt")
        ids = encoded.word_ids()
        with torch.inference_mode():
            hidden = torch.stack(model(**encoded, output_hidden_states=True).hidden_states)[:, 0] if ids else None
        for word in range(len(words)):
            at = [i for i, found in enumerate(ids) if found == word]
            fate = DROPPED if word not in whole else CUT if len(at) < whole.count(word) else KEPT
            at = {"last": at[-1:], "first": at[:1], "mean": at}[pooling]
            fates.append(fate)
            rows.append(hidden[:, at].mean(1).numpy() if fate == KEPT
                        else np.zeros((checkpoint.n_layers, checkpoint.width), np.float32))
    return np.stack(rows, 1), np.array(fates)


def all_layers(found: object) -> np.ndarray:
    return np.stack([found.layer(layer) for layer in range(found.n_layers)])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_one_sentence_at_a_time(tiny: dict[str, Checkpoint], store: Store, family: str, pooling: str) -> None:
    split = split_of(*HOSTILE)
    rows, fates = reference(tiny[family], split, pooling)
    found = extract(tiny[family], split, store, pooling, dtype="float32")
    assert np.array_equal(found.fate, fates)
    assert np.allclose(all_layers(found), rows, atol=2e-4)
    assert {KEPT, CUT} <= set(fates) or family == "xlnet"
    half = extract(tiny[family], split, store, pooling)
    assert np.array_equal(all_layers(half), all_layers(found).astype(np.float16))


@pytest.mark.parametrize("family", FAMILIES)
def test_context_and_layers_show(tiny: dict[str, Checkpoint], store: Store, family: str) -> None:
    """Or the comparison with the reference would prove little."""
    found = extract(tiny[family], split_of("the cat sees", "the dog sees"), store, dtype="float32")
    rows = all_layers(found)
    assert np.abs(rows[0, 1] - rows[0, 4]).max() > 0.1
    assert np.abs(rows[1:, 2] - rows[1:, 5]).max(1).min() > 0.01
    assert np.abs(np.diff(rows, axis=0)).max((1, 2)).min() > 0.1


@pytest.mark.parametrize("family", ["bert", "xlnet", "gpt2", "roberta"])
@pytest.mark.parametrize("budget", [1, 50, 10_000])
def test_batches_do_not_matter(tiny: dict[str, Checkpoint], store: Store, family: str, budget: int,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    split = simple(12)
    rows, _ = reference(tiny[family], split, "last")
    monkeypatch.setitem(extract_module.BUDGET, "cpu", budget)
    assert np.allclose(all_layers(extract(tiny[family], split, store, dtype="float32")), rows, atol=2e-4)


def test_a_real_model(shared: Path, store: Store) -> None:
    checkpoint = resolve(str(shared / "models" / "all-MiniLM-L6-v2"))
    split = split_of("The cat sat on the mat .", "Antidisestablishmentarianism , \u200b obviously !",
                     " ".join(["word"] * 600))
    rows, fates = reference(checkpoint, split, "mean")
    found = extract(checkpoint, split, store, "mean", dtype="float32")
    assert np.array_equal(found.fate, fates)
    assert [(found.fate == fate).sum() for fate in (DROPPED, CUT)] == [1, 90]
    assert np.allclose(all_layers(found), rows, atol=1e-4)


def test_pooling_by_hand() -> None:
    """Words 7 and 3 of three and one sub-words, special sub-words around them."""
    words = np.array([NONE, 7, 7, 7, NONE, NONE, 3, NONE])
    hidden = [torch.arange(8.0)[:, None], torch.arange(8.0)[:, None] ** 2]
    for pooling, expected in {"first": [[6, 1], [36, 1]], "last": [[6, 3], [36, 9]],
                              "mean": [[6, 2], [36, 14 / 3]]}.items():
        order, rows = pool(hidden, words, pooling, "float32")
        assert order.tolist() == [3, 7]
        assert np.allclose(rows[:, :, 0], expected)


def test_fates_by_hand(tiny: dict[str, Checkpoint]) -> None:
    """[CLS] and [SEP] leave 4 of 6 places: for cat, dog, and two of the three sub-words of catdo."""
    subwords = encode(load_tokenizer(tiny["bert"]), [["cat", "\u200b", "dog", "catdo", "the", "\u200b"], ["the"]], 6)
    assert subwords.fate.tolist() == [KEPT, DROPPED, KEPT, CUT, CUT, DROPPED, KEPT]
    assert subwords.words.tolist() == [NONE, 0, 2, NONE, NONE, NONE, NONE, 6, NONE]
    assert subwords.lengths.tolist() == [6, 3]


@given(st.lists(st.integers(0, 80), max_size=60), st.integers(1, 300))
def test_every_sentence_is_in_one_batch_that_fits(lengths: list[int], budget: int) -> None:
    batches = plan(np.array(lengths, int), budget)
    assert sorted(i for batch in batches for i in batch) == [i for i, n in enumerate(lengths) if n]
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


def test_like_lengths_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 3000)
    padded = sum(lengths[batch].max() * len(batch) for batch in plan(lengths, 1024))
    assert padded < 1.03 * lengths.sum()


def test_every_word_may_be_dropped(tiny: dict[str, Checkpoint], store: Store) -> None:
    found = extract(tiny["bert"], split_of("\u200b", "\u200b \u200b"), store)
    assert (found.fate == DROPPED).all()
    assert not all_layers(found).any()


def test_what_is_there_needs_no_model(tiny: dict[str, Checkpoint], store: Store,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract(tiny["bert"], simple(), store)
    monkeypatch.setattr(extract_module, "load", None)
    relabelled = dataclasses.replace(simple(), name="test", labels=())
    assert extract(tiny["bert"], relabelled, store).folder == first.folder


def test_words_pooling_and_weights_make_new_entries(tiny: dict[str, Checkpoint], store: Store, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny["bert"].folder, tmp_path / "copy")
    copy = resolve(str(folder))
    weights = load_file(folder / "model.safetensors")
    first = next(iter(weights))
    save_file(weights | {first: weights[first] + 1}, folder / "model.safetensors", {"format": "pt"})
    folders = [extract(c, split, store, pooling).folder for c, split, pooling in [
        (tiny["bert"], simple(40), "last"), (copy, simple(40), "last"), (resolve(str(folder)), simple(40), "last"),
        (tiny["bert"], simple(41), "last"), (tiny["bert"], simple(40), "mean"),
    ]]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 4


def test_progress_rises_from_batch_to_batch(tiny: dict[str, Checkpoint], store: Store,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extract_module.BUDGET, "cpu", 50)
    calls: list[tuple[int, int, str]] = []
    extract(tiny["bert"], simple(), store, on_progress=lambda *call: calls.append(call))
    assert calls[0] == (0, 1, "loading the model")
    done = [done / total for done, total, _ in calls[1:]]
    assert done == sorted(set(done))
    assert len(done) > 5
    assert calls[-1][2] == f"batch {len(done)} of {len(done)}"


def scaled(checkpoint: Checkpoint, folder: Path, factor: float) -> Checkpoint:
    """The same with its last layer norm's weights multiplied."""
    shutil.copytree(checkpoint.folder, folder)
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.LayerNorm.weight"
    save_file(weights | {name: weights[name] * factor}, folder / "model.safetensors", {"format": "pt"})
    return resolve(str(folder))


def test_what_float16_cannot_hold_is_stored_as_float32(tiny: dict[str, Checkpoint], store: Store, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    large = scaled(tiny["bert"], tmp_path / "large", 1e5)
    found = extract(large, simple(), store)
    assert found.spec.dtype == "float32"
    rows, _ = reference(large, simple(), "last")
    assert np.abs(rows).max() > 65504
    # Weights this large blow up what rounding differs by from one batch to another.
    assert np.allclose(all_layers(found), rows, rtol=1e-2, atol=1e-4 * np.abs(rows).max())
    assert not list((store.root / "activations").glob("*.partial"))
    assert any("layer 2 has activations of" in entry.what for entry in store.entries())
    monkeypatch.setattr(extract_module, "load", None)
    assert extract(large, simple(), store).folder == found.folder


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_activations_that_are_no_numbers_are_refused(tiny: dict[str, Checkpoint], store: Store, tmp_path: Path,
                                                     factor: float) -> None:
    broken = scaled(tiny["bert"], tmp_path / "broken", factor)
    with pytest.raises(InputError, match="layer 2 are not all finite; the model's weights are damaged"):
        extract(broken, simple(), store)
    assert store.activations(extract_module._spec(broken, simple(), "last", "float16", torch.device("cpu"))) is None


@pytest.mark.parametrize(("arguments", "message"), [
    ({"pooling": "max"}, "pooling: got 'max'; takes last, first or mean"),
    ({"dtype": "int8"}, "dtype: got 'int8'; takes float16 or float32"),
    ({"device": "abacus"}, "device: got 'abacus'; takes cpu"),
    ({"device": "meta"}, "device: got 'meta'; takes cpu"),
])
def test_arguments_that_are_not_taken(tiny: dict[str, Checkpoint], store: Store, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extract(tiny["bert"], simple(), store, **arguments)


def test_hidden_states_that_are_not_as_announced(tiny: dict[str, Checkpoint], store: Store) -> None:
    with pytest.raises(InputError, match=r"hidden states have widths 16, 16, 16; takes a model with 9 of 16"):
        extract(dataclasses.replace(tiny["bert"], n_layers=9), simple(), store)


SCRIPT = """
import os, signal, sys
from explorer import activations, extract
from explorer.models import resolve
from explorer.store import Store
from tests.test_extract import simple
activations.RECORD_EVERY = 0
extract.BUDGET["cpu"] = 50
def on_progress(done, total, what):
    {on_progress}
extract.extract(resolve({model!r}), simple(), Store({root!r}), on_progress=on_progress)
"""


def script(checkpoint: Checkpoint, store: Store, on_progress: str) -> list[str]:
    code = SCRIPT.format(model=str(checkpoint.folder), root=str(store.root), on_progress=on_progress)
    return [sys.executable, "-c", code]


def test_a_killed_extraction_goes_on(tiny: dict[str, Checkpoint], store: Store, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    kill = "if what.startswith('batch 4 '): os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run(script(tiny["bert"], store, kill), cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    monkeypatch.setitem(extract_module.BUDGET, "cpu", 50)
    calls: list[str] = []
    found = extract(tiny["bert"], simple(), store, on_progress=lambda *call: calls.append(call[2]))
    assert calls[1].startswith("batch 4 of ")
    whole = extract(tiny["bert"], simple(), Store(tmp_path / "other"))
    assert np.array_equal(all_layers(found), all_layers(whole))
    assert not list((store.root / "activations").glob("*.partial"))


def test_of_two_at_once_one_waits(tiny: dict[str, Checkpoint], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = "if what.startswith('batch 2 '): print('here', flush=True); sys.stdin.readline()"
    monkeypatch.setattr(extract_module, "load", None)
    said: list[str] = []
    with subprocess.Popen(script(tiny["bert"], store, hold), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout.readline() == "here\n"

        def on_progress(done: int, total: int, what: str) -> None:
            if not said:
                other.stdin.write("go on\n")
                other.stdin.flush()
            said.append(what)

        found = extract(tiny["bert"], simple(), store, on_progress=on_progress)
    assert other.returncode == 0
    assert set(said) == {"waiting for another process at the same activations"}
    assert found.kept.all()


def test_the_longest_sentence_fills_the_positions(tiny: dict[str, Checkpoint]) -> None:
    """One more sub-word, and RoBERTa's positions would run out."""
    for family in set(FAMILIES) - {"xlnet"}:
        subwords = encode(load_tokenizer(tiny[family]), [["cat"] * 200], tiny[family].max_length)
        assert subwords.lengths.tolist() == [POSITIONS]
