"""The hub without a network: its cache in its own layout, and a server that speaks as it does, or fails to."""
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from explorer.models import resolve
from explorer.store import Store
from explorer.study import finished, run_study
from explorer.study import load as load_study
from explorer.trajectory import runs, trajectory
from tests.tiny import build
from tests.words import write_corpus

ROOT = Path(__file__).resolve().parents[1]
COMMIT, OLDER = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny") / "bert", "bert")


@dataclass
class Answer:
    """What a process of its own made of a name: the hub's client reads its settings when it is imported."""

    error: str
    digest: str
    folder: str
    calls: list[tuple[int, int, str]]


def ask(name: str, cache: Path, **settings: str) -> Answer:
    code = f"""
import json
from explorer.models import resolve
from explorer.specs import InputError
calls, found, error = [], None, ""
try:
    found = resolve({name!r}, lambda *call: calls.append(call))
except InputError as problem:
    error = str(problem)
print(json.dumps([error, found and found.digest, found and str(found.folder), calls]))
"""
    clean = {key: value for key, value in os.environ.items() if not re.match("(?i)HF_|.*_proxy$", key)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                          env=clean | {"HF_HUB_CACHE": str(cache), "HF_TOKEN_PATH": str(cache / "none"), **settings})
    answer = Answer(*json.loads(done.stdout))
    answer.calls = [tuple(call) for call in answer.calls]
    assert "Traceback" not in done.stderr
    return answer


def fill_cache(cache: Path, repo: str, model: Path, skip: tuple[str, ...] = (), commit: str = COMMIT,
               revision: str = "main") -> None:
    """blobs by digest, snapshots of links, refs: as the hub's client lays them out."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "refs" / revision).write_text(commit)
    for path in model.iterdir():
        if path.name not in skip:
            blob = hashlib.sha256(path.read_bytes()).hexdigest()
            (folder / "blobs" / blob).write_bytes(path.read_bytes())
            (folder / "snapshots" / commit / path.name).symlink_to(f"../../blobs/{blob}")


@pytest.mark.parametrize("name", ["org/tiny", "org/tiny@main", f"org/tiny@{COMMIT}"])
def test_offline_the_cache_will_do(bert: Path, tmp_path: Path, name: str) -> None:
    fill_cache(tmp_path, "org/tiny", bert)
    answer = ask(name, tmp_path, HF_HUB_OFFLINE="1")
    assert answer.digest == resolve(str(bert)).digest
    assert answer.folder.endswith(f"models--org--tiny/snapshots/{COMMIT}")


@pytest.mark.parametrize(("name", "skip", "message"), [
    ("org/other", (), "org/other: it is neither a folder nor in the hub's cache .*, and HF_HUB_OFFLINE=1"),
    ("org/tiny@v2", (), "org/tiny@v2: it is neither a folder nor in the hub's cache"),
    ("org/tiny", ("model.safetensors",), "no weights in"),
    ("org/tiny", ("tokenizer.json",), "no tokenizer in"),
])
def test_offline_what_the_cache_lacks_is_named(bert: Path, tmp_path: Path, name: str, skip: tuple[str, ...],
                                               message: str) -> None:
    fill_cache(tmp_path, "org/tiny", bert, skip)
    assert re.search(message, ask(name, tmp_path, HF_HUB_OFFLINE="1").error)


def test_offline_revisions_in_the_cache_are_a_run(tmp_path: Path) -> None:
    """As Pythia's intermediate steps lie there: the study from the shell, each step's weights its own."""
    names = [f"org/tiny@step{step}" for step in (0, 8, 64)]
    models = [build(tmp_path / name, "bert", seed=seed) for seed, name in enumerate(names)]
    for name, model in zip(names, models, strict=True):
        revision = name.partition("@")[2]
        fill_cache(tmp_path / "hub", "org/tiny", model, commit=hashlib.sha1(name.encode()).hexdigest(),
                   revision=revision)
    corpus = [text for split, path in write_corpus(tmp_path).items() for text in (f"--{split}", path)]
    settings = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "EXPLORER_CACHE": str(tmp_path / "ours")}
    subprocess.run([sys.executable, "-m", "explorer", "study", "--base", names[0], "--finetuned", names[1],
                    "--finetuned", names[2], *corpus, "--property", "upos", "--k", "1", "--control", "0"],
                   cwd=ROOT, check=True, env=os.environ | settings)
    store = Store(tmp_path / "ours")
    study = load_study(store, finished(store)[0].key)
    run, = runs(study)
    assert (run.name, [point.step for point in run.points]) == ("org/tiny", [8, 64])
    rows = trajectory(study.table, study.base, run)
    assert list(rows.step.unique()) == [0, 8, 64]
    local = run_study(dataclasses.replace(study.request, base=str(models[0]), finetuned=(str(models[2]),)), store)
    expected = local.layers()[str(models[2])]
    end = rows[(rows.step == 64) & (rows.k == 16)].set_index("layer").accuracy
    assert end.to_list() == pytest.approx((100 * expected).to_list(), abs=1e-3)


@dataclass
class Hub:
    """A server with the parts of the hub's interface that a download needs."""

    files: dict[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)  # method and path of every request
    fails: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False  # answers itself and returns True, or not

    def fetched(self) -> list[str]:
        """Names of the files that were downloaded."""
        return sorted({line.rpartition("/")[2] for line in self.asked if re.match("GET .*/resolve/", line)})

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, content and headers."""
        if match := re.fullmatch(r"/api/models/org/tiny(?:/revision/([\w.]+))?", path):
            commit = {None: COMMIT, "main": COMMIT, "v1": OLDER}.get(match[1])
            if commit is None:
                return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
            return 200, json.dumps({"id": "org/tiny", "sha": commit}).encode(), {}
        if re.fullmatch(rf"/api/models/org/tiny/tree/({COMMIT}|{OLDER})", path):
            tree = [{"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                    for name, content in self.files.items()]
            return 200, json.dumps(tree).encode(), {}
        if match := re.fullmatch(rf"/org/tiny/resolve/({COMMIT}|{OLDER})/(.+)", path):
            content = self.files[match[2]]
            return 200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": match[1]}
        return 404, b"{}", {"X-Error-Code": "RepoNotFound"}


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            if not hub.fails(self):
                self.send(*hub.answer(self.path.partition("?")[0]))

        do_HEAD = do_GET

        def send(self, status: int, content: bytes, headers: dict[str, str], length: int | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(length or len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub(bert: Path) -> Iterator[Hub]:
    hub = Hub({path.name: path.read_bytes() for path in bert.iterdir()} | {"README.md": b"more", "tf_model.h5": b"x"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub)) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def test_a_download_fetches_what_is_needed_once(bert: Path, hub: Hub, tmp_path: Path) -> None:
    answer = ask("org/tiny", tmp_path, HF_ENDPOINT=hub.url)
    assert answer.digest == resolve(str(bert)).digest
    assert hub.fetched() == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    hub.asked.clear()
    assert ask("org/tiny", tmp_path, HF_ENDPOINT=hub.url).digest == answer.digest
    assert hub.fetched() == []
    assert ask("org/tiny", tmp_path, HF_HUB_OFFLINE="1").digest == answer.digest


def test_progress_counts_bytes_to_their_end(hub: Hub, tmp_path: Path) -> None:
    calls = ask("org/tiny", tmp_path, HF_ENDPOINT=hub.url).calls
    assert calls[0] == (0, 1, "looking for org/tiny")
    downloaded = [done for done, _, what in calls if what == "downloading org/tiny"]
    size = sum(len(content) for name, content in hub.files.items() if name not in ("README.md", "tf_model.h5"))
    assert downloaded == sorted(set(downloaded))
    assert downloaded[-1] == size
    assert all(done <= total <= size for done, total, what in calls if what == "downloading org/tiny")


def test_a_revision_is_another_commit(hub: Hub, tmp_path: Path) -> None:
    assert ask("org/tiny@v1", tmp_path, HF_ENDPOINT=hub.url).folder.endswith(OLDER)
    assert ask("org/tiny", tmp_path, HF_ENDPOINT=hub.url).folder.endswith(COMMIT)


def test_weights_as_bin_where_there_is_nothing_else(bert: Path, hub: Hub, tmp_path: Path) -> None:
    torch.save(load_file(bert / "model.safetensors"), tmp_path / "pytorch_model.bin")
    hub.files["pytorch_model.bin"] = (tmp_path / "pytorch_model.bin").read_bytes()
    ask("org/tiny", tmp_path / "one", HF_ENDPOINT=hub.url)
    assert "pytorch_model.bin" not in hub.fetched()
    del hub.files["model.safetensors"]
    answer = ask("org/tiny", tmp_path / "two", HF_ENDPOINT=hub.url)
    assert "pytorch_model.bin" in hub.fetched()
    assert (Path(answer.folder) / "pytorch_model.bin").is_file()
    assert ask("org/tiny", tmp_path / "two", HF_HUB_OFFLINE="1").digest == answer.digest


def refuses(status: int, code: str = "") -> Callable[[BaseHTTPRequestHandler], bool]:
    def fail(handler: BaseHTTPRequestHandler) -> bool:
        handler.send(status, b"{}", {"X-Error-Code": code} if code else {})
        return True

    return fail


@pytest.mark.parametrize(("name", "fails", "message"), [
    ("org/other", None, "org/other: there is no such folder, starter model or public model on http"),
    ("other", None, "other: there is no such folder, starter model or public model on http"),
    ("org/tiny@v9", None, "org/tiny@v9: .* has the model, but no such revision"),
    ("org/tiny", refuses(401, "RepoNotFound"), "if it is private, log in by 'hf auth login'"),
    ("org/tiny", refuses(403, "GatedRepo"), "access is restricted; ask for it at http.*/org/tiny, then log in"),
    ("org/tiny", refuses(500), r"cannot be reached \(.*500.*takes a folder, or a network"),
])
def test_refusals(hub: Hub, tmp_path: Path, name: str, fails: Callable | None, message: str) -> None:
    hub.fails = fails or hub.fails
    assert re.search(message, ask(name, tmp_path, HF_ENDPOINT=hub.url).error)


def test_without_a_network_the_cache_will_do(bert: Path, tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert re.search(f"neither a folder nor in the hub's cache .*, and {nowhere} cannot be reached",
                         ask("org/tiny", tmp_path, HF_ENDPOINT=nowhere).error)
        fill_cache(tmp_path, "org/tiny", bert)
        assert ask("org/tiny", tmp_path, HF_ENDPOINT=nowhere).digest == resolve(str(bert)).digest


def test_a_download_that_is_cut_off_says_so_and_goes_on_later(bert: Path, hub: Hub, tmp_path: Path) -> None:
    content = hub.files["model.safetensors"]
    tried: list[str] = []

    def cut_off(handler: BaseHTTPRequestHandler) -> bool:
        if handler.command != "GET" or not handler.path.endswith("model.safetensors"):
            return False
        if tried:
            handler.send(500, b"", {})
        else:
            handler.send(200, content[:5000], {"ETag": f'"{digest(content)}"'}, length=len(content))
            handler.close_connection = True
        tried.append(handler.path)
        return True

    hub.fails = cut_off
    answer = ask("org/tiny", tmp_path, HF_ENDPOINT=hub.url)
    assert re.search(r"org/tiny: the download from http.* failed \(.*500.*try again", answer.error)
    assert len(tried) == 2
    hub.fails = Hub.fails
    assert ask("org/tiny", tmp_path, HF_ENDPOINT=hub.url).digest == resolve(str(bert)).digest
