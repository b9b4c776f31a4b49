"""Events come out of the store as files."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.errors import SettingsInvalid
from app.store import Database, Event, StoreUnusable, insert_events

TIME = datetime(2026, 11, 25, 10, 15, 0, 123456, tzinfo=UTC)


@pytest.fixture
def irgan(store_url, tmp_path, monkeypatch):
    """What a command prints, with 25 events in the store."""
    monkeypatch.setenv("IRGAN_STORE", store_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["app.commands.events"], "_AT_ONCE", 10)  # the package has the group by that name
    database = Database(store_url)
    with database.begin() as connection:
        insert_events(
            connection,
            [
                Event(
                    id=f"e{n}",
                    type="rating" if n % 2 else "click",
                    time=TIME + timedelta(seconds=n),
                    user=f"u{n % 5}",
                    item='"i,\n1"' if n == 3 else f"i{n}",
                    value=n / 4 if n % 2 else None,
                    properties='{"b": [1, null]}' if n == 4 else None,
                )
                for n in range(25)
            ],
        )
    database.close()

    def irgan(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["events", "export", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return irgan


def test_csv_has_a_line_for_each(irgan, tmp_path):
    assert irgan("--output", "out.csv") == "25 events are in out.csv; later ones: --since 25\n"
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["id"] for line in lines] == [f"e{n}" for n in range(25)]
    assert (lines[3]["item"], lines[3]["value"], lines[4]["value"]) == ('"i,\n1"', "0.75", "")
    assert lines[0]["time"] == "2026-11-25T10:15:00.123456+00:00"


def test_jsonl_has_an_object_for_each(irgan, tmp_path):
    irgan("--output", "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 25
    assert lines[4] == {
        "number": 5,
        "id": "e4",
        "type": "click",
        "time": "2026-11-25T10:15:04.123456+00:00",
        "user": "u4",
        "session": None,
        "item": "i4",
        "request_id": None,
        "value": None,
        "position": None,
        "properties": {"b": [1, None]},
    }


def test_parquet_has_a_row_for_each_with_types(irgan, tmp_path):
    irgan("--output", "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 25
    row = table.slice(3, 1).to_pylist()[0]
    assert (row["number"], row["time"], row["value"], row["session"]) == (4, TIME + timedelta(seconds=3), 0.75, None)


def test_a_part_by_number_and_type(irgan, tmp_path):
    told = json.loads(irgan("--output", "out.jsonl", "--since", "10", "--type", "rating", "--type", "nothing", "--json"))
    assert told == {"output": "out.jsonl", "events": 7, "last": 25}
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"e{n}" for n in range(11, 25, 2)]
    assert irgan("--output", "out.csv", "--since", "25") == "0 events are in out.csv; later ones: --since 25\n"
    assert (tmp_path / "out.csv").read_text().startswith("number,id,")


def test_the_folder_of_the_file_is_made(irgan, tmp_path):
    irgan("--output", "new/folder/out.csv")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["out.csv"]


def test_what_cannot_be_leaves_the_file_that_is_there(irgan, tmp_path, monkeypatch):
    with pytest.raises(SettingsInvalid, match=r"out.xlsx: .* expected one of .csv, .jsonl, .parquet"):
        irgan("--output", "out.xlsx")
    (tmp_path / "out.csv").write_text("before")
    monkeypatch.setenv("IRGAN_STORE", f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(StoreUnusable, match="there is no store"):
        irgan("--output", "out.csv")
    (tmp_path / "broken.db").write_text("x" * 5000)
    monkeypatch.setenv("IRGAN_STORE", f"sqlite:///{tmp_path / 'broken.db'}")
    with pytest.raises(StoreUnusable, match="cannot be used"):
        irgan("--output", "out.csv")
    assert (tmp_path / "out.csv").read_text() == "before"
    assert list(tmp_path.glob(".*")) == []
