"""`irgan keys`: a key is shown once, listed without its secret, and revoked."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.errors import SettingsInvalid, UnknownKey
from app.store import Database, Keys
from app.store.keys import digest_of


@pytest.fixture
def irgan(tmp_path):
    """Runs a command on a store of its own; gives what it prints, or raises what it fails with."""
    address = f"sqlite:///{tmp_path / 'irgan.db'}"

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["keys", *arguments, "--store", address])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    run.address = address
    return run


def test_a_key_is_shown_once_and_is_the_one_that_counts(irgan):
    key = irgan("create", "shop", "--role", "read", "--role", "events", "--expires", "90d").strip()
    database = Database(irgan.address)
    (record,) = Keys(database).all()
    database.close()
    assert record.digest == digest_of(key.encode())
    assert 89 < (record.expires - record.created).days + 1 <= 90
    told = irgan("list")
    assert "shop  events,read  counts" in told
    assert key not in told and record.digest.hex() not in told


def test_keys_as_json(irgan):
    made = json.loads(irgan("create", "shop", "--role", "admin", "--json"))
    assert made["key"].startswith("irgan_")
    irgan("revoke", "shop")
    (told,) = json.loads(irgan("list", "--json"))["keys"]
    assert (told["name"], told["roles"], told["state"], told["expires"]) == ("shop", ["admin"], "revoked", None)
    assert set(told) == {"number", "name", "roles", "state", "created", "expires", "revoked"}


def test_a_rotation_ends_with_the_newest(irgan):
    irgan("create", "shop", "--role", "read")
    irgan("create", "shop", "--role", "read")
    assert irgan("revoke", "shop", "--keep-newest") == "1 key of shop is revoked\n"
    assert [line.split("  ")[-1].partition(",")[0] for line in irgan("list").splitlines()] == ["revoked", "counts"]


def test_no_keys_are_told_as_what_that_means(irgan):
    assert "there are no keys" in irgan("list")
    with pytest.raises(UnknownKey):
        irgan("revoke", "shop")


@pytest.mark.parametrize("span", ["90", "0d", "-1d", "d", "1y", "99999999d", "1.5h"])
def test_a_span_that_is_none_is_refused(irgan, span):
    with pytest.raises(SettingsInvalid, match="90d, 12h or 30m"):
        irgan("create", "shop", "--role", "read", f"--expires={span}")
