"""A retraining whose releases are in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.bundle import write_bundle
from app.releases import open_releases
from app.releases.remote import RemoteReleases
from tests.conftest import make_draft
from tests.object_store import ObjectStore
from tests.training.jobs.retraining import write_job
from training.jobs.retrain import Places, plan_of, read_retrain_config, retrain


@pytest.mark.parametrize("named_by", ["environment", "configuration"])
def test_it_compares_with_what_is_live_there_and_publishes_there(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IRGAN_RELEASES_CACHE", str(tmp_path / "cache"))
    write_job(tmp_path)
    file = tmp_path / "config.toml"
    line = 'releases = "releases"\n'
    text = file.read_text()
    assert line in text
    file.write_text(text.replace(line, "" if named_by == "environment" else f'releases = "{s3.url}"\n'))
    config = read_retrain_config(file)
    places = Places.of(config, {"IRGAN_RELEASES": s3.url} if named_by == "environment" else {})
    releases = open_releases(places.releases)
    assert isinstance(releases, RemoteReleases)
    champion = releases.publish(write_bundle(make_draft(), tmp_path / "drafts"), "champion")
    assert plan_of(config, places)["judge"]["live"] == champion
    if named_by == "environment":  # the rest is the same
        record = retrain(config, places).record
        assert record["judged"]["live"]["release"] == champion
        assert releases.slots() == {"champion": champion, "challenger": record["release"]["release"]}
        assert record["release"]["folder"] == s3.url
