"""A sentence that somebody typed: whatever it is, it becomes words, readings and boxes, the same as in a study."""
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from explorer import sentence
from explorer.activations import CUT, DROPPED, KEPT
from explorer.charts.export import svg
from explorer.charts.sentence import heatmap
from explorer.corpus import Split
from explorer.extract import extract
from explorer.models import resolve
from explorer.probe import Probe
from explorer.reading import Reader
from explorer.specs import InputError
from explorer.store import Store
from tests.tiny import build

WORDS = ("the", "small", "garden", "paints", "every", "bird")
HARD = {
    "script": "<script>alert('x')</script> & <b>bold</b>", "emoji": "I 👩‍👩‍👧‍👦 love 🎉🎉 !", "hebrew": "שלום עולם",
    "arabic": "مَرْحَبًا بِالعَالَم", "hindi": "नमस्ते दुनिया", "control": "a \x00 \u200b \ufeff b",
    "markdown": "**a** [b](c) $x$",
    "long word": "x" * 5000, "many": "word " * 10_000,
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = build(tmp_path_factory.mktemp("tiny") / "bert", "bert")
    return Reader.open(str(folder), resolve(str(folder)).digest)


@pytest.mark.parametrize(("text", "words"), [
    ("She said: “No!”", ["She", "said", ":", "“", "No", "!", "”"]), ("don't e-mail me", ["don't", "e-mail", "me"]),
    ("", []), (" \n\t ", []), ("...", [".", ".", "."]), ("नमस्ते", ["नमस्ते"]), ("(a)", ["(", "a", ")"]),
])
def test_punctuation_stands_alone(text: str, words: list[str]) -> None:
    assert sentence.split_words(text) == words


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_any_text_is_read_and_shown(reader: Reader, text: str) -> None:
    words = sentence.split_words(text)[:sentence.MOST]
    reading = reader.read(words, "last")
    assert reading.words.shape == (3, len(words), 16)
    assert np.isfinite(reading.words).all()
    assert set(reading.fate) <= {KEPT, DROPPED, CUT}
    assert (reading.words[:, reading.fate != KEPT] == 0).all()
    assert reading.states.shape == (3, len(reading.pieces), 16)
    boxes = sentence.flow(words, 600)
    assert len(boxes) == len(words)
    assert boxes.text.str.len().max() <= sentence.LONGEST


def test_nothing_gives_nothing(reader: Reader) -> None:
    for words in ([], ["\u200b"]):
        reading = reader.read(words, "last")
        assert (reading.words.shape[1], reading.pieces, reading.task) == (len(words), (), ())


@pytest.mark.parametrize("pooling", ["last", "first", "mean"])
def test_a_reading_is_what_a_study_has_of_the_same_words(reader: Reader, tmp_path: Path, pooling: str) -> None:
    found = extract(reader.checkpoint, Split("test", (WORDS,), (WORDS,)), Store(tmp_path), pooling, "float32")
    reading = reader.read(WORDS, pooling)
    for layer in range(3):
        np.testing.assert_allclose(reading.words[layer], found.layer(layer), atol=1e-5)


def test_other_files_than_the_studys_are_refused(reader: Reader) -> None:
    with pytest.raises(InputError, match="run the study again"):
        Reader.open(reader.checkpoint.name, "another")


def test_a_head_gives_its_classes(tmp_path: Path) -> None:
    folder = build(tmp_path / "bert", "bert")
    whole = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1})
    with torch.no_grad():
        whole.classifier.bias.copy_(torch.tensor([0.0, 5.0]))
    whole.save_pretrained(folder)
    reader = Reader.open(str(folder), resolve(str(folder)).digest)
    assert reader.classifier.base_model is reader.model
    (best, chance), (other, rest) = reader.read(WORDS, "last").task
    assert (best, other) == ("good", "bad")
    assert chance + rest == pytest.approx(1)
    with torch.inference_mode():
        ids = reader.tokenizer(list(WORDS), is_split_into_words=True, return_tensors="pt")
        assert chance == pytest.approx(whole.eval()(**ids).logits.softmax(1)[0, 1].item(), abs=1e-5)


def probe(weight: list[list[float]], neurons: list[int]) -> Probe:
    n = len(neurons)
    return Probe(np.array(weight, np.float32), np.zeros(2, np.float32), np.array(neurons), np.ones(n, np.float32),
                 np.full(n, 2, np.float32), 0, 0, 1, True)


def test_colours_are_in_standard_deviations_from_the_training_mean() -> None:
    x = np.array([[1.0, 5], [3, 1]], np.float32)
    pair = probe([[1, -1], [0, 0]], [0, 1])
    assert sentence.of_neuron(x, pair, 0).tolist() == [0, 1]
    assert sentence.of_set(x, pair, None).tolist() == [1, 0.5]
    assert sentence.of_set(x, pair, 0).tolist() == [0, 1]
    assert sentence.of_set(x, pair, 1).tolist() == [0, -1]


@pytest.mark.parametrize(("page", "none", "ink"), [("white", "247", "#1c1c1c"), ("#0e1117", "43", "white")])
def test_a_word_at_the_mean_is_nearly_of_the_pages_colour(page: str, none: str, ink: str) -> None:
    frame = pd.DataFrame({"word": ["up", "mean", "down"], "text": "-", "x": [0, 20, 40], "x2": [18, 38, 58], "line": 0,
                          "checkpoint": "pre-trained", "value": [2.0, 0.0, -2.0], "activation": 0.0})
    drawn = svg(heatmap(frame, "", "") | {"background": page})
    fills = re.findall(r'word: mean;.*?fill="([^"]+)"', drawn)
    assert fills == [f"rgb({none}, {none}, {none})", ink]
    assert len(set(re.findall(r'word: \w+;[^>]*rect mark.*?fill="([^"]+)"', drawn))) == 3


def test_right_and_wrong_are_marked_where_gold_is_known() -> None:
    x, kept = np.array([[[3.0], [0], [-3]]], np.float32), np.array([True, False, True])
    frame = sentence.predictions(x, kept, [probe([[1, -1]], [0])], ("A", "B"), ["A", "A", "A"])
    assert frame[["position", "predicted", "verdict"]].to_numpy().tolist() == [
        [0, "A", sentence.RIGHT], [2, "B", sentence.WRONG]]
    assert set(sentence.predictions(x, kept, [probe([[1, -1]], [0])], ("A", "B"), None).verdict) == {sentence.UNKNOWN}


def test_a_word_is_settled_where_it_stays_right() -> None:
    verdicts = {0: "right wrong right right", 1: "right right right wrong", 2: "right right right right"}
    frame = pd.DataFrame([{"position": p, "layer": i, "verdict": v}
                          for p, row in verdicts.items() for i, v in enumerate(row.split())])
    assert sentence.settled(frame) == {0: 2, 2: 0}


def test_boxes_do_not_overlap_and_stay_in_their_line() -> None:
    boxes = sentence.flow([*WORDS, "漢字", "🎉"] * 5, 300)
    assert boxes.line.max() > 1
    for _, line in boxes.groupby("line"):
        assert (line.x.to_numpy()[1:] >= line.x2.to_numpy()[:-1]).all()
        assert line.x2.max() <= 300
