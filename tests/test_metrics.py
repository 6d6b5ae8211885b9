"""Metrics, baselines and control tasks: known answers, scikit-learn's and seqeval's own, then properties."""
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score as span_f1
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from explorer.baselines import control_task, majority, most_frequent
from explorer.confounds import norm, outliers
from explorer.figures import outwards, tabulate
from explorer.labels import UNSEEN, Labels
from explorer.layer import Wanted
from explorer.mdl import block_ends, codelength, uniform_bits
from explorer.metrics import Measures, Test
from explorer.probes import LayerProbes
from explorer.spans import are_spans, per_sentence, spans
from explorer.specs import ProbeSpec
from explorer.stats import draws

Test.__test__ = False  # type: ignore[attr-defined]
CHUNKS = ["O", "B-NP", "I-NP", "B-VP", "I-VP"]


def labels_of(names: dict[str, list[str]], words: dict[str, list[str]] | None = None, length: int = 4) -> Labels:
    """Labels as a corpus would give them, with sentences of so many words."""
    found = object.__new__(Labels)
    found.names = {split: np.array(part, object) for split, part in names.items()}
    found.words = {split: np.array(part, object) for split, part in (words or names).items()}
    found.sentences = {split: np.arange(len(part)) // length for split, part in names.items()}
    found.inventory = np.unique(found.names["train"])
    found.codes = {split: np.array([dict(zip(found.inventory, range(99), strict=False)).get(name, UNSEEN)
                                    for name in part]) for split, part in names.items()}
    return found


def arrays_of(labels: Labels, predicted: np.ndarray, k: int = 1) -> dict[str, np.ndarray]:
    surprise = np.full(labels.sentences["test"].max() + 1, 2.0, np.float32)
    return {f"{k}/test": predicted.astype(np.uint8), f"{k}/dev": labels.codes["dev"].astype(np.uint8),
            f"{k}/surprise": surprise, "norm": np.array([1.0]), "outliers": np.array([], int)}


def measure(labels: Labels, predicted: np.ndarray) -> Measures:
    drawn = draws(labels.sentences["test"].max() + 1, np.random.default_rng(0), 50)
    return Measures(Test(labels, drawn, np.zeros(len(predicted), int)), arrays_of(labels, predicted), Wanted((1,)))


@given(st.integers(0, 1000))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = {split: random.choice(list("abcd"), 60).tolist() for split in ("train", "dev", "test")}
    names["train"] += list("abcd")
    labels = labels_of(names)
    predicted = random.integers(0, 4, 60)
    whole = measure(labels, predicted).whole
    y = labels.codes["test"]
    assert whole["accuracy"].values[0, 0] == pytest.approx(accuracy_score(y, predicted))
    assert whole["macro_f1"].values[0, 0] == pytest.approx(f1_score(y, predicted, average="macro"))
    assert whole["weighted_f1"].values[0, 0] == pytest.approx(f1_score(y, predicted, average="weighted"))


def test_precision_and_recall_by_label_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    names = {split: random.choice(list("abc"), 80).tolist() for split in ("train", "dev", "test")}
    labels, predicted = labels_of(names), random.integers(0, 3, 80)
    table = tabulate({"base": [arrays_of(labels, predicted)]}, labels, Wanted((1,)), predicted, 0)
    rows = table.query("split == 'test' and label != ''").set_index(["metric", "label"]).value
    y = labels.codes["test"]
    np.testing.assert_allclose(rows["precision"][list("abc")], precision_score(y, predicted, average=None))
    np.testing.assert_allclose(rows["accuracy"][list("abc")], recall_score(y, predicted, average=None))
    for metric in ("accuracy", "precision"):
        assert (rows[f"{metric}_low"] <= rows[metric]).all()
        assert (rows[f"{metric}_high"] >= rows[metric]).all()


def test_a_labels_precision_has_the_bootstraps_interval() -> None:
    """Of words said to be 'a', 30 % are: with sentences of one word the interval is that of a proportion."""
    test = ["a"] * 300 + ["b"] * 700 + ["b"] * 1000
    labels = labels_of({"train": list("ab"), "dev": list("ab"), "test": test}, length=1)
    told = np.repeat([0, 1], 1000)
    table = tabulate({"base": [arrays_of(labels, told)]}, labels, Wanted((1,)), told, 0)
    rows = table.query("split == 'test' and label == 'a'").set_index("metric").value
    half = 1.96 * (0.3 * 0.7 / 1000) ** 0.5
    assert (rows["precision"], rows["accuracy"]) == (0.3, 1.0)
    assert rows["precision_low"] == pytest.approx(0.3 - half, abs=0.003)
    assert rows["precision_high"] == pytest.approx(0.3 + half, abs=0.003)


def test_many_labels_have_the_figures_and_bounds_that_few_have(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    names = [f"label{i:03d}" for i in range(90)]
    gold = {split: names + random.choice(names, 410).tolist() for split in ("train", "dev", "test")}
    labels = labels_of(gold)
    before, after = (arrays_of(labels, np.where(random.random(500) < right, labels.codes["test"], 0))
                     for right in (0.8, 0.6))
    some = tabulate({"base": [before], "tuned": [after]}, labels, Wanted((1,)), np.zeros(500, int), 0)
    monkeypatch.setattr("explorer.metrics.TOGETHER", 1000)
    once = tabulate({"base": [before], "tuned": [after]}, labels, Wanted((1,)), np.zeros(500, int), 0)
    pd.testing.assert_frame_equal(some, once, atol=1.1e-5)
    assert {"macro_f1_low", "weighted_f1_delta_high", "delta_low", "precision_delta_high"} <= set(some.metric)
    assert not some.value.isna().any()


def test_words_whose_label_training_lacks_are_errors_and_have_no_cross_entropy() -> None:
    labels = labels_of({"train": list("abab"), "dev": list("ab"), "test": list("abxx")})
    whole = measure(labels, np.array([0, 1, 0, 1])).whole
    assert whole["accuracy"].values[0, 0] == 0.5
    assert (whole["cross_entropy"].values[0, 0], whole["cross_entropy"].n) == (1.0, 2)  # 2 bits, 2 words


def test_seen_and_unseen_words_make_up_all() -> None:
    names = {"train": list("abab"), "dev": list("ab"), "test": list("abab")}
    words = {"train": ["x", "y", "x", "y"], "dev": ["x", "y"], "test": ["x", "new", "New", "y"]}
    whole = measure(labels_of(names, words), np.array([0, 1, 1, 0])).whole
    assert [(whole[m].values[0, 0], whole[m].n) for m in ("accuracy_seen", "accuracy_unseen")] == [(0.5, 2), (0.5, 2)]


@given(st.lists(st.sampled_from(CHUNKS), min_size=8, max_size=40), st.integers(0, 99), st.integers(1, 6))
def test_span_f1_is_seqevals(gold: list[str], seed: int, length: int) -> None:
    gold = [*gold, *CHUNKS]
    labels = labels_of({"train": CHUNKS, "dev": CHUNKS, "test": gold}, length=length)
    predicted = np.where(np.random.default_rng(seed).random(len(gold)) < 0.5, labels.codes["test"], 0)
    said = labels.inventory[predicted]
    sentences = labels.sentences["test"]
    as_lists = [[list(part[sentences == i]) for i in range(sentences.max() + 1)] for part in (np.array(gold), said)]
    assert measure(labels, predicted).whole["span_f1"].values[0, 0] == pytest.approx(span_f1(*as_lists))


def test_spans_end_with_their_sentence() -> None:
    labels, sentences = np.array(["B-NP", "I-NP", "I-NP", "O", "B-NP"], object), np.array([0, 0, 1, 1, 1])
    found = spans(labels, sentences)
    assert len(found) == 3
    assert per_sentence(found, sentences).tolist() == [1, 2]
    assert are_spans(CHUNKS)
    assert not are_spans(["NOUN", "O", "B-NP"])
    assert not are_spans(["O"])


def test_the_most_frequent_label_of_each_form() -> None:
    words, codes = np.array(list("aaabbc"), object), np.array([1, 1, 0, 2, 0, 1])
    assert majority(codes) == 1
    assert most_frequent(words, codes, np.array(list("abcZ"), object)).tolist() == [1, 0, 1, 1]


def test_a_control_task_has_one_label_for_each_form_and_the_labels_distribution() -> None:
    random = np.random.default_rng(0)
    forms = np.array([f"w{i}" for i in range(5000)], object)
    words = {"train": random.choice(forms, 20000), "test": random.choice(forms, 5000)}
    codes = random.choice(3, 20000, p=[0.6, 0.3, 0.1])
    labels = control_task(words, codes, 0)
    of_form: dict[str, set[int]] = {}
    for split, part in words.items():
        for word, label in zip(part, labels[split], strict=True):
            of_form.setdefault(word, set()).add(label)
    assert all(len(found) == 1 for found in of_form.values())
    share = np.bincount([min(found) for found in of_form.values()]) / len(of_form)
    np.testing.assert_allclose(share, [0.6, 0.3, 0.1], atol=0.02)
    assert not np.array_equal(labels["train"], control_task(words, codes, 1)["train"])


@given(st.permutations(["a", "b", "c", "a", "d"]), st.integers(0, 99))
def test_a_control_task_depends_on_the_forms_alone(words: list[str], seed: int) -> None:
    codes = np.array([0, 1, 0, 1, 1])
    there = {"train": np.array(words, object)}
    labels = dict(zip(words, control_task(there, codes, seed)["train"], strict=True))
    again = control_task({"train": np.array(["d", "c", "b", "a", "a"], object)}, codes, seed)["train"]
    assert [labels[word] for word in "dcbaa"] == again.tolist() or len(set(labels.values())) == 2
    assert len(set(labels.values())) == 2


@pytest.fixture
def forms() -> SimpleNamespace:
    """400 words of 20 forms; activations are one-hot in the form."""
    form = np.arange(400) % 20
    return SimpleNamespace(form=form, x=np.eye(20, dtype=np.float32)[form])


def test_where_form_determines_label_the_control_task_is_as_easy(forms: SimpleNamespace) -> None:
    y = forms.form % 3
    control = control_task({"train": forms.form.astype(str).astype(object)}, y, 0)["train"]
    fitter = LayerProbes(forms.x, y, 3, ProbeSpec())
    assert fitter.fit().accuracy(forms.x, y) == 1.0
    assert fitter.relabelled(control, 1e-3).fit().accuracy(forms.x, control) == 1.0


def test_random_labels_have_no_selectivity(forms: SimpleNamespace) -> None:
    """A probe learns a random label of each form as well as the control task's: 30 corpora, on average."""
    found = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        x = random.normal(size=(20, 6)).astype(np.float32)[forms.form]
        y = random.integers(0, 3, 20)[forms.form]
        control = control_task({"train": forms.form.astype(str).astype(object)}, y, seed)["train"]
        fitter = LayerProbes(x, y, 3, ProbeSpec())
        found.append(fitter.fit().accuracy(x, y) - fitter.relabelled(control, 1e-3).fit().accuracy(x, control))
    assert abs(np.mean(found)) < 2.5 * np.std(found) / 30**0.5 + 0.01


def test_blocks_are_those_of_the_schedule() -> None:
    assert block_ends(10_000) == [10, 20, 40, 80, 160, 320, 625, 1250, 2500, 5000, 10_000]
    assert block_ends(20) == [1, 2, 5, 10, 20]


def test_a_constant_label_takes_what_smoothing_costs() -> None:
    x, y = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32), np.zeros(1000, int)
    assert codelength(x, y, 1, ProbeSpec()) == 0.0
    ends = block_ends(1000)
    expected = 1 + sum((end - start) * np.log2((start + 2) / (start + 1))
                       for start, end in pairwise(ends))
    assert codelength(x, y, 2, ProbeSpec()) == pytest.approx(expected)
    assert expected < 20


def test_labels_that_are_noise_do_not_compress_and_those_in_a_neuron_do() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2000, 5)).astype(np.float32), random.integers(0, 4, 2000)
    assert codelength(x, y, 4, ProbeSpec()) > 0.98 * uniform_bits(2000, 4)
    clear = np.eye(4, dtype=np.float32)[y] + 0.1 * random.normal(size=(2000, 4)).astype(np.float32)
    assert codelength(clear, y, 4, ProbeSpec()) < uniform_bits(2000, 4) / 6


def test_a_codelength_is_the_same_again_and_another_with_another_seed() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 3)).astype(np.float32), random.integers(0, 3, 300)
    bits = [codelength(x, y, 3, ProbeSpec(seed=seed)) for seed in (0, 0, 1)]
    assert bits[0] == bits[1] != bits[2]


def test_a_neuron_far_out_is_found() -> None:
    mean, deviation = np.zeros(100, np.float32), np.ones(100, np.float32)
    mean[7] = 30.0
    assert np.flatnonzero(outliers(mean, deviation)).tolist() == [7]
    assert not outliers(np.zeros(100), np.ones(100)).any()
    assert norm(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == pytest.approx(5.0)


def test_a_probe_without_outliers_gives_them_no_weight() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 100)).astype(np.float32), random.integers(0, 2, 300)
    x[:, 7] += 50 + 5 * y
    with_it, without = (LayerProbes(x, y, 2, ProbeSpec(drop_outliers=drop)).fit() for drop in (False, True))
    assert np.abs(with_it.weight[7]).max() > 0
    assert (without.weight[7] == 0).all()
    rest = LayerProbes(np.delete(x, 7, 1), y, 2, ProbeSpec()).fit()
    np.testing.assert_allclose(np.delete(without.weight, 7, 0), rest.weight, atol=1e-3)


@given(st.floats(-10, 10))
def test_bounds_are_rounded_outwards(bound: float) -> None:
    low, high = outwards(np.array(bound), -1), outwards(np.array(bound), 1)
    assert low <= bound + 1e-10
    assert high >= bound - 1e-10
    assert high - low <= 1.1e-5
