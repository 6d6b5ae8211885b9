"""The cache: what was written comes back, what was damaged does not, and nobody treads on another's work."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from explorer.activations import CUT, KEPT
from explorer.files import BLANK_SEAL, sealed, sha256
from explorer.specs import ActivationSpec, InputError, WordsSpec
from explorer.store import Store

ROOT = Path(__file__).resolve().parents[1]
SPEC = ActivationSpec("checkpoint", "words")
SHAPE = 3, 40, 8  # layers, words, neurons
ROWS = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)
TABLE = pd.DataFrame({"word": ["cat", "ß\n", ""], "value": [1.5, float("nan"), -0.0], "n": [1, 2, 3]})
IN_STEPS = """
    import sys
    import time
    from pathlib import Path
    import numpy as np
    from explorer import activations
    from explorer.store import Store
    from tests.test_store import ROWS, SHAPE, SPEC
    activations.RECORD_EVERY = 0.0
    store = Store(Path(sys.argv[1]))
    with store.lock(SPEC.key()), store.writer(SPEC, SHAPE, "plan") as writer:
        print(f"from {writer.done}", flush=True)
        for step in range(writer.done, 4):
            writer.write(10 * step, np.ascontiguousarray(ROWS[:, 10 * step:10 * step + 10]))
            writer.record(step + 1)
            print(f"did {step}", flush=True)
            if len(sys.argv) > 2 and step == 1:
                time.sleep(60)
        writer.finish(np.zeros(40, np.uint8), "by a process")
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def put(store: Store, spec: ActivationSpec = SPEC) -> None:
    fate = np.full(SHAPE[1], KEPT, np.uint8)
    fate[-1] = CUT
    with store.writer(spec, SHAPE, "plan") as writer:
        writer.write(0, ROWS)
        writer.finish(fate, "activations of a test")


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def same(found: np.ndarray | None, wanted: np.ndarray = ROWS[0]) -> bool:
    return found is not None and np.array_equal(found, wanted)


def test_activations_come_back(store: Store) -> None:
    assert store.activations(SPEC) is None
    put(store)
    found = store.activations(SPEC)
    assert found is not None
    for layer in range(3):
        np.testing.assert_array_equal(found.layer(layer), ROWS[layer])
    assert np.flatnonzero(found.fate).tolist() == [39]
    assert found.kept.sum() == 39
    with pytest.raises(InputError, match="0 to 2"):
        found.layer(3)


def test_a_table_and_its_meta_come_back(store: Store) -> None:
    spec = WordsSpec("a", "b")
    assert store.table(spec) is None
    store.put_table(spec, TABLE, {"what": "words"})
    pd.testing.assert_frame_equal(store.table(spec), TABLE)
    found = store.table_by_key(spec.key())
    assert found is not None
    assert (found.spec, found.meta) == (spec.as_dict(), {"what": "words"})
    assert store.tables("WordsSpec") == [(spec.key(), spec.as_dict(), {"what": "words"})]
    assert store.tables("StudySpec") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None,
          max_examples=20)
@given(given_=st.dictionaries(st.sampled_from(["1/weight", "a", "ä b"]), arrays(np.float32, array_shapes(max_side=3))))
def test_named_arrays_come_back(store: Store, given_: dict[str, np.ndarray]) -> None:
    store.put_arrays(SPEC, given_, {"what": "arrays", "labels": ["ä"]})
    found = store.arrays(SPEC)
    assert found is not None
    assert found[1]["labels"] == ["ä"]
    assert found[0].keys() == given_.keys()
    for name, array in given_.items():
        np.testing.assert_array_equal(found[0][name], array)


@pytest.mark.parametrize("key", ["", "absent", "../../etc/passwd", "0" * 20, "A" * 20])
def test_any_key_may_be_asked_for(store: Store, key: str) -> None:
    assert store.table_by_key(key) is None


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
@pytest.mark.parametrize("name", ["layer_01.safetensors", "words.safetensors", "manifest.json"])
def test_damaged_activations_count_as_absent(store: Store, name: str, damage: str) -> None:
    put(store)
    spoil(store.root / "activations" / SPEC.key() / name, damage)
    with pytest.warns(UserWarning, match="left aside"):
        assert Store(store.root).activations(SPEC) is None
    put(store)
    assert same(Store(store.root).activations(SPEC).layer(0))  # type: ignore[union-attr]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose digests are taken from now on."""
    from explorer import store

    names: list[str] = []
    monkeypatch.setattr(store, "sha256", lambda path: names.append(path.name) or sha256(path))
    return names


def test_a_file_that_nobody_touched_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    digests = counted(monkeypatch)
    assert Store(store.root).activations(SPEC) is not None
    assert digests == []
    os.utime(store.root / "activations" / SPEC.key() / "layer_02.safetensors")
    again = Store(store.root)
    for _ in range(2):
        assert again.activations(SPEC) is not None
    assert digests == ["layer_02.safetensors"]


def test_a_copied_cache_is_read_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    digests = counted(monkeypatch)
    copy = Store(shutil.copytree(store.root, tmp_path / "copy"))
    assert same(copy.activations(SPEC).layer(0))  # type: ignore[union-attr]
    assert len(digests) == 4


def test_a_manifest_of_before_files_were_noted_holds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    path = store.root / "activations" / SPEC.key() / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["noted"]
    path.write_bytes(sealed(json.dumps(manifest | {"seal": BLANK_SEAL}).encode()))
    digests = counted(monkeypatch)
    assert Store(store.root).activations(SPEC) is not None
    assert len(digests) == 4


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_damaged_results_count_as_absent(store: Store, damage: str) -> None:
    spec = WordsSpec("a", "b")
    store.put_table(spec, TABLE)
    store.put_arrays(spec, {"x": ROWS}, {"what": "x"})
    for ending in ("parquet", "safetensors"):
        spoil(store.root / "results" / f"{spec.key()}.{ending}", damage)
    with pytest.warns(UserWarning, match="left aside"):
        assert (store.table(spec), store.arrays(spec)) == (None, None)


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "changed":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:{"cut": len(content) - 5, "changed": len(content), "emptied": 0}[damage]])


def test_a_killed_writer_leaves_nothing_and_the_next_goes_on(store: Store) -> None:
    process = start(IN_STEPS, str(store.root), "stop")
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(3)]
    assert seen == ["from 0\n", "did 0\n", "did 1\n"]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert store.activations(SPEC) is None
    assert [entry.kind for entry in store.entries()] == ["unfinished"]
    after = start(IN_STEPS, str(store.root))
    out, err = after.communicate(timeout=60)
    assert (after.returncode, out.splitlines()) == (0, ["from 2", "did 2", "did 3"]), err
    found = store.activations(SPEC)
    assert found is not None
    for layer in range(3):
        np.testing.assert_array_equal(found.layer(layer), ROWS[layer])
    assert not list((store.root / "activations").glob("*.partial"))


def test_another_plan_begins_anew(store: Store) -> None:
    process = start(IN_STEPS, str(store.root), "stop")
    assert process.stdout is not None
    while process.stdout.readline() != "did 1\n":
        pass
    process.kill()
    process.communicate()
    with store.writer(SPEC, SHAPE, "another plan") as writer:
        assert writer.done == 0


def test_of_two_processes_one_waits(store: Store) -> None:
    code = """
        import sys
        from pathlib import Path
        from explorer.specs import WordsSpec
        from explorer.store import Store
        import pandas as pd
        store, spec = Store(Path(sys.argv[1])), WordsSpec("a", "b")
        print("up", flush=True)
        for _ in range(15):
            with store.lock(spec.key()):
                found = store.table(spec)
                n = 0 if found is None else int(found.n[0])
                store.put_table(spec, pd.DataFrame({"n": [n + 1]}))
    """
    both = [start(code, str(store.root)) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    found = store.table(WordsSpec("a", "b"))
    assert found is not None
    assert found.n[0] == 30


def test_who_waits_is_told(store: Store) -> None:
    waited = threading.Event()
    with store.lock("key"):
        other = threading.Thread(target=lambda: _take(Store(store.root), "key", waited.set))
        other.start()
        assert waited.wait(30)
    other.join(30)
    assert not other.is_alive()


def _take(store: Store, key: str, while_waiting: object) -> None:
    with store.lock(key, while_waiting):  # type: ignore[arg-type]
        pass


def test_a_full_disk_is_said_and_leaves_what_was_there(store: Store) -> None:
    spec = WordsSpec("a", "b")
    store.put_table(spec, TABLE)
    big = pd.DataFrame({"x": np.random.default_rng(0).random(100_000)})
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write() then fails with EFBIG
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, unlimited[1]))
    try:
        with pytest.raises(InputError, match=r"disk is full.*prune"):
            store.put_table(spec, big)
        with pytest.raises(InputError, match="disk is full"), store.writer(SPEC, (2, 10_000, 8), "plan"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, ignored)
    pd.testing.assert_frame_equal(store.table(spec), TABLE)
    assert not list((store.root / "results").glob("*.tmp"))
    assert store.activations(SPEC) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_may_not_be_written_can_be_read(store: Store) -> None:
    put(store)
    for path in [store.root, *store.root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert Store(store.root).activations(SPEC) is not None


def specs(store: Store, n: int = 4) -> list[ActivationSpec]:
    """Entries used one after another, the first longest ago."""
    found = [ActivationSpec(f"checkpoint {i}", "words") for i in range(n)]
    for i, spec in enumerate(found):
        put(store, spec)
        used(store, spec, i)
    return found


def used(store: Store, spec: ActivationSpec, i: int) -> None:
    when = time.time() - 10_000 + i
    os.utime(store.root / "activations" / spec.key() / "manifest.json", (when, when))


def test_the_least_recently_used_go_first(store: Store) -> None:
    found = specs(store)
    store.activations(found[0])  # used just now
    each = store.entries()[0].size
    removed = store.prune(2 * each)
    assert [entry.key for entry in removed] == [found[1].key(), found[2].key()]
    assert {entry.key for entry in store.entries()} == {found[0].key(), found[3].key()}
    assert store.prune(10**9) == []
    assert len(store.prune(0)) == 2
    assert store.entries() == []


def test_what_is_at_work_is_not_pruned(store: Store) -> None:
    found = specs(store, 2)
    held = Store(store.root)
    with held.lock(found[0].key()):
        assert [entry.key for entry in store.prune(0)] == [found[1].key()]
    assert store.activations(found[0]) is not None
    assert [entry.key for entry in store.prune(0)] == [found[0].key()]


def test_temporary_files_are_pruned_once_they_are_old(store: Store) -> None:
    store.put_table(WordsSpec("a", "b"), TABLE)
    young, old = (store.root / "results" / f"{digit * 20}.parquet.1.tmp" for digit in "12")
    for path in (young, old):
        path.write_bytes(b"x" * 5000)
    os.utime(old, (time.time() - 5000,) * 2)
    assert {entry.key for entry in store.prune(0)} == {WordsSpec("a", "b").key(), "2" * 20}
    assert young.exists()


def test_entries_say_what_they_are(store: Store) -> None:
    put(store)
    store.put_table(WordsSpec("a", "b"), TABLE, {"what": "words: test"})
    store.put_arrays(WordsSpec("a", "b"), {"x": ROWS}, {"what": "arrays"})
    (store.root / "results" / f"{'3' * 20}.parquet").write_bytes(b"no parquet")
    found = {entry.what.partition(":")[0]: entry.kind for entry in store.entries()}
    assert found == {"activations of a test": "activations", "words": "results", "arrays": "results",
                     "damaged": "results"}
