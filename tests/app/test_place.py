"""What a person gives for releases is a folder of this machine, unless it is an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.place import place_of
from app.releases import ReleasesUnusable, open_releases
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
        ("S3://Bucket/Prefix", "s3://Bucket/Prefix"),
        (Path("s"), Path("s")),
    ],
)
def test_paths_stay_paths_and_addresses_text(given, place):
    found = place_of(given)
    assert found == place and isinstance(found, str) == isinstance(place, str)


@pytest.mark.parametrize("given", ["s3:/bucket/prefix", "S3:bucket", "gs:/bucket"])
def test_an_address_that_lacks_a_slash_makes_no_folder(given, tmp_path, monkeypatch):
    pytest.importorskip("s3fs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReleasesUnusable, match=r"names no bucket; expected (s3|gs)://BUCKET/PREFIX"):
        open_releases(place_of(given))
    assert not any(tmp_path.iterdir())


def test_settings_understand_both(monkeypatch):
    monkeypatch.setenv("IRGAN_RELEASES", "s3://bucket/prefix")
    assert read_settings().releases == "s3://bucket/prefix"
    assert read_settings(releases="mine").releases == Path("mine")
    monkeypatch.delenv("IRGAN_RELEASES")
    assert read_settings().releases == Path("releases")
