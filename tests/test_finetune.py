"""Fine-tuning: learns what can be learnt, repeats itself, and loses nothing when stopped or killed."""
import dataclasses
import itertools
import json
import lzma
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from explorer import finetune as finetune_module
from explorer import runs
from explorer.finetune import FinetuneRequest, finetune
from explorer.models import check_pair, load, resolve, steps
from explorer.specs import InputError
from explorer.tasks import read_task
from tests.tiny import build
from tests.words import LEXICON

ROOT = Path(__file__).resolve().parents[1]


class Stop(Exception):
    pass


def write_task(path: Path, rows: int, scored: bool = False) -> Path:
    """Sentences where the noun says it all: a cat is 1, a dog 0."""
    random = np.random.default_rng(0)
    lines = ["sentence\tlabel"]
    for label in random.integers(0, 2, rows):
        verb, adjective = random.choice(LEXICON["VERB"]), random.choice(LEXICON["ADJ"], random.integers(1, 4))
        text = f"the {' '.join(adjective)} {'cat' if label else 'dog'} {verb}"
        lines.append(f"{text}\t{label * 2.5 if scored else label}")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> FinetuneRequest:
    """A run of 12 steps, 3 an epoch, with checkpoints at 0, 6 and 12."""
    folder = tmp_path_factory.mktemp("finetune")
    data = write_task(folder / "task.tsv", 60)
    return FinetuneRequest(
        str(build(folder / "base", "bert", seed=0)), "classification", str(data), str(folder / "run"),
        learning_rate=1e-2, epochs=4, batch_size=16, fractions=(0, 0.5, 1),
    )


@pytest.fixture(scope="module")
def run(asked: FinetuneRequest) -> Path:
    return finetune(asked)


def changed(asked: FinetuneRequest, tmp_path: Path, **fields: object) -> FinetuneRequest:
    """The same with other settings, in a folder of its own."""
    return dataclasses.replace(asked, **{"out": str(tmp_path / "run"), **fields})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same_run(one: Path, two: Path) -> None:
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    assert (one / "run.json").read_text() == (two / "run.json").read_text()
    for checkpoint in steps(one):
        ours, theirs = weights(checkpoint), weights(two / checkpoint.name)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)


def test_it_learns_what_a_word_decides(asked: FinetuneRequest, tmp_path: Path) -> None:
    request = changed(asked, tmp_path, epochs=15, fractions=(0, 1))
    record = json.loads((finetune(request) / "run.json").read_text())
    first, last = record["checkpoints"]
    assert last["dev_score"] == last["dev"]["accuracy"] == 1.0 > record["baseline"]["accuracy"]
    assert last["dev_loss"] < first["dev_loss"] / 2


def test_scores_are_learnt_too(asked: FinetuneRequest, tmp_path: Path) -> None:
    data = write_task(tmp_path / "task.tsv", 60, scored=True)
    request = changed(asked, tmp_path, data=str(data), task="regression", epochs=15, fractions=(1,))
    record = json.loads((finetune(request) / "run.json").read_text())
    assert record["checkpoints"][0]["dev_score"] == record["checkpoints"][0]["dev"]["pearson"] > 0.8
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "checkpoint-45")
    assert model.config.problem_type == "regression"
    assert model.num_labels == 1


def test_a_run_is_a_folder_of_checkpoints(asked: FinetuneRequest, run: Path) -> None:
    assert {p.name for p in run.iterdir()} == {
        ".lock", "run.json", "losses.json", "checkpoint-0", "checkpoint-6", "checkpoint-12"}
    assert [p.name for p in steps(run)] == ["checkpoint-0", "checkpoint-6", "checkpoint-12"]
    record = json.loads((run / "run.json").read_text())
    assert [c["step"] for c in record["checkpoints"]] == [0, 6, 12]
    assert [c["epoch"] for c in record["checkpoints"]] == [0, 2, 4]
    assert record["checkpoints"][0]["loss"] is None
    assert record["steps"] == 12
    assert record["base_digest"] == resolve(asked.model).digest
    for checkpoint in steps(run):
        check_pair(resolve(asked.model), resolve(str(checkpoint)))


def test_step_0_is_the_base_with_a_head(asked: FinetuneRequest, run: Path) -> None:
    base, start = AutoModel.from_pretrained(asked.model), AutoModel.from_pretrained(run / "checkpoint-0")
    for (name, ours), theirs in zip(start.state_dict().items(), base.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_saved_checkpoint_scores_as_written_down(asked: FinetuneRequest, run: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(run / "checkpoint-12").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "checkpoint-12")
    dev = read_task("classification", asked.data).dev
    batch = tokenizer([texts[0] for texts in dev.texts], padding=True, return_tensors="pt")
    with torch.inference_mode():
        predicted = model(**batch).logits.argmax(1).numpy()
    record = json.loads((run / "run.json").read_text())
    assert record["checkpoints"][-1]["dev_score"] == (predicted == dev.targets).mean()


def test_the_same_request_gives_the_same_weights(asked: FinetuneRequest, run: Path, tmp_path: Path) -> None:
    torch.manual_seed(torch.initial_seed() + 1)  # what happened before in the process plays no part
    assert_same_run(run, finetune(changed(asked, tmp_path)))


def test_another_seed_gives_others_and_leaves_the_process_as_it_was(asked: FinetuneRequest, run: Path,
                                                                    tmp_path: Path) -> None:
    before = torch.get_rng_state()
    other = finetune(changed(asked, tmp_path, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    head = "classifier.weight"
    assert not torch.equal(weights(run / "checkpoint-0")[head], weights(other / "checkpoint-0")[head])


@pytest.mark.parametrize("kill_at", [0, 7, 12])
def test_a_killed_run_goes_on_to_the_same_weights(asked: FinetuneRequest, run: Path, tmp_path: Path,
                                                  kill_at: int) -> None:
    """A real SIGKILL at one of 15 calls of on_progress: scoring step 0, scoring step 6, after step 11."""
    request = changed(asked, tmp_path)
    code = f"""
import itertools, os, signal
from explorer.finetune import FinetuneRequest, finetune
calls = itertools.count()
def on_progress(done, total, what):
    if next(calls) == {kill_at}:
        os.kill(os.getpid(), signal.SIGKILL)
finetune({request!r}, on_progress)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / "resume.pt").is_file()
    assert_same_run(run, finetune(request))


@pytest.mark.parametrize("every", [0, 60])
def test_a_cancelled_run_goes_on_from_any_step(asked: FinetuneRequest, run: Path, tmp_path: Path, every: int,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped again and again, each time three calls of on_progress further than the state it starts from."""
    monkeypatch.setattr(finetune_module, "SAVE_EVERY", every)
    request = changed(asked, tmp_path)
    for patience in itertools.count(3):
        calls = itertools.count()

        def on_progress(done: int, total: int, what: str, calls: itertools.count = calls,
                        patience: int = patience) -> None:
            if next(calls) == patience:
                raise Stop

        try:
            finetune(request, on_progress)
        except Stop:
            continue
        break
    assert patience > 4
    assert_same_run(run, tmp_path / "run")


def test_a_folder_of_a_killed_run_is_written_again(asked: FinetuneRequest, run: Path, tmp_path: Path) -> None:
    request = changed(asked, tmp_path)

    def stop(done: int, total: int, what: str) -> None:
        if done == 6 and "scoring" in what:
            raise Stop

    with pytest.raises(Stop):
        finetune(request, stop)
    for name in ("checkpoint-6", ".checkpoint-6"):  # moved into place but not in run.json; not yet moved
        (tmp_path / "run" / name).mkdir()
        (tmp_path / "run" / name / "junk").touch()
    assert_same_run(run, finetune(request))


def test_the_state_is_loaded_without_running_pickled_code(asked: FinetuneRequest, tmp_path: Path) -> None:
    request = changed(asked, tmp_path)

    def stop(done: int, total: int, what: str) -> None:
        if done == 7:
            raise Stop

    with pytest.raises(Stop):
        finetune(request, stop)
    state = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)
    assert len(state["losses"]) == 6


def test_a_finished_run_is_left_alone(asked: FinetuneRequest, run: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    assert finetune(asked) == run
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_progress_tells_the_loss(asked: FinetuneRequest, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    finetune(changed(asked, tmp_path), lambda *call: calls.append(call))
    learning = [(done, total) for done, total, what in calls if what.startswith("fine-tuning, loss 0.")]
    assert learning == [(step, 12) for step in range(1, 13)]
    assert {done for done, _, what in calls if what == "scoring on dev"} == {0, 6, 12}


def test_another_run_in_the_folder_is_refused(asked: FinetuneRequest, run: Path) -> None:
    with pytest.raises(InputError, match=r"holds another run \(learning_rate 0\.01, asked for 0\.5\)"):
        finetune(dataclasses.replace(asked, learning_rate=0.5))
    assert json.loads((run / "run.json").read_text())["learning_rate"] == 0.01


def test_folders_that_cannot_be_used(asked: FinetuneRequest, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="something other than a run"):
        finetune(dataclasses.replace(asked, out=str(tmp_path)))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match=r"notes\.txt: File exists; takes a folder"):
        finetune(dataclasses.replace(asked, out=str(tmp_path / "notes.txt")))
    (tmp_path / "busy").mkdir()
    with filelock.FileLock(tmp_path / "busy" / ".lock"), pytest.raises(InputError, match="another process"):
        finetune(dataclasses.replace(asked, out=str(tmp_path / "busy")))


@pytest.mark.parametrize(("field", "value"), [
    ("learning_rate", 0.0), ("learning_rate", float("nan")), ("epochs", -1.0), ("batch_size", 0),
    ("max_length", 2), ("weight_decay", -0.1), ("warmup", 1.0), ("seed", -1), ("limit", 1),
    ("fractions", ()), ("fractions", (0, 1.5)), ("freeze", -1), ("reinitialise", -1),
    ("learning_rate", 1.5), ("epochs", float("inf")), ("seed", 2**32), ("limit", 2.5), ("freeze", float("nan")),
    ("freeze", 3), ("reinitialise", 3),
])
def test_settings_out_of_range_are_refused(asked: FinetuneRequest, tmp_path: Path, field: str,
                                           value: object) -> None:
    with pytest.raises(InputError, match=f"^{field}: .*; takes"):
        finetune(changed(asked, tmp_path, **{field: value}))
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(asked: FinetuneRequest, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(runs.TAKES, "learning_rate")
    with pytest.raises(InputError, match=r"learning_rate: at step \d+ the loss is (nan|inf)"):
        finetune(changed(asked, tmp_path, learning_rate=1e30))


def test_a_disk_that_is_too_small_is_noticed_before_the_work(asked: FinetuneRequest, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(runs.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(InputError, match=r"out: the run needs .* GB in .*, where 0\.0 GB is free"):
        finetune(changed(asked, tmp_path))


@pytest.mark.parametrize("largest", [1000, 30_000, 100_000])
def test_a_full_disk_is_an_error_and_the_run_goes_on_from_there(asked: FinetuneRequest, run: Path, tmp_path: Path,
                                                                largest: int) -> None:
    """No file may grow beyond so many bytes, as at a full quota: run.json, the weights, the state to resume from."""
    request = changed(asked, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        with pytest.raises(InputError, match="the disk is full"):
            finetune(request)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in (tmp_path / "run").glob(".*") if path.name != ".lock"]
    assert_same_run(run, finetune(request))


def test_it_says_nothing(asked: FinetuneRequest, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """What it draws would stand in the log that the page shows."""
    capfd.readouterr()
    finetune(changed(asked, tmp_path))
    assert capfd.readouterr() == ("", "")


def test_what_is_computed_at_a_checkpoint_changes_nothing(asked: FinetuneRequest, run: Path, tmp_path: Path) -> None:
    seen: list[list[int]] = []

    def look(found: runs.Run) -> None:
        seen.append(list(found.saved))
        torch.rand(3)

    request = changed(asked, tmp_path)
    assert_same_run(run, finetune(request, on_checkpoint=look))
    finetune(request, on_checkpoint=look)
    assert seen == [[0], [0, 6], [0, 6, 12], [0, 6, 12]]


def test_frozen_layers_stay_and_new_ones_differ_from_the_start(asked: FinetuneRequest, tmp_path: Path) -> None:
    folder = finetune(changed(asked, tmp_path, freeze=1, reinitialise=1, fractions=(0, 1)))
    base = load_file(Path(asked.model) / "model.safetensors")
    start, end = weights(folder / "checkpoint-0"), weights(folder / "checkpoint-12")
    stays = [name for name in base if "embeddings." in name or "layer.0." in name]
    anew = [name for name in base if "layer.1." in name and base[name].ndim > 1]
    assert stays
    assert all(torch.equal(base[name], end[f"bert.{name}"]) for name in stays)
    assert not any(torch.equal(base[name], start[f"bert.{name}"]) for name in anew)
    with pytest.raises(InputError, match="freeze None, asked for 0"):
        finetune(dataclasses.replace(asked, freeze=0))


def test_the_losses_of_every_step_are_told(run: Path) -> None:
    assert len(json.loads((run / "losses.json").read_text())["losses"]) == 12


@pytest.mark.parametrize("kind", [
    "bert", "roberta", "xlnet", "distilbert", "albert", "electra", "deberta-v2", "gpt2",
])
def test_every_architecture_is_fine_tuned(asked: FinetuneRequest, tmp_path: Path, kind: str) -> None:
    base = build(tmp_path / "base", kind, seed=0)
    run = finetune(dataclasses.replace(asked, model=str(base), out=str(tmp_path / "run"), epochs=1, fractions=(1,)))
    check_pair(resolve(str(base)), resolve(str(run / "checkpoint-3")))


def test_random_weights_are_fine_tuned_as_they_are_probed(asked: FinetuneRequest, tmp_path: Path) -> None:
    name = f"random:{asked.model}@1"
    start = weights(finetune(changed(asked, tmp_path, model=name, fractions=(0,))) / "checkpoint-0")
    drawn = load(resolve(name))[0].state_dict()
    assert all(torch.equal(drawn[key.removeprefix("bert.")], value) for key, value in start.items() if "bert." in key)
    assert not torch.equal(load_file(Path(asked.model) / "model.safetensors")["embeddings.word_embeddings.weight"],
                           start["bert.embeddings.word_embeddings.weight"])


def test_weights_that_do_not_fill_the_encoder_are_refused(asked: FinetuneRequest, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(asked.model, folder)
    whole = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in whole.items() if "layer.1." not in name}, folder / "model.safetensors",
              {"format": "pt"})
    with pytest.raises(InputError, match="lack 16 of its parameters"):
        finetune(changed(asked, tmp_path, model=str(folder)))
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_a_head_for_another_task_makes_room(asked: FinetuneRequest, run: Path, tmp_path: Path) -> None:
    request = changed(asked, tmp_path, model=str(run / "checkpoint-12"), task="regression", fractions=(0,))
    other = AutoModelForSequenceClassification.from_pretrained(finetune(request) / "checkpoint-0")
    assert other.num_labels == 1


@pytest.mark.parametrize(("task", "file"), [("sst2", "SST-2/train.tsv.xz"), ("stsb", "STS-B/train.tsv.xz")])
def test_glue_on_a_real_model(shared: Path, tmp_path: Path, task: str, file: str) -> None:
    with lzma.open(shared / "data" / "glue" / file, "rt", encoding="utf-8", newline="\n") as lines:
        (tmp_path / "train.tsv").write_text("".join(itertools.islice(lines, 61)), encoding="utf-8", newline="")
    model = str(shared / "models" / "all-MiniLM-L6-v2")
    request = FinetuneRequest(model, task, str(tmp_path), str(tmp_path / "run"), epochs=4, batch_size=8,
                              fractions=(0, 1))
    start, end = json.loads((finetune(request) / "run.json").read_text())["checkpoints"]
    assert end["dev_loss"] < start["dev_loss"]
