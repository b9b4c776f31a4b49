"""What the service was told of items is kept, whatever happens to the process."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from sqlalchemy import create_engine, text

from app.errors import SettingsInvalid
from app.store import Database, ItemChanges, StoreUnusable


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'kept' / 'irgan.db'}"


def opened(url: str) -> ItemChanges:
    """As another process would see it."""
    return ItemChanges(Database(url))


def told(changes: ItemChanges, slot: str = "champion", number: int = 0) -> dict:
    return {change.item: change.content for change in changes.since(slot, number)}


def test_nothing_is_made_until_there_is_something_to_remember(url, tmp_path):
    changes = opened(url)
    assert changes.since("champion", 0) == []
    changes.write("champion", {})
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_there_for_everybody_in_its_order(url):
    """Another `Database` on the same file, and only its own slot."""
    changes = opened(url)
    changes.write("champion", {"b": {"title": "ß🎉", "metadata": {"year": 1999, "genres": ["x"]}}, "a": None})
    changes.write("other", {"c": {}})
    again = opened(url)
    assert [change.item for change in again.since("champion", 0)] == ["b", "a"]
    assert told(again) == {"b": {"title": "ß🎉", "metadata": {"year": 1999, "genres": ["x"]}}, "a": None}
    assert told(again, "other") == {"c": {}}


def test_of_an_item_the_last_word_counts(url):
    changes = opened(url)
    for content in ({"text": "one"}, None, {"text": "three"}):
        changes.write("champion", {"a": content, "b": {}})
    assert told(changes) == {"a": {"text": "three"}, "b": {}}
    with create_engine(url).connect() as connection:
        assert connection.execute(text("select count(*) from item_changes")).scalar() == 2  # what was overtaken is not kept


def test_since_gives_the_news_alone(url):
    """Numbers grow also when the latest change is overtaken."""
    writer, reader = opened(url), opened(url)
    assert reader.since("champion", 0) == []
    writer.write("champion", {"a": {}})
    (first,) = reader.since("champion", 0)
    assert reader.since("champion", first.number) == []
    writer.write("champion", {"a": None})
    (second,) = reader.since("champion", first.number)
    assert (second.item, second.content) == ("a", None) and second.number > first.number


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "cannot be used.*expected such as sqlite:///irgan.db"),
        ("oracle9://x", "cannot be used"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_an_address_that_cannot_be_is_refused_at_once(url, message):
    with pytest.raises(SettingsInvalid, match=message):
        Database(url)


def test_a_store_that_cannot_be_written_says_so_in_one_sentence(tmp_path):
    """A file where a folder should be, a folder where the file should be, and a file that is no database."""
    (tmp_path / "file").write_text("x" * 5000)
    (tmp_path / "folder.db").mkdir()
    for path in (tmp_path / "file" / "irgan.db", tmp_path / "folder.db", tmp_path / "file"):
        changes = opened(f"sqlite:///{path}")
        with pytest.raises(StoreUnusable, match=r"the store sqlite:.* cannot be used: .*; see IRGAN_STORE") as refused:
            changes.write("champion", {"a": {}})
        assert "\n" not in str(refused.value) and "sqlalche.me" not in str(refused.value)


def test_a_change_is_written_whole_or_not_at_all(url, monkeypatch):
    changes = opened(url)
    changes.write("champion", {"a": {"text": "old"}})
    with pytest.raises(TypeError):
        changes.write("champion", {"a": {"text": "new"}, "b": {"text": object()}})
    assert told(opened(url)) == {"a": {"text": "old"}}


def test_threads_and_stores_that_write_at_once_lose_nothing(url):
    """Four threads through two stores, each its own items and one that all fight for."""
    stores = [opened(url), opened(url)]
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            for count in range(15):
                stores[number % 2].write("champion", {f"{number}-{count}": {"n": count}, "shared": {"by": number}})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept = told(opened(url))
    assert len(kept) == 4 * 15 + 1 and kept["3-14"] == {"n": 14}


def test_stores_that_are_made_at_once_are_one(tmp_path):
    """The first words of two processes, both of which find no file."""
    for attempt in range(20):
        stores = [opened(f"sqlite:///{tmp_path / str(attempt)}.db") for _ in range(3)]
        gate, failures = threading.Barrier(3), []

        def write(number: int, stores=stores, gate=gate, failures=failures) -> None:
            gate.wait()
            try:
                stores[number].write("champion", {f"{number}": {}})
            except StoreUnusable as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert told(stores[0]).keys() == {"0", "1", "2"}


_WRITER = """
import sys
from app.store import Database, ItemChanges
changes = ItemChanges(Database(sys.argv[1]))
for count in range(10_000):
    changes.write("champion", {f"{sys.argv[2]}-{count}": {"n": count}})
    print(count, flush=True)
"""


def test_two_processes_that_are_killed_keep_what_they_acknowledged(url):
    """Each item of which a number was printed is there; both wrote to one file at once."""
    processes = [
        subprocess.Popen([sys.executable, "-c", _WRITER, url, name], stdout=subprocess.PIPE, text=True) for name in ("x", "y")
    ]
    acknowledged = {}
    for name, process in zip("xy", processes, strict=True):
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                break
        process.kill()
        rest = process.stdout.read()
        acknowledged[name] = max([20, *(int(one) for one in rest.split("\n")[:-1])])
        process.wait(30)
        process.stdout.close()
    kept = told(opened(url))
    for name, last in acknowledged.items():
        assert {f"{name}-{count}" for count in range(last + 1)} <= kept.keys()
    opened(url).write("champion", {"after": {}})
    assert "after" in told(opened(url))
