"""Downloads, from a server of the test's own: verified, resumed file by file, and clear when they fail."""
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.downloads import DOWNLOADS, Download, RemoteFile, fetch
from explorer.specs import InputError

CONTENT = {"one.txt": b"one " * 100_000, "two.txt": b"two"}


class Stop(Exception):
    pass


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.content = dict(CONTENT)

    def download(self, **digests: str) -> Download:
        address = f"http://127.0.0.1:{self.server_port}"
        return Download("words", "Words", "CC0", tuple(
            RemoteFile(f"{address}/{name}", digests.get(name[:3], hashlib.sha256(content).hexdigest()), len(content))
            for name, content in CONTENT.items()
        ))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        if name not in self.server.content:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT[name])))
        self.end_headers()
        self.wfile.write(self.server.content[name])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_files_come_whole_with_progress_and_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    wanted = server.download()
    assert not wanted.present(tmp_path)
    folder = fetch(wanted, tmp_path, lambda *told: seen.append(told))
    assert contents(folder) == CONTENT
    assert wanted.present(tmp_path)
    done = [told[0] for told in seen]
    assert done == sorted(done)
    assert seen[-1][:2] == (wanted.size, wanted.size)
    assert len(seen) > 6
    fetch(wanted, tmp_path)
    assert server.asked == list(CONTENT)


def test_an_altered_file_is_fetched_again(server: Server, tmp_path: Path) -> None:
    folder = fetch(server.download(), tmp_path)
    (folder / "two.txt").write_bytes(b"owt")
    fetch(server.download(), tmp_path)
    assert contents(folder) == CONTENT


def test_another_digest_is_refused(server: Server, tmp_path: Path) -> None:
    wanted = server.download(two="0" * 64)
    with pytest.raises(InputError, match=r"two\.txt.*SHA-256"):
        fetch(wanted, tmp_path)
    assert set(contents(wanted.folder(tmp_path))) == {"one.txt"}


@pytest.mark.parametrize(("name", "content"), [("one.txt", None), ("one.txt", CONTENT["one.txt"][:1000])])
def test_what_the_server_lacks_or_cuts_off(server: Server, tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is None:
        del server.content[name]
    else:
        server.content[name] = content
    wanted = server.download()
    with pytest.raises(InputError, match="404" if content is None else "cannot be reached"):
        fetch(wanted, tmp_path)
    assert contents(wanted.folder(tmp_path)) == {}


def test_no_network(tmp_path: Path) -> None:
    nobody = Download("words", "Words", "CC0", (RemoteFile("http://127.0.0.1:9/a.txt", "0" * 64, 1),))
    with pytest.raises(InputError, match="is there a network"):
        fetch(nobody, tmp_path)


def test_a_cancelled_download_leaves_nothing_half(server: Server, tmp_path: Path) -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise Stop

    wanted = server.download()
    with pytest.raises(Stop):
        fetch(wanted, tmp_path, stop)
    assert contents(wanted.folder(tmp_path)) == {}


def test_what_is_offered_is_fixed_and_told() -> None:
    for download in DOWNLOADS.values():
        assert download.licence
        assert all(file.url.startswith("https://") and len(file.sha256) == 64 for file in download.files)


def test_the_digests_are_those_of_the_real_files(shared: Path) -> None:
    import lzma

    for file in DOWNLOADS["ud_ewt"].files:
        content = lzma.decompress((shared / "data" / "ud_ewt" / f"{file.name}.xz").read_bytes())
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (file.sha256, file.size)
