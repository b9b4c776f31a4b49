"""`irgan serve` before it answers: whom it would answer."""

from __future__ import annotations

import http.client
import re
import time

import pytest

from app.errors import SettingsInvalid
from app.serve import _exposure
from app.settings import Settings, is_loopback, read_settings
from app.store import Database, Keys
from tests.app.process import irgan, serving


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "irgan.example"])
def test_other_machines_are_not_answered_without_keys(tmp_path, host):
    settings = Settings(store=f"sqlite:///{tmp_path / 'irgan.db'}", host=host)
    with pytest.raises(
        SettingsInvalid, match=r"irgan keys create NAME.*--host 127\.0\.0\.1.*--insecure \(IRGAN_INSECURE=true\)"
    ):
        _exposure(settings)
    assert not (tmp_path / "irgan.db").exists()
    assert host in _exposure(settings.model_copy(update={"insecure": True}))
    database = Database(settings.store)
    Keys(database).create("shop", ["read"])
    Keys(database).revoke("shop")
    database.close()
    assert _exposure(settings) == ""  # everybody is asked for a key, also where none counts any more


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_this_machine_is_answered_without_keys_and_told_so(tmp_path, host):
    assert is_loopback(host)
    assert "nobody else" in _exposure(Settings(store=f"sqlite:///{tmp_path / 'irgan.db'}", host=host))


def test_a_store_that_is_away_does_not_keep_the_service_from_starting(tmp_path):
    """It answers nobody then: see tests/app/api/test_access.py."""
    (tmp_path / "irgan.db").write_text("no database" * 500)
    assert _exposure(Settings(store=f"sqlite:///{tmp_path / 'irgan.db'}", host="0.0.0.0")) == ""


def test_the_command_says_it_in_one_line_and_ends_with_2(tmp_path):
    ended = irgan(
        "serve", "--host", "0.0.0.0", "--port", "0", "--releases", tmp_path, IRGAN_STORE=f"sqlite:///{tmp_path}/irgan.db"
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"irgan: at 0\.0\.0\.0 other machines could ask, .*\n", ended.stderr)


@pytest.mark.parametrize(
    "origins", ["shop.example", "https://shop.example/", "https://a.example, https://b.example", "ftp://x", "null"]
)
def test_origins_that_are_none_are_refused(origins):
    with pytest.raises(SettingsInvalid, match="IRGAN_CORS_ORIGINS"):
        read_settings(cors_origins=origins)


def test_a_running_service_follows_its_keys_within_seconds(tmp_path):
    """Through processes: open, then asking, then refusing the key that was revoked."""
    store = f"sqlite:///{tmp_path / 'irgan.db'}"
    with serving(tmp_path / "releases", IRGAN_STORE=store) as (_, port):

        def status(key: str | None = None) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/v1/releases", headers={"Authorization": f"Bearer {key}"} if key else {})
            found = connection.getresponse().status
            connection.close()
            return found

        def becomes(wanted: int, key: str | None = None) -> None:
            deadline = time.monotonic() + 20
            while status(key) != wanted:
                assert time.monotonic() < deadline
                time.sleep(0.05)

        assert status() == 200
        key = irgan("keys", "create", "shop", "--role", "read", IRGAN_STORE=store).stdout.strip()
        becomes(401)
        becomes(200, key)
        irgan("keys", "revoke", "shop", IRGAN_STORE=store)
        becomes(401, key)
        assert status() == 401
