"""What is said of studies follows from their numbers alone."""
import pandas as pd
import pytest

from explorer.patterns import (
    NOT_SEEN,
    SEEN,
    UNDECIDED,
    UNTESTED,
    Verdict,
    bert_keeps_deeper,
    change_is_in_the_higher_layers,
    kept_depth,
    layer_table,
    sentences,
    tasks_differ,
    together,
)


def layers(*deltas: float, margin: float = 0.002) -> pd.DataFrame:
    """A layer table with the deltas, in points, of its layers."""
    delta = pd.Series(deltas) / 100
    return pd.DataFrame({"layer": range(len(deltas)), "before": 0.9, "after": 0.9 + delta, "delta": delta,
                         "low": delta - margin, "high": delta + margin, "n": 1000})


def test_the_table_is_of_the_whole_layer_on_test() -> None:
    rows = [
        {"checkpoint": name, "layer": layer, "k": k, "split": split, "label": label, "metric": metric, "n": 7,
         "value": (layer + k + len(name)) / 100 if split == "test" and label == "" else 9}
        for name in ("old", "newer") for layer in (0, 1) for k in (1, 8) for split in ("dev", "test")
        for label in ("", "NOUN")
        for metric in ("accuracy", *(("delta", "delta_low", "delta_high") if name == "newer" else ()))
    ]
    found = layer_table(pd.DataFrame(rows), "old", "newer")
    assert found.layer.tolist() == [0, 1]
    assert found.before.tolist() == pytest.approx([0.11, 0.12])
    assert found.after.tolist() == pytest.approx([0.13, 0.14])
    assert found.columns.tolist() == ["layer", "before", "after", "delta", "low", "high", "n"]


@pytest.mark.parametrize(("deltas", "margin", "verdict"), [
    ((0, 0, 0, -3, -4), 0.002, SEEN),
    ((0, 0, 0, -3, -4), 0.05, UNDECIDED),
    ((0, -4, -3, 0, 0), 0.002, NOT_SEEN),
    ((0, 0, 0, 0, 0), 0.002, UNDECIDED),
    ((0, 0, 0, 0, 0), 0.0, UNDECIDED),
    ((-9, 0, 0, 0, 0.1), 0.002, UNDECIDED),
    ((-9, -3, -3, -3, -3), 0.002, UNDECIDED),
    ((-9, -4, -3, -2, -2), 0.02, UNDECIDED),
])
def test_where_the_change_is(deltas: tuple[float, ...], margin: float, verdict: str) -> None:
    assert change_is_in_the_higher_layers(layers(*deltas, margin=margin)).verdict == verdict


@pytest.mark.parametrize(("last", "verdict"), [
    ({"sst2": -5, "mrpc": -1}, SEEN),
    ({"sst2": -1, "mrpc": -5}, NOT_SEEN),
    ({"sst2": -1.2, "mrpc": -1}, UNDECIDED),
    ({"sst2": -5, "qnli": -1, "mrpc": -3}, NOT_SEEN),
    ({"sst2": -5, "cola": -1}, UNTESTED),
    ({"sst2": 0.1, "mrpc": 0.0}, UNDECIDED),
    ({"sst2": -1.0, "mrpc": -1.1}, UNDECIDED),
    ({}, UNTESTED),
])
def test_which_tasks_forget(last: dict[str, float], verdict: str) -> None:
    assert tasks_differ({task: layers(0, 0, delta) for task, delta in last.items()}).verdict == verdict


@pytest.mark.parametrize(("deltas", "depth"), [((0, 0, -0.9, -1.1, 0), 2), ((-2, 0), -1), ((0, 5), 1)])
def test_the_depth_that_is_kept(deltas: tuple[float, ...], depth: int) -> None:
    assert kept_depth(layers(*deltas)) == depth


@pytest.mark.parametrize(("bert", "others", "verdict"), [
    ((0, 0, 0), [(0, 0, -5), (0, -5, -5)], SEEN),
    ((0, 0, -5), [(0, 0, 0)], NOT_SEEN),
    ((0, 0, -5), [(0, 0, -5)], NOT_SEEN),
    ((0, 0, -1), [(0, 0, -5)], UNDECIDED),
    ((0, 0, -5), [], UNTESTED),
])
def test_who_keeps_deeper(bert: tuple, others: list[tuple], verdict: str) -> None:
    found = bert_keeps_deeper({"BERT": layers(*bert)}, {str(i): layers(*deltas) for i, deltas in enumerate(others)})
    assert found.verdict == verdict


def test_a_depth_is_told_with_what_the_intervals_leave_open() -> None:
    found = bert_keeps_deeper({"BERT": layers(0, 0, -0.9)}, {"XLNet": layers(0, 0, -1.1)})
    assert found.verdict == UNDECIDED
    assert found.because.endswith("BERT 2 (1 to 2), XLNet 1 (1 to 2)")


def test_the_sentences_tell_the_figures() -> None:
    text = sentences(layers(0, 0.5, -0.1, -4, -5))
    assert "falls in layers 3 to 4 and rises in layer 1" in text
    assert "by 0.0 points in layer 0" in text
    assert "−5.0 (−5.2 to −4.8) in layer 4" in text
    assert "fine-tuned checkpoint knows most in layer 1 (90.5%)" in text


def test_the_sentences_can_say_that_nothing_changed() -> None:
    assert "changes in no layer" in sentences(layers(0, 0.1, -0.1))


@pytest.mark.parametrize(("verdicts", "told"), [
    ([SEEN, SEEN, UNDECIDED], SEEN), ([SEEN, SEEN, NOT_SEEN], UNDECIDED), ([SEEN, UNDECIDED], UNDECIDED),
    ([NOT_SEEN, NOT_SEEN, UNDECIDED], NOT_SEEN), ([NOT_SEEN], NOT_SEEN), ([UNTESTED, UNTESTED], UNTESTED),
    ([SEEN, SEEN, UNDECIDED, UNTESTED, UNTESTED], SEEN),
])
def test_verdicts_together(verdicts: list[str], told: str) -> None:
    assert together([Verdict("p", verdict, "") for verdict in verdicts]).verdict == told


def test_what_could_not_be_tested_does_not_count_and_is_told() -> None:
    known, lacking = Verdict("p", SEEN, "figures"), Verdict("p", UNTESTED, "it takes two")
    assert together([known, known, lacking]).because == "seen in 2 of 2 cases; not tested in 1 case: it takes two"
    assert together([lacking, Verdict("p", UNTESTED, "it takes three")]).because == "not tested in 2 cases"
    assert together([known]) == known
