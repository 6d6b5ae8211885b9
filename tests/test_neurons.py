"""The analysis of a study's neurons: right answers in plain cases, resumable, nothing lost."""
import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from explorer.cli import main
from explorer.corpus import CorpusRequest
from explorer.neurons.analysis import PARTS, Neurons, NeuronsRequest, run_neurons
from explorer.neurons.parts import (
    ALL,
    CONTROLS,
    DRAWS,
    LIKELIHOOD,
    METHODS,
    RESAMPLES,
    Retrain,
    Words,
    controls,
    masked,
    moves,
)
from explorer.neurons.tables import (
    audit,
    curves,
    label_map,
    minimal,
    minimal_over_all,
    moved,
    name,
    needed,
    overlaps,
    ranked,
    ranking,
    where,
)
from explorer.probes import fit_probe
from explorer.ranking import lca
from explorer.specs import InputError, ProbeSpec
from explorer.store import Store
from explorer.study import Study, StudyRequest, StudySpec, run_study


class Stop(Exception):
    pass


def test_every_part_is_there_and_complete(neurons: Neurons) -> None:
    tables = {part: neurons.table(part) for part in PARTS}
    assert all(neurons.has(part) for part in PARTS)
    assert set(tables["moves"].layer) == {0, 1, 2}
    assert set(tables["everywhere"].draw) == set(range(RESAMPLES + 1))
    assert set(tables["everywhere"].neuron) == set(range(48))
    for part in ("controls", "rankings", "methods", "likelihood"):
        assert set(tables[part].layer) == {0, 1, 2, ALL}
        assert set(tables[part].checkpoint) == set(neurons.pair)
    assert set(tables["rankings"].method) == set(tables["methods"].method) == set(METHODS)
    places = tables["rankings"].groupby(["checkpoint", "layer", "method", "draw"]).place
    assert (places.min() == 1).all()
    assert (places.nunique() == places.max()).all()


def test_top_neurons_by_the_ranking_have_the_probes_of_the_study(neurons: Neurons) -> None:
    found = neurons.table("controls")
    study = neurons.study.table.query("split == 'test' and label == '' and metric == 'accuracy'")
    wanted = study.set_index(["checkpoint", "layer", "k"]).value
    top = found[(found.order == "top") & (found.probe == "retrained") & (found.layer != ALL)]
    top = top.set_index(["checkpoint", "layer", "k"]).test
    np.testing.assert_allclose(top, wanted[top.index])


def test_with_all_neurons_every_order_is_the_same_probe(neurons: Neurons) -> None:
    found = neurons.table("controls")
    whole = found[(found.k == 16) & (found.layer != ALL) & (found.probe == "masked")]
    assert len(whole) == 2 * 3 * (2 + DRAWS)
    assert (whole.groupby(["checkpoint", "layer"]).test.nunique() == 1).all()


def test_a_job_that_was_stopped_goes_on_at_the_table_where_it_was(neurons: Neurons, tmp_path: Path) -> None:
    store = Store(shutil.copytree(neurons.store.root, tmp_path / "cache"))
    here = dataclasses.replace(neurons, store=store)
    cells = [*here.cells("moves"), *here.cells("controls")]
    for cell in cells:
        (store.root / "results" / f"{here.spec(cell).key()}.parquet").unlink()
    assert here.table("controls") is None
    seen: list[str] = []

    def stop(done: int, total: int, what: str) -> None:
        seen.append(what)
        if "controls, layer 1" in what:
            raise Stop

    request = NeuronsRequest(here.study.key, here.finetuned, ("moves", "controls"))
    with pytest.raises(Stop):
        run_neurons(request, store, stop)
    seen.clear()
    run_neurons(request, store, lambda done, total, what: seen.append(what))
    assert not any("moves" in what or ("layer 0" in what and "base" in what) for what in seen)
    assert here.table("controls").equals(neurons.table("controls"))


def test_what_was_pruned_is_computed_again(neurons: Neurons, tmp_path: Path) -> None:
    store = Store(shutil.copytree(neurons.store.root, tmp_path / "cache"))
    shutil.rmtree(store.root / "activations")
    here = dataclasses.replace(neurons, store=store)
    (store.root / "results" / f"{here.spec(next(here.cells('moves'))).key()}.parquet").unlink()
    run_neurons(NeuronsRequest(here.study.key, here.finetuned, ("moves",)), store)
    assert here.table("moves").equals(neurons.table("moves"))


def test_a_table_without_the_probe_it_was_made_with_is_computed_again(
    neurons: Neurons, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    here = dataclasses.replace(neurons, store=Store(shutil.copytree(neurons.store.root, tmp_path / "cache")))
    monkeypatch.setenv("EXPLORER_CACHE", str(here.store.root))
    cell = next(here.cells("everywhere"))
    kept = here.store.root / "results" / f"{here.spec(cell).key()}.safetensors"
    kept.unlink()
    assert not here.has("everywhere")
    assert main(["neurons", "--top", "2"]) == 0
    assert here.has("everywhere")
    kept.with_suffix(".parquet").write_bytes(kept.with_suffix(".parquet").read_bytes()[:-40])
    assert main(["neurons", "--table", "where"]) == 0
    assert here.table("everywhere").equals(neurons.table("everywhere"))


@pytest.mark.filterwarnings("ignore:.*computed again when needed")
@pytest.mark.parametrize(("part", "ending"), [("everywhere", ".safetensors"), ("everywhere", ".parquet"),
                                              ("controls", ".parquet")])
def test_a_part_that_was_cut_short_is_not_there_and_computed_again(neurons: Neurons, tmp_path: Path, part: str,
                                                                   ending: str) -> None:
    store = Store(shutil.copytree(neurons.store.root, tmp_path / "cache"))
    here = dataclasses.replace(neurons, store=store)
    assert here.has(part)
    path = store.root / "results" / f"{here.spec(next(here.cells(part))).key()}{ending}"
    path.write_bytes(path.read_bytes()[:-9])
    assert not here.has(part)  # which is what a page asks before it offers to compute it
    run_neurons(NeuronsRequest(here.study.key, here.finetuned, (part,)), store)
    assert here.has(part)
    assert here.table(part).equals(neurons.table(part))


@pytest.mark.parametrize(("changed", "message"), [
    ({"study": "0" * 20}, "study"), ({"finetuned": "other"}, "'other'"), ({"parts": ("nothing",)}, "nothing"),
])
def test_what_is_not_there(neurons: Neurons, changed: dict, message: str) -> None:
    request = NeuronsRequest(neurons.study.key, neurons.finetuned)
    with pytest.raises(InputError, match=message):
        run_neurons(dataclasses.replace(request, **changed), neurons.store)


def split(x: np.ndarray, y: np.ndarray) -> Words:
    return Words([x], np.arange(len(x)), y, np.arange(len(x)) // 5)


def test_one_neuron_carries_the_label_the_others_nothing() -> None:
    random = np.random.default_rng(0)
    y = random.integers(2, size=400)
    x = random.normal(size=(400, 8)).astype(np.float32)
    x[:, 3] = y + 0.01 * x[:, 3]
    splits = {name: split(x, y) for name in ("train", "dev", "test")}
    spec = ProbeSpec()
    whole = fit_probe(x, y, 2, spec)
    found = controls(splits, whole, {}, (1, 2, 4, 8), spec, 0, lambda step: None).set_index(["order", "probe", "k"])
    assert found.loc["top", "retrained", 1].test.item() == 1.0
    assert found.loc["top", "masked", 1].test.item() > 0.99
    assert found.loc["bottom", "retrained", 4].test.item() < 0.65
    assert found.loc["random", "retrained", 1].test.mean() < 0.8


def test_an_outlier_of_its_layer_is_left_out_over_all_layers_too() -> None:
    random = np.random.default_rng(0)
    y = random.integers(2, size=400)
    layers = [random.normal(size=(400, 64)).astype(np.float32) for _ in range(2)]
    layers[1][:, 3] = 1000 + y  # it tells the label, and no other neuron does
    splits = {name: Words(layers, np.arange(400), y, np.arange(400) // 5) for name in ("train", "dev", "test")}
    far, near = (Retrain(splits, ProbeSpec(drop_outliers=drop), fit_probe(np.hstack(layers), y, 2, ProbeSpec()), False)
                 for drop in (True, False))
    order = np.array([64 + 3, 0, 1])
    assert next(near(order, [1], {}))["test"] == 1.0
    assert next(far(order, [1], {}))["test"] < 0.6


def test_masking_is_that_of_the_probe() -> None:
    random = np.random.default_rng(0)
    y = random.integers(3, size=300)
    x = random.normal(size=(300, 8)).astype(np.float32) + np.eye(8, dtype=np.float32)[y]
    whole = fit_probe(x, y, 3, ProbeSpec())
    order = lca(whole.weight).order
    found = list(masked({name: split(x, y) for name in ("dev", "test")}, whole, order, (1, 3, 8)))
    for row in found:
        at_mean = x.copy()
        at_mean[:, order[row["k"]:]] = whole.mean[order[row["k"]:]]
        assert row["test"] == pytest.approx(whole.accuracy(at_mean, y))


def test_names() -> None:
    assert name(5, 117, 384) == "L5:117"
    assert name(ALL, np.array([0, 384, 2687]), 384).tolist() == ["L0:0", "L1:0", "L6:383"]


def test_counts_over_layers_add_up_and_the_change_to_nothing(neurons: Neurons) -> None:
    counts, centres = where(neurons)
    for k, part in counts.groupby("k"):
        assert part.before.sum() == part.after.sum() == k
        assert part.change.sum() == 0
        means = centres[(centres.k == k) & (centres.checkpoint == "pre-trained")]
        assert means.centre.item() == pytest.approx((part.before * part.layer).sum() / k)
    assert (centres.low <= centres.centre).all()
    assert (centres.high >= centres.centre).all()
    assert centres.low.min() >= 0
    assert centres.high.max() <= 2


def test_a_checkpoint_compared_with_itself_keeps_every_neuron(neurons: Neurons) -> None:
    table = moves(neurons.evidence, neurons.study.base, neurons.study.base, 1)
    np.testing.assert_allclose(table.correlation.dropna(), 1.0, atol=1e-4)
    np.testing.assert_allclose(table.cka, 1.0, atol=1e-4)


def test_places_before_and_after_are_those_of_the_rankings(neurons: Neurons) -> None:
    found = moved(neurons)
    layer = found[found.layer == 1].set_index("neuron")
    for column, checkpoint in (("before", neurons.pair[0]), ("after", neurons.pair[1])):
        table = ranked(neurons, checkpoint, 1)
        np.testing.assert_array_equal(layer[column][table.neuron], table.place)


def study_of(rows: list[tuple[int, float]]) -> Study:
    table = pd.DataFrame([{"checkpoint": "a", "layer": 0, "k": k, "split": "dev", "label": label, "metric": "accuracy",
                           "value": value, "n": 9} for k, value in rows for label in ("", "NOUN")])
    return Study("", table, StudySpec((), (1, 2, 4)), StudyRequest("a", (), CorpusRequest("")), (), "")


def test_the_minimal_set_is_the_first_within_delta_of_the_oracle() -> None:
    study = study_of([(1, 0.5), (2, 0.88), (4, 0.9)])
    assert minimal(study, ["a"], 2.0).k.tolist() == [2]
    assert minimal(study, ["a"], 1.9).k.tolist() == [4]
    assert minimal(study, ["a"], 50.0).k.tolist() == [1]
    assert needed(study, ["a"], 2.0)[["label", "k", "n"]].values.tolist() == [["NOUN", 2, 9]]


def test_the_label_map_shows_the_weights_of_the_probe(neurons: Neurons) -> None:
    found = label_map(neurons, neurons.study.base, 1, 5)
    probe = neurons.evidence.probes(neurons.study.base, 1)[16]
    assert len(found) == 5 * 4
    row = found.iloc[7]
    column = neurons.evidence.labels().index(row.label)
    assert probe.weight[int(row.neuron.partition(":")[2]), column] == pytest.approx(row.weight)
    assert sorted(found.neuron_order.unique()) == list(range(5))
    assert sorted(found.label_order.unique()) == list(range(4))
    assert found.serves.any()


def test_methods_share_all_with_themselves_and_everything_at_full_width(neurons: Neurons) -> None:
    pairs, stable = overlaps(neurons)
    assert (pairs[pairs.one == pairs.other].value == 100).all()
    assert (pairs[(pairs.k == 16) & (pairs.layer != ALL)].value == 100).all()
    both = pairs.set_index(["checkpoint", "layer", "k", "one", "other"]).value
    for one, other in (("iou", "l1"), ("l1", "iou")):
        there, back = both.xs((one, other), level=("one", "other")), both.xs((other, one), level=("one", "other"))
        assert (there == back).all()
    assert (stable.low <= stable.value).all()
    assert (stable[stable.k == 16].value == 100).all()


def test_bands_hold_the_mean_and_audit_has_every_method(neurons: Neurons) -> None:
    found = curves(neurons)
    assert set(found.order) == {"top", "bottom", "random"}
    assert (found.low <= found.value + 1e-9).all()
    assert (found.value <= found.high + 1e-9).all()
    assert set(audit(neurons).method) == set(METHODS)
    assert minimal_over_all(neurons, 1.0).k.between(1, 48).all()


@pytest.mark.parametrize(("asked", "message"), [
    ({"layer": 3}, "0 to 2"), ({"method": "magic"}, "magic"), ({"label": "INTJ"}, "INTJ"),
    ({"top": 17}, "1 to 16"), ({"method": "iou", "label": "DET"}, "only lca"),
])
def test_rankings_that_are_not_there(neurons: Neurons, asked: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ranked(neurons, neurons.study.base, **{"layer": 1, **asked})


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Neurons:
    """A study whose test split has no VERB, nor its dev split an ADJ."""
    from tests.tiny import build
    from tests.words import write_corpus

    folder = tmp_path_factory.mktemp("lacking")
    files = write_corpus(folder)
    for split, label in (("test", "VERB"), ("dev", "ADJ")):
        lines = Path(files[split]).read_text().splitlines(keepends=True)
        Path(files[split]).write_text("".join(line for line in lines if f"\t{label}\t" not in line))
    base, tuned = (str(build(folder / name, "bert", seed=seed)) for seed, name in enumerate(("base", "tuned")))
    store = Store(folder / "cache")
    study = run_study(StudyRequest(base, (tuned,), CorpusRequest(**files), k=(1, 4)), store)
    return Neurons(store, study, tuned)


@pytest.mark.parametrize("table", ["ranking", "curves", "where", "moved", "minimal", "labels", "overlaps"])
def test_a_label_that_a_split_lacks_loses_nothing(
    lacking: Neurons, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: str,
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(lacking.store.root))
    assert main(["neurons", "--table", table, "--csv"]) == 0
    captured = capsys.readouterr()
    found = pd.read_csv(io.StringIO(captured.out), skiprows=1)
    assert len(found)
    assert found.notna().all(axis=None)
    if table == "labels":
        assert set(found.label) == {"DET", "NOUN", "VERB"}
        assert "No dev word has the label ADJ" in captured.err
        assert "No test word has the label VERB" in captured.err
        assert set(label_map(lacking, lacking.study.base, 1, 4).label) == {"DET", "NOUN", "VERB", "ADJ"}


@pytest.mark.parametrize("method", [*METHODS, LIKELIHOOD, *CONTROLS])
def test_every_ranking_is_there_for_one_layer_and_over_all_layers(
    neurons: Neurons, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str,
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(neurons.store.root))
    for layer, n in (("1", 16), ("all", 48)):
        assert main(["neurons", "--layer", layer, "--method", method, "--csv"]) == 0
        found = pd.read_csv(io.StringIO(capsys.readouterr().out), skiprows=1)
        assert found.neuron.nunique() == len(found) == n


def test_the_reversed_ranking_is_that_of_lca_with_its_worst_first(neurons: Neurons) -> None:
    for layer in (1, ALL):
        best, worst = (ranking(neurons, neurons.study.base, layer, name).order for name in ("lca", "reversed"))
        assert best.tolist() == worst.tolist()[::-1]
