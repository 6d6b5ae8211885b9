"""What lies behind a study: there once it is done, the same figures come out of it, and its absence is said."""
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from explorer.corpus import CorpusRequest
from explorer.evidence import Evidence, Missing
from explorer.store import Store
from explorer.study import StudyRequest, run_study
from tests.tiny import build
from tests.words import write_corpus


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("evidence")
    base, tuned = build(folder / "base", "bert", seed=0), build(folder / "tuned", "bert", seed=1)
    request = StudyRequest(str(base), (str(tuned),), CorpusRequest(**write_corpus(folder)), k=(1, 4))
    store = Store(folder / "cache")
    return Evidence(store, run_study(request, store))


def test_the_probes_give_the_figures_of_the_table(evidence: Evidence) -> None:
    table = evidence.study.table.query("split == 'test' and label == '' and metric == 'accuracy'")
    y = evidence.codes("test")
    for row in table.itertuples():
        x = evidence.activations(row.checkpoint, "test").layer(row.layer)
        assert evidence.probes(row.checkpoint, row.layer)[row.k].accuracy(x, y) == pytest.approx(row.value)


def test_probes_on_k_neurons_read_the_k_best(evidence: Evidence) -> None:
    for layer in range(3):
        order = evidence.ranking(evidence.study.base, layer).order
        probe = evidence.probes(evidence.study.base, layer)[4]
        np.testing.assert_array_equal(np.sort(probe.neurons), np.sort(order[:4]))


def test_words_and_labels_are_those_of_the_corpus(evidence: Evidence) -> None:
    words = evidence.words("test")
    assert evidence.labels() == ("ADJ", "DET", "NOUN", "VERB")
    assert words.sentence.nunique() == 20
    assert set(words[words.label == "DET"].word) <= {"the", "a", "every"}
    assert len(words) == len(evidence.activations(evidence.study.base, "test").kept)


def test_what_is_missing_is_said_and_computed_again(evidence: Evidence, tmp_path: Path) -> None:
    store = Store(shutil.copytree(evidence.store.root, tmp_path / "cache"))
    here = Evidence(store, evidence.study)
    assert here.complete()
    shutil.rmtree(store.root / "activations")
    assert not here.complete()
    with pytest.raises(Missing, match=r"activations of .* on test"):
        here.activations(evidence.study.base, "test")
    for path in (store.root / "results").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(Missing, match=r"probes of .* on layer 1"):
        here.probes(evidence.study.base, 1)
    run_study(evidence.study.request, store)
    assert here.complete()


def test_looking_at_it_imports_no_torch() -> None:
    code = "import sys, explorer.evidence; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
