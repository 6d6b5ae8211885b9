"""The scorecard and the methods text: verdicts on made-up figures, then on a real study."""
import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from explorer.all_layers import SETS, AllLayers, compute, fits, known, stored
from explorer.cli import main
from explorer.corpus import CorpusRequest
from explorer.evidence import Evidence
from explorer.methods import BIBTEX, bibtex, paragraph
from explorer.patterns import NOT_SEEN, SEEN, UNDECIDED, UNTESTED
from explorer.scorecard import (
    Pair,
    _tasks,
    ordered,
    pairs,
    rises,
    rises_paired,
    scorecard,
    shifts,
    to_json,
    to_markdown,
    unchanged,
)
from explorer.scoring import ScorecardRequest, complete, lacking, scored
from explorer.specs import ActivationSpec, InputError, LayerSpec, ProbeSpec
from explorer.store import Store
from explorer.study import StudyRequest, StudySpec, run_study
from tests.tiny import build
from tests.words import write_corpus


def figures(accuracy: dict[str, float] | None = None, layer: float = 3.0, seed: int = 0) -> AllLayers:
    random, words = np.random.default_rng(seed), np.full(400, 20)
    hits = {name: random.binomial(words, (accuracy or {}).get(name, 0.8)) for name in SETS}
    return AllLayers(hits, words, random.normal(layer, 1, 300))


def test_what_stays_within_a_point_is_unchanged() -> None:
    before = figures()
    assert unchanged(before, before).verdict == SEEN
    assert unchanged(before, figures({"all": 0.7})).verdict == NOT_SEEN
    few = AllLayers({name: hits[:8] for name, hits in before.hits.items()}, before.words[:8], before.layers)
    assert unchanged(few, dataclasses.replace(few, hits={**few.hits, "all": few.hits["top"]})).verdict == UNDECIDED


@pytest.mark.parametrize(("after", "verdict"), [(2.0, SEEN), (4.0, NOT_SEEN), (3.0, UNDECIDED)])
def test_the_salient_neurons_mean_layer_decides(after: float, verdict: str) -> None:
    assert shifts(figures(layer=3.0), figures(layer=after, seed=3)).verdict == verdict


def test_top_over_random_over_bottom() -> None:
    falls, even = {"top": 0.9, "random": 0.8, "bottom": 0.5}, {"top": 0.8, "random": 0.8, "bottom": 0.8}
    assert ordered(figures(falls), figures(falls)).verdict == SEEN
    assert ordered(figures(falls), figures(even)).verdict == UNDECIDED
    assert ordered(figures(falls), figures({"top": 0.5})).verdict == NOT_SEEN


@pytest.mark.parametrize(("accuracy", "verdict"), [([0.6, 0.8, 0.7], SEEN), ([0.6, 0.62, 0.6], UNDECIDED),
                                                   ([0.9, 0.8, 0.78], UNDECIDED), ([0.9, 0.79, 0.7], NOT_SEEN)])
def test_accuracy_rises_from_layer_0(accuracy: list[float], verdict: str) -> None:
    rows = [("base", layer, 9, "test", "", metric, value + off, 100) for layer, value in enumerate(accuracy)
            for metric, off in (("accuracy", 0.0), ("accuracy_low_all", -0.05), ("accuracy_high_all", 0.05))]
    columns = ["checkpoint", "layer", "k", "split", "label", "metric", "value", "n"]
    assert rises(pd.DataFrame(rows, columns=columns), "base").verdict == verdict


def test_gains_over_layer_0_are_paired(evidence: Evidence, tmp_path: Path) -> None:
    found = rises_paired(evidence)
    assert found is not None
    assert found.verdict in (UNDECIDED, NOT_SEEN)  # layer 0 knows it all: the form determines the label
    assert "100.0%" in found.because
    assert rises_paired(Evidence(Store(tmp_path), evidence.study)) is None


def test_tasks_are_compared_on_one_base_and_corpus_by_the_newest_studies() -> None:
    def pair(task: str, created: str, base: str = "bert", data: str = "words", **settings: float) -> Pair:
        request, of_words = StudyRequest(base, (task,), CorpusRequest("train")), ActivationSpec(base, data)
        spec = StudySpec(((base, LayerSpec(of_words, of_words, of_words, "", 0, ProbeSpec(**settings))),), ())
        made = {"tuning": {task: {"task": task}}}
        return Pair(SimpleNamespace(request=request, base=base, spec=spec, made=made, created=created), task)

    def lost(points: float) -> pd.DataFrame:
        delta = -points / 100
        return pd.DataFrame({"layer": [0], "delta": delta, "low": delta - 0.002, "high": delta + 0.002})

    found = list(_tasks({pair("sst2", "2030"): lost(-5), pair("sst2", "2031"): lost(3), pair("mrpc", "2030"): lost(0),
                         pair("mrpc", "2031", data="others"): lost(9), pair("mrpc", "2031", "other"): lost(9),
                         pair("mrpc", "2031", l2=1): lost(9)}))
    assert [verdict.verdict for _, verdict in found] == [SEEN, UNTESTED, UNTESTED, UNTESTED]
    assert found[0][1].because.endswith("SST-2 −3.0, MRPC 0.0")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("scorecard")
    base, tuned = build(folder / "base", "bert", seed=0), build(folder / "run" / "checkpoint-7", "bert", seed=1)
    (folder / "run" / "run.json").write_text(json.dumps({"task": "sst2", "train_rows": 90, "steps": 14}))
    request = StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(folder)), k=(1, 4))
    store = Store(folder / "cache")
    return Evidence(store, run_study(request, store))


def test_all_layers_are_computed_once_and_kept(evidence: Evidence) -> None:
    base = evidence.study.base
    assert stored(evidence, base) is None
    found = compute(evidence, base)
    again = stored(evidence, base)
    assert again is not None
    assert found.hits["all"].sum() == found.words.sum()  # the form determines the label, and layer 0 has the form
    for name in SETS:
        np.testing.assert_array_equal(again.hits[name], found.hits[name])
    assert len(found.layers) == 5  # a tenth of 3 layers of 16
    assert set(found.layers) <= {0, 1, 2}


def test_a_sample_counts_where_nothing_better_is_there(evidence: Evidence) -> None:
    whole = evidence.study
    corpus = dataclasses.replace(whole.request.corpus, limit=7)
    sample = dataclasses.replace(whole, request=dataclasses.replace(whole.request, corpus=corpus))
    assert [pair.study for pair in pairs([sample, whole])] == [whole]
    assert [pair.study for pair in pairs([sample])] == [sample]


def test_a_pre_trained_checkpoint_is_one_case_whatever_came_of_it(evidence: Evidence) -> None:
    spec, study = evidence.study.spec, evidence.study
    other = dataclasses.replace(spec.checkpoints[1][1].train, checkpoint="other")
    more = ("more", dataclasses.replace(spec.checkpoints[1][1], train=other))
    table = study.table
    again = table[table.checkpoint == study.finetuned[0]].assign(checkpoint="more")
    both = dataclasses.replace(
        study, table=pd.concat([table, again]), spec=dataclasses.replace(spec, checkpoints=(*spec.checkpoints, more)),
        request=dataclasses.replace(study.request, finetuned=(*study.finetuned, "more")))
    lines = scorecard([both], evidence.store)
    assert [len(line.pairs) for line in lines[:2]] == [1, 2]


def test_too_many_neurons_are_not_asked_for(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.all_layers.MOST", 47)
    assert not fits(evidence.study)
    assert lacking([evidence.study], evidence.store) == []
    complete(ScorecardRequest((evidence.study.key,)), evidence.store)
    assert not known(evidence, evidence.study.finetuned[0])
    assert "more than" in scored([evidence.study.key], evidence.store).lines[3].verdict.because


def test_what_is_lacking_is_computed_though_all_behind_the_study_is_gone(evidence: Evidence, tmp_path: Path) -> None:
    """As of a study that comes with the explorer: its table alone is here."""
    store, study = Store(tmp_path), evidence.study
    store.put_table(study.spec, study.table, evidence.store.table_by_key(study.key).meta)  # type: ignore[union-attr]
    assert [checkpoint for _, checkpoint in lacking([study], store)] == [study.base, *study.finetuned]
    told: list[tuple[float, str]] = []
    complete(ScorecardRequest((study.key,)), store, lambda done, total, what: told.append((done / total, what)))
    assert lacking([study], store) == []
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert any("1 of 2, base, probe on" in what for _, what in told)
    assert told[-1] == (1.0, "done")
    whole = scored([study.key], store)
    assert whole.lacking == 0
    assert all("not computed" not in line.verdict.because for line in whole.lines)


def test_a_study_that_cannot_be_had_again_does_not_stop_the_others(evidence: Evidence, tmp_path: Path) -> None:
    store, study = Store(tmp_path), evidence.study
    gone = dataclasses.replace(study.request, finetuned=(str(tmp_path / "gone"),))
    other = dataclasses.replace(study.spec.checkpoints[1][1], labels="other")
    spec = dataclasses.replace(study.spec, checkpoints=(study.spec.checkpoints[0], (gone.finetuned[0], other)))
    meta = evidence.store.table_by_key(study.key).meta  # type: ignore[union-attr]
    store.put_table(spec, study.table, meta | {"request": dataclasses.asdict(gone)})
    store.put_table(study.spec, study.table, meta)
    with pytest.raises(InputError, match=r"(?s)could be fitted for.*gone"):
        complete(ScorecardRequest((spec.key(), study.key)), store)
    assert known(Evidence(store, study), study.finetuned[0])


def test_six_patterns_as_markdown_and_json(evidence: Evidence) -> None:
    studies = [evidence.study]
    lines = scorecard(studies, evidence.store)
    assert len(lines) == 6
    assert {line.verdict.verdict for line in lines} <= {SEEN, NOT_SEEN, UNDECIDED, UNTESTED}
    renamed = dataclasses.replace(evidence.study, key="other")
    assert scorecard([evidence.study, renamed], evidence.store) == lines  # the same checkpoints and words count once
    assert scorecard([], evidence.store) == []
    markdown = to_markdown(lines, studies)
    assert all(line.verdict.pattern in markdown for line in lines)
    found = json.loads(to_json(lines, studies))
    assert found["studies"][0]["request"]["base"] == evidence.study.base
    assert found["studies"][0]["spec"]["checkpoints"][0][1]["probe"]["seed"] == 0
    assert found["studies"][0]["versions"]["numpy"] == np.__version__
    assert (found["seed"], found["resamples"]) == (0, 2000)
    assert pairs(studies)[0].task == "sst2"


def test_the_command(evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(evidence.store.root))
    out = [str(tmp_path / name) for name in ("card.md", "card.json")]
    assert main(["scorecard", "--study", evidence.study.key, "--markdown", out[0], "--json", out[1]]) == 0
    printed = capsys.readouterr().out
    assert "all layers together" in printed
    assert "not computed" not in printed
    assert len(json.loads(Path(out[1]).read_text())["patterns"]) == 6
    assert Path(out[0]).read_text().startswith("# Scorecard")
    assert main(["scorecard", "--study", "absent"]) == 2
    assert main(["scorecard", "--no-all-layers", "--json", str(tmp_path / "no" / "card.json")]) == 2
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "empty"))
    assert main(["scorecard"]) == 2
    assert "python -m explorer study" in capsys.readouterr().err


def test_the_methods_text_says_what_was_run_and_cites_what_it_names(evidence: Evidence) -> None:
    study = evidence.study
    text, entries = paragraph(study), bibtex(study)
    for part in ("checkpoint-7", "step 7 of 14", "sst2", "upos", "60 sentences", "3 layers of 16 neurons", study.key,
                 f"numpy {np.__version__}", "standardised", "0.001", "k = 1, 4, 16"):
        assert part in text
    cited = set(re.findall(r"\[([a-z-]+-\d{4})\]", text))
    assert cited == set(BIBTEX) == set(re.findall(r"@\w+\{([a-z0-9-]+),", entries))
    assert entries.count("{") == entries.count("}")
    plain = dataclasses.replace(study, spec=dataclasses.replace(study.spec, control=(), description=False))
    assert "hewitt" not in bibtex(plain)
    assert "voita" not in paragraph(plain)
