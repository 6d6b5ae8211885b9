"""Studies side by side: names, pairs, sentences and verdicts follow from the studies alone."""
import dataclasses

import pandas as pd
import pytest

from explorer.charts.overview import multiples
from explorer.corpus import CorpusRequest
from explorer.overview import (
    Pair,
    corpus_name,
    pairs,
    published,
    summary,
    task,
    tuned_name,
)
from explorer.patterns import NOT_SEEN, SEEN, UNDECIDED, UNTESTED, most_kept
from explorer.specs import ProbeSpec
from explorer.study import StudyRequest, Summary, tasks_of
from tests.test_patterns import layers


def request(base: str = "starter-bert", *finetuned: str, train: str = "en_ewt-ud-train.conllu.xz", label: str = "upos",
            ) -> StudyRequest:
    return StudyRequest(base, finetuned or (f"{base}-sst2",), CorpusRequest(train, property=label))


def listed(*requests: StudyRequest) -> list[Summary]:
    """As the store lists them: the newest first."""
    types = {"starter-bert": "bert", "starter-roberta": "roberta", "xlnet": "xlnet"}
    found = [Summary(f"key{i}", "", f"2030-01-0{i + 1}", one, False, architecture=types.get(one.base, ""))
             for i, one in enumerate(requests)]
    return found[::-1]


@pytest.mark.parametrize(("name", "told"), [
    ("starter-bert-sst2", "sst2"), ("runs/SST-2/checkpoint-40", "sst2"), ("textattack/bert-base-uncased-STS-B", "stsb"),
    ("starter-bert", "starter-bert"), ("runs/rte", "rte"), ("/home/runs/mine/checkpoint-7", "mine/checkpoint-7"),
])
def test_the_task_by_name(name: str, told: str) -> None:
    assert task(name) == told


@pytest.mark.parametrize(("train", "told"), [
    ("starter-train.conllu", "starter treebank"), ("/data/en_ewt-ud-train.conllu.xz", "en_ewt-ud"),
    ("chunks/train.txt", "chunks"), ("words.tsv", "words.tsv"),
])
def test_the_corpus_by_name(train: str, told: str) -> None:
    assert corpus_name(request(train=train)) == told


def test_steps_of_a_run_go_by_its_name() -> None:
    assert tuned_name(request("b", "runs/a/checkpoint-1", "runs/a/checkpoint-2")) == "runs/a, 2 steps"
    assert tuned_name(request("b", "runs/a/checkpoint-1", "runs/c/checkpoint-2")) == "a/checkpoint-1, c/checkpoint-2"


def test_pairs_are_of_one_property_and_corpus_in_the_published_order() -> None:
    studies = listed(
        request("xlnet"), request("my/own"), request("starter-bert", "starter-bert-mrpc"), request("starter-bert"),
        request("starter-bert", label="xpos"), request("starter-bert", train="other-train.conllu"))
    found = pairs(studies, "upos", "en_ewt-ud")
    assert [(pair.architecture, pair.task) for pair in found] == [
        ("bert", "sst2"), ("bert", "mrpc"), ("xlnet", "sst2"), ("my/own", "sst2")]
    assert found[0].titles == ("BERT", "SST-2")


def test_of_two_corpora_of_one_name_it_is_the_newest_ones() -> None:
    old, new, other = (dataclasses.replace(study, made_of=(words,)) for study, words in zip(
        listed(request("xlnet"), request("starter-bert"), request("starter-roberta"))[::-1], "abb", strict=True))
    found = pairs([other, new, old], "upos", "en_ewt-ud")
    assert [pair.base for pair in found] == ["starter-bert", "starter-roberta"]


def test_the_newest_study_of_a_pair_counts_and_of_steps_the_last() -> None:
    steps = tuple(f"starter-bert-sst2/checkpoint-{step}" for step in (1, 2))
    found = pairs(listed(request("starter-bert"), request("starter-bert", *steps)), "upos", "en_ewt-ud")
    assert [(pair.key, pair.finetuned) for pair in found] == [("key1", steps[1])]


def test_a_study_of_two_runs_counts_for_both_and_unusual_settings_come_last() -> None:
    two = request("starter-bert", "runs/sst2/checkpoint-8", "runs/sst2/checkpoint-9", "runs/mrpc/checkpoint-5")
    raw = dataclasses.replace(request("starter-bert"), probe=ProbeSpec(standardise=False), pooling="mean")
    found = pairs(listed(two, raw), "upos", "en_ewt-ud")
    assert [(pair.key, pair.finetuned) for pair in found] == [("key0", two.finetuned[1]), ("key0", two.finetuned[2])]
    alone, = pairs(listed(raw), "upos", "en_ewt-ud")
    assert alone.heading == "SST-2, mean sub-word, not standardised"


def test_a_run_says_itself_what_it_was_tuned_on_and_a_sample_is_told() -> None:
    asked = request("starter-bert", "starter-bert-e354ac/checkpoint-2")
    sample = dataclasses.replace(asked, corpus=dataclasses.replace(asked.corpus, limit=20))
    study, = listed(sample)
    tasks = tasks_of({"tuning": {asked.finetuned[0]: {"task": "sentiment"}, "other": {}}})
    found, = pairs([dataclasses.replace(study, tasks=tasks)], "upos", "en_ewt-ud")
    assert found.heading == "sentiment, sample of 20 sentences"


def pair(model: str, on: str) -> Pair:
    return Pair("", f"starter-{model}", f"starter-{model}-{on}", model.rstrip("2"), on)


def cases(**deltas: tuple[float, ...]) -> dict[Pair, pd.DataFrame]:
    """layer_tables by model_task."""
    return {pair(*name.split("_")): layers(*values) for name, values in deltas.items()}


def test_two_sentences_from_the_figures() -> None:
    text = summary(cases(bert_sst2=(0, -1, -2, -3, -4), bert_mrpc=(0, 1, 1, 2, 2), xlnet_sst2=(0, 0, 0, 0, 0.1)))
    assert text.count(". ") == 1
    assert "lowers accuracy in 1 of 3 cases and raises it in 1, beyond chance" in text
    assert "most in BERT on SST-2, by −4.0 points (−4.2 to −3.8)" in text
    assert "keeps the most is one of the lower half in 1 of 3" in text
    assert "−0.2 points in the lower half of the blocks and by −0.5 in the upper half" in text


def test_it_can_say_not_seen() -> None:
    found = published(cases(
        bert_sst2=(0, -4, -4, 0, 0), bert_mrpc=(0, -4, -4, -9, -9), xlnet_sst2=(0, 0, 0, 0, 0)))
    verdicts = [all_of_it.verdict for all_of_it, _ in found]
    assert verdicts == [UNDECIDED, NOT_SEEN, NOT_SEEN]
    assert found[1][1]["XLNet"].verdict == UNTESTED  # it has one task, and does not count
    assert found[1][0].because.startswith("not seen in 1 of 1 case; not tested in 1 case: it takes tasks of both")
    found = published(cases(bert_sst2=(0, -4, -4, 0, 0), bert_mrpc=(0, -4, -4, -3, -3)))
    assert [all_of_it.verdict for all_of_it, _ in found] == [NOT_SEEN, NOT_SEEN, UNTESTED]
    assert found[0][0].because == "not seen in 2 of 2 cases"


def test_models_of_one_architecture_each_have_their_say() -> None:
    tables = cases(bert_sst2=(0, 0, 0, 0, 0), bert2_sst2=(0, -4, -4, -9, -9), roberta_sst2=(0, 0, -4, -4, -4))
    (_, forget), _, (_, deeper) = published(tables)
    assert list(forget) == ["starter-bert on SST-2", "starter-bert2 on SST-2", "RoBERTa on SST-2"]
    assert {name: one.verdict for name, one in deeper.items()} == {
        "starter-bert on SST-2": SEEN, "starter-bert2 on SST-2": NOT_SEEN}
    assert "most in starter-bert2 on SST-2" in summary(tables)


def test_it_can_say_seen() -> None:
    found = published(cases(
        bert_sst2=(0, 0, 0, -4, -5), bert_mrpc=(0, 0, 0, -1.5, -2), xlnet_sst2=(0, -2, -2, -7, -9),
        xlnet_mrpc=(0, -2, -2, -5, -5)))
    assert [all_of_it.verdict for all_of_it, _ in found] == [SEEN] * 3


def test_the_block_that_keeps_the_most_is_no_embedding() -> None:
    assert most_kept(layers(0, -2, -1, -1)) == 2


def test_all_charts_have_one_scale_and_their_own_data() -> None:
    tables = cases(bert_sst2=(0, -1, -2), bert_mrpc=(0, 1, 9))
    charts = multiples(tables)
    domains = {str(layer["encoding"]["y"]["scale"]["domain"]) for chart in charts.values() for layer in chart["layer"]
               if "scale" in layer.get("encoding", {}).get("y", {})}
    assert len(domains) == 1
    for one, chart in charts.items():
        assert chart["title"]["text"] == one.titles[1]
        values = chart["data"]["values"]
        assert [row["delta"] for row in values] == pytest.approx(list(100 * tables[one].delta))
        assert [row["layer"] for row in values if row["kept"]] == [most_kept(tables[one])]
