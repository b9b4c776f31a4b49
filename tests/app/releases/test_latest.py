"""A bundle by its name alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.bundle import BundleNotFound, write_bundle
from app.releases import latest_bundle
from tests.conftest import make_draft


def write(folder, version: str, day: int):
    return write_bundle(replace(make_draft(version=version), created=datetime(2026, 1, day, tzinfo=UTC)), folder)


def test_a_name_is_its_version_made_last_and_a_version_is_itself(tmp_path):
    last, first = write(tmp_path, "a", 2), write(tmp_path, "b", 1)
    (tmp_path / "sample" / ".c.0123abcd.tmp").mkdir()
    assert latest_bundle(tmp_path / "sample") == last
    assert latest_bundle(first) == first


def test_two_made_at_the_same_time_are_named(tmp_path):
    write(tmp_path, "a", 1), write(tmp_path, "b", 2), write(tmp_path, "c", 2)
    with pytest.raises(BundleNotFound, match=r"2 versions made at the same time, last of all: b, c; name one"):
        latest_bundle(tmp_path / "sample")


def test_a_version_that_cannot_be_read_could_be_the_latest(tmp_path):
    write(tmp_path, "a", 1)
    (write(tmp_path, "b", 2) / "manifest.json").write_text("{")
    with pytest.raises(BundleNotFound, match=r"is not JSON.*name one of a, b"):
        latest_bundle(tmp_path / "sample")


def test_where_there_is_none_the_message_says_what_there_is(tmp_path):
    bundle = write(tmp_path, "a", 1)
    with pytest.raises(BundleNotFound, match=f"there are {bundle}"):
        latest_bundle(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleNotFound, match="it holds none"):
        latest_bundle(tmp_path / "empty")
