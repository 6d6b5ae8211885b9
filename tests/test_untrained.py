"""Random weights as a baseline: which of the finished studies has it."""
import dataclasses

import pandas as pd

from explorer.corpus import CorpusRequest
from explorer.specs import ActivationSpec, LayerSpec, ProbeSpec
from explorer.study import Study, StudyRequest, StudySpec, Summary
from explorer.untrained import UntrainedRequest, find, trained, tuned
from explorer.views.studies import first

WORDS = ActivationSpec("bert", "words")
SPEC = StudySpec((("bert", LayerSpec(WORDS, WORDS, WORDS, "labels", 0)),), (8,))
ASKED = StudyRequest("bert", ("bert-sst2",), CorpusRequest("train.conllu"))


def listed(*requests: StudyRequest) -> list[Summary]:
    return [Summary(f"key{i}", "", "2030-01-01", request, False, SPEC.made_of) for i, request in enumerate(requests)]


def opened(request: StudyRequest) -> Study:
    return Study("shown", pd.DataFrame(), SPEC, request, (), "2030-01-01")


def test_it_is_found_where_all_settings_are_the_same() -> None:
    shown, baseline = opened(ASKED), UntrainedRequest(ASKED).of
    assert find(shown, listed(ASKED, baseline)) == ("key1", "random:bert")
    assert find(shown, listed(dataclasses.replace(baseline, finetuned=("random:bert@7",)))) == ("key0", "random:bert@7")
    assert find(shown, listed(dataclasses.replace(baseline, base="random:bert", finetuned=("x",)))) is not None
    for other in (dataclasses.replace(baseline, pooling="mean"), dataclasses.replace(baseline, probe=ProbeSpec(l2=1)),
                  dataclasses.replace(baseline, corpus=CorpusRequest("train.conllu", property="xpos")),
                  dataclasses.replace(baseline, finetuned=("random:roberta",)), ASKED):
        assert find(shown, listed(other)) is None


def test_a_file_that_has_changed_since_is_another_corpus() -> None:
    found = listed(UntrainedRequest(ASKED).of)[0]
    assert find(opened(ASKED), [found]) is not None
    assert find(opened(ASKED), [dataclasses.replace(found, made_of=("other words", "bert"))]) is None


def test_a_run_that_was_stopped_at_its_start_has_learnt_nothing() -> None:
    begun, on = (dataclasses.replace(ASKED, finetuned=("r/checkpoint-0", *more)) for more in ((), ("r/checkpoint-4",)))
    assert not trained(begun)
    assert trained(on)
    assert not trained(UntrainedRequest(ASKED).of)
    assert first([dataclasses.replace(one, shipped=False) for one in listed(begun, on)]).request == on


def test_a_study_may_have_its_own() -> None:
    both = dataclasses.replace(ASKED, finetuned=("bert-sst2", "random:bert"))
    assert find(opened(both), listed(UntrainedRequest(ASKED).of)) == ("shown", "random:bert")
    assert tuned(both) == ["bert-sst2"]


def test_a_baseline_does_not_open_unasked() -> None:
    baseline, own = listed(UntrainedRequest(ASKED).of, ASKED)
    assert first([baseline, own]) is own
    assert first([baseline]) is baseline
