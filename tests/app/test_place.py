"""What a person gives for releases is a folder of this machine, unless it is an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.place import place_of
from app.settings import read_settings


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("releases", Path("releases")),
        ("/srv/releases/", Path("/srv/releases")),
        ("~/releases", Path("~/releases")),
        ("", Path()),
        ("c:/releases", Path("c:/releases")),
        ("file:///srv/my%20releases", Path("/srv/my releases")),
        ("file://localhost/srv", Path("/srv")),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("gs://bucket", "gs://bucket"),
        (Path("s"), Path("s")),
    ],
)
def test_paths_stay_paths_and_addresses_text(given, place):
    found = place_of(given)
    assert found == place and isinstance(found, str) == isinstance(place, str)


def test_settings_understand_both(monkeypatch):
    monkeypatch.setenv("IRGAN_RELEASES", "s3://bucket/prefix")
    assert read_settings().releases == "s3://bucket/prefix"
    assert read_settings(releases="mine").releases == Path("mine")
    monkeypatch.delenv("IRGAN_RELEASES")
    assert read_settings().releases == Path("releases")
