"""Studies: right answers in plain cases, nothing computed twice, nothing lost when stopped."""
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from explorer import study as study_module
from explorer.corpus import CorpusRequest
from explorer.figures import delta_of
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import COLUMNS, StudyRequest, finished, load, run_study, short_name
from tests.tiny import build
from tests.words import write_conllu, write_corpus


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> StudyRequest:
    folder = tmp_path_factory.mktemp("study")
    base, tuned = build(folder / "base", "bert", seed=0), build(folder / "tuned", "bert", seed=1)
    return StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(folder)), k=(1, 4))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def study(request_: StudyRequest, store: Store) -> study_module.Study:
    return run_study(request_, store)


def test_the_table_is_tidy_and_complete(study: study_module.Study) -> None:
    table = study.table
    assert list(table.columns) == COLUMNS
    assert set(table.checkpoint) == {study.base, *study.finetuned}
    assert set(table.layer) == {0, 1, 2}
    assert set(table.k) == {1, 4, 16}
    assert set(table.split) == {"train", "dev", "test"}
    assert set(table.label) == {"", "DET", "NOUN", "VERB", "ADJ"}
    assert not table.duplicated(["checkpoint", "layer", "k", "split", "label", "metric"]).any()
    shares = table[~table.metric.str.startswith(("cross_entropy", "codelength", "compression", "norm", "outliers"))]
    assert shares[~shares.metric.str.endswith("_all")].value.between(-1, 1).all()
    assert table.value.notna().all()


def test_every_delta_is_the_difference_and_lies_in_its_interval(study: study_module.Study) -> None:
    wide = study.table.query("split == 'test' and label == ''").pivot_table(
        index=["layer", "k"], columns=["checkpoint", "metric"], values="value")
    base, tuned = wide[study.base], wide[study.finetuned[0]]
    assert "delta" not in base
    np.testing.assert_allclose(tuned.delta, tuned.accuracy - base.accuracy, atol=1e-9)
    for found, metric in [(base, "accuracy"), (tuned, "accuracy"), (tuned, "delta")]:
        assert (found[f"{metric}_low"] <= found[metric] + 1e-9).all()
        assert (found[f"{metric}_high"] >= found[metric] - 1e-9).all()
    assert (tuned.delta_low < tuned.delta_high).any()


def test_labels_that_words_determine_are_read_from_the_embeddings(study: study_module.Study) -> None:
    whole = study.table.query("layer == 0 and k == 16 and label == '' and split == 'test' and metric == 'accuracy'")
    assert (whole.value == 1.0).all()


def test_the_whole_is_the_mean_of_its_labels(study: study_module.Study) -> None:
    table = study.table[study.table.metric == "accuracy"]
    for _, rows in table.groupby(["checkpoint", "layer", "k", "split"]):
        parts = rows[rows.label != ""]
        whole = rows[rows.label == ""].iloc[0]
        assert parts.n.sum() == whole.n
        assert (parts.value * parts.n).sum() / whole.n == pytest.approx(whole.value)


def test_a_checkpoint_and_its_copy_have_no_delta(request_: StudyRequest, store: Store) -> None:
    same = run_study(dataclasses.replace(request_, finetuned=(request_.base + "/",)), store)
    table = same.table[same.table.metric == "accuracy"]
    wide = table.pivot_table(index=["layer", "k", "split", "label"], columns="checkpoint", values="value")
    assert (wide.iloc[:, 0] == wide.iloc[:, 1]).all()
    assert (same.table[same.table.metric.str.startswith("delta")].value == 0).all()


def test_what_is_there_is_not_computed_again(
    study: study_module.Study, request_: StudyRequest, store: Store, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_model(*_: object) -> None:
        raise AssertionError("the model was loaded although everything is in the cache")

    monkeypatch.setattr("explorer.models.load", no_model)
    monkeypatch.setattr("explorer.extract.load", no_model, raising=False)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("layer_*.safetensors")}
    again = run_study(request_, store)
    assert again.key == study.key
    assert again.table.equals(study.table)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("layer_*.safetensors")} == before


def test_a_new_k_is_added_to_what_is_there(request_: StudyRequest, store: Store, study: study_module.Study) -> None:
    more = run_study(dataclasses.replace(request_, k=(1, 2, 4)), store)
    assert set(more.table.k) == {1, 2, 4, 16}
    old = more.table[more.table.k != 2].reset_index(drop=True)
    assert old.equals(study.table)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_stopped_study_goes_on_where_it_was(request_: StudyRequest, tmp_path: Path, share: float,
                                              study: study_module.Study) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if done / total >= share:
            raise Stop

    fresh = Store(tmp_path)
    with pytest.raises(Stop):
        run_study(request_, fresh, stop)
    kept = {path: path.stat().st_ino for path in (tmp_path / "results").rglob("*.safetensors")}
    assert run_study(request_, fresh).table.equals(study.table)
    assert {path: path.stat().st_ino for path in kept} == kept


def test_progress_rises_to_the_end(request_: StudyRequest, tmp_path: Path) -> None:
    seen: list[float] = []
    run_study(request_, Store(tmp_path), lambda done, total, _: seen.append(done / total))
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) > 10


def test_finished_studies_are_listed_and_loaded(study: study_module.Study, store: Store) -> None:
    assert study.key in [summary.key for summary in finished(store)]
    found = load(store, study.key)
    assert found.table.equals(study.table)
    assert (found.request, found.notes) == (study.request, study.notes)
    with pytest.raises(InputError, match="'absent'"):
        load(store, "absent")


def test_a_request_survives_json(request_: StudyRequest) -> None:
    request = dataclasses.replace(request_, corpus=dataclasses.replace(request_.corpus, columns=(0, 2)))
    assert StudyRequest.from_dict(json.loads(json.dumps(dataclasses.asdict(request)))) == request


def whole(study: study_module.Study, metric: str, split: str = "test") -> pd.Series:
    rows = study.table.query("metric == @metric and split == @split and label == ''")
    return rows.set_index(["checkpoint", "layer", "k"]).value.sort_index()


def test_every_figure_of_the_whole_has_bounds_of_both_kinds(study: study_module.Study) -> None:
    for metric in ("accuracy", "macro_f1", "weighted_f1", "cross_entropy", "control", "selectivity"):
        for name in (metric, delta_of(metric)):
            value = whole(study, name)
            for kind in ("", "_all"):
                low, high = whole(study, f"{name}_low{kind}"), whole(study, f"{name}_high{kind}")
                assert len(low) == len(value) == (9 if name in ("delta", f"{metric}_delta") else 18)
                assert (low <= high).all()
                assert ((low - 1e-5 <= value) & (value <= high + 1e-5)).mean() > 0.9
    value, low, high = (whole(study, name) for name in ("delta", "delta_low_all", "delta_high_all"))
    np.testing.assert_allclose(value - low, high - value, atol=1e-4)  # max-T; that of one layer alone is no such thing


def test_selectivity_is_accuracy_minus_control(study: study_module.Study) -> None:
    np.testing.assert_allclose(whole(study, "selectivity"), whole(study, "accuracy") - whole(study, "control"))


def test_guesses_stand_beside_the_accuracy(study: study_module.Study) -> None:
    where = (study.base, 0, 16)
    assert whole(study, "most_frequent").to_dict() == {where: 1.0}  # each word has one tag
    assert 0.25 < whole(study, "majority")[where] < 0.5


def test_the_training_words_are_described(study: study_module.Study) -> None:
    length, compression = whole(study, "codelength", "train"), whole(study, "compression", "train")
    n = study.table.query("metric == 'codelength'").n.iloc[0]
    np.testing.assert_allclose(length * compression, n * 2 / 1000)  # two bits for each of four labels
    assert (compression > 1).all()
    assert (whole(study, "norm", "train") > 0).all()
    assert study.made["versions"]["numpy"] == np.__version__
    assert study.made["sizes"]["train"] == {"words": n, "sentences": 60}


def test_less_can_be_asked_for(request_: StudyRequest, store: Store) -> None:
    less = run_study(dataclasses.replace(request_, control=0, description=False), store)
    assert not less.table.metric.str.contains("control|selectivity|codelength").any()
    one = run_study(dataclasses.replace(request_, control=1), store)
    assert set(one.table[one.table.metric == "control"].k) == {16}
    with pytest.raises(InputError, match="control: got -1"):
        run_study(dataclasses.replace(request_, control=-1), store)


def test_random_weights_are_a_checkpoint(request_: StudyRequest, store: Store, study: study_module.Study) -> None:
    names = tuple(f"random:{request_.base}{seed}" for seed in ("", "@1"))
    drawn = run_study(dataclasses.replace(request_, finetuned=names), store)
    first, second = (whole(drawn, "accuracy")[name] for name in names)
    assert not first.equals(second)
    assert whole(drawn, "accuracy")[request_.base].equals(whole(study, "accuracy")[request_.base])
    assert short_name(f"random:{request_.base}@1") == "random:base@1"


def test_how_a_checkpoint_was_tuned_is_told(request_: StudyRequest, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(request_.finetuned[0], run / "checkpoint-7")
    (run / "run.json").write_text(json.dumps({
        "task": "classification", "data": "/files/sentiment.tsv", "train_rows": 90, "steps": 14, "other": 1}))
    name = str(run / "checkpoint-7")
    found = run_study(dataclasses.replace(request_, finetuned=(name,)), Store(tmp_path / "cache"))
    assert found.made["tuning"] == {name: {"task": "sentiment", "train_rows": 90, "steps": 14, "step": 7}}


def test_unseen_labels_are_errors_and_reported(request_: StudyRequest, tmp_path: Path) -> None:
    test = write_conllu(tmp_path / "test.conllu", 20, 2, "1\tcat\t_\tX\t_\t_\t_\t_\t_\t_\n\n")
    corpus = dataclasses.replace(request_.corpus, test=str(test))
    found = run_study(dataclasses.replace(request_, corpus=corpus), Store(tmp_path / "cache"))
    rows = found.table.query("label == 'X' and split == 'test' and metric == 'accuracy'")
    assert (rows.value == 0).all()
    assert (rows.n == 1).all()
    assert any("X" in note and "test" in note for note in found.notes)


def test_words_that_the_tokenizer_drops_are_masked_and_reported(request_: StudyRequest, tmp_path: Path) -> None:
    test = write_conllu(tmp_path / "test.conllu", 20, 2, "1\t\u200b\t_\tDET\t_\t_\t_\t_\t_\t_\n2\tcat\t_\tNOUN"
                        + "\t_" * 6 + "\n\n")
    found = run_study(dataclasses.replace(request_, corpus=dataclasses.replace(request_.corpus, test=str(test))),
                      Store(tmp_path / "cache"))
    assert any("1 word" in note and "test" in note for note in found.notes)


def test_labels_that_training_never_has_alone_are_refused(request_: StudyRequest, tmp_path: Path) -> None:
    test = Path(request_.corpus.test or "")
    (tmp_path / "test.conllu").write_text("\n".join(
        "\t".join([*cells[:3], "_", *cells[4:]]) if len(cells := line.split("\t")) == 10 else line
        for line in test.read_text(encoding="utf-8").splitlines()) + "\n", encoding="utf-8")
    corpus = dataclasses.replace(request_.corpus, test=str(tmp_path / "test.conllu"))
    with pytest.raises(InputError, match="test: training has none of its labels, such as '_'"):
        run_study(dataclasses.replace(request_, corpus=corpus), Store(tmp_path / "cache"))


def test_a_split_of_which_the_model_keeps_no_word_is_refused(request_: StudyRequest, tmp_path: Path) -> None:
    (tmp_path / "test.conllu").write_text("1\t\u200b\t_\tNOUN" + "\t_" * 6 + "\n\n", encoding="utf-8")
    corpus = dataclasses.replace(request_.corpus, test=str(tmp_path / "test.conllu"))
    with pytest.raises(InputError, match="test: the model keeps none of its 1 words"):
        run_study(dataclasses.replace(request_, corpus=corpus), Store(tmp_path / "cache"))


def test_probes_that_end_above_the_tolerance_are_noted(request_: StudyRequest, tmp_path: Path) -> None:
    probe = dataclasses.replace(request_.probe, max_iter=1)
    found = run_study(dataclasses.replace(request_, probe=probe), Store(tmp_path / "cache"))
    assert sum("ended before they came to the tolerance: layer 0, 1 neurons" in note for note in found.notes) == 2


def test_a_corpus_that_has_changed_since_is_another_study(request_: StudyRequest, tmp_path: Path) -> None:
    files = {name: shutil.copy(getattr(request_.corpus, name), tmp_path) for name in ("train", "dev", "test")}
    store, second = Store(tmp_path / "cache"), shutil.copytree(request_.finetuned[0], tmp_path / "second")
    longer = dataclasses.replace(request_, corpus=CorpusRequest(**files), finetuned=(*request_.finetuned, str(second)))
    shorter = dataclasses.replace(longer, finetuned=longer.finetuned[:1])
    run_study(longer, store)
    assert run_study(shorter, store).key not in [summary.key for summary in finished(store)]
    Path(files["train"]).write_text(Path(files["dev"]).read_text(encoding="utf-8"), encoding="utf-8")
    assert run_study(shorter, store).key in [summary.key for summary in finished(store)]


@pytest.mark.parametrize(("change", "message"), [
    ({"k": (17,)}, "17.*16"),
    ({"k": (0,)}, "k"),
    ({"finetuned": ()}, "fine-tuned"),
    ({"pooling": "max"}, "pooling.*max.*last"),
])
def test_bad_requests_say_what_is_taken(request_: StudyRequest, store: Store, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_study(dataclasses.replace(request_, **change), store)


def test_a_pair_that_does_not_fit_is_refused(request_: StudyRequest, store: Store, tmp_path: Path) -> None:
    other = build(tmp_path / "wide", "bert", width=32)
    with pytest.raises(InputError, match="32"):
        run_study(dataclasses.replace(request_, finetuned=(str(other),)), store)
