"""Keys in both kinds of store: made, counted, revoked; what is kept cannot be turned back into them."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.errors import SettingsInvalid, UnknownKey
from app.store import Database, Keys
from app.store.tables import API_KEYS


def test_a_key_has_256_random_bits_and_only_its_hash_is_kept(database):
    keys = Keys(database)
    made = [keys.create("shop", ["read"]) for _ in range(3)]
    assert all(re.fullmatch(r"irgan_[A-Za-z0-9_-]{43}", key) for key in made)  # 43 characters of 6 bits: 256 and two more
    assert len(set(made)) == 3
    assert [record.digest for record in keys.all()] == [hashlib.sha256(key.encode()).digest() for key in made]
    with database.read() as connection:
        kept = repr(connection.execute(select(API_KEYS)).all())
    assert not any(key in kept or key.removeprefix("irgan_") in kept for key in made)


def test_a_key_remembers_whose_it_is_what_it_may_and_until_when(database):
    until = datetime.now(UTC) + timedelta(days=90)
    Keys(database).create("shop", ["events", "read", "read"], expires=until)
    (record,) = Keys(database).all()
    assert (record.name, record.roles, record.expires, record.revoked) == ("shop", {"read", "events"}, until, None)
    assert record.may("read") and record.may("events") and not record.may("admin")


def test_an_administrator_may_everything(database):
    Keys(database).create("root", ["admin"])
    assert all(Keys(database).all()[0].may(role) for role in ("read", "events", "admin"))


def test_keys_of_a_name_overlap_until_the_older_ones_are_revoked(database):
    keys = Keys(database)
    for name in ("shop", "shop", "other", "shop"):
        keys.create(name, ["read"])
    assert keys.revoke("shop", keep_newest=True) == 2
    assert [record.revoked is None for record in keys.all()] == [False, False, True, True]
    assert keys.revoke("shop") == 1
    assert [record.name for record in keys.all() if record.revoked is None] == ["other"]
    with pytest.raises(UnknownKey, match="irgan keys list"):
        keys.revoke("shop")


@pytest.mark.parametrize("name", ["", "Shop", "a b", "a\nb", "-a", "a" * 101, "ä", "a\n"])
def test_a_name_that_could_break_a_line_or_a_log_is_refused(database, name):
    with pytest.raises(SettingsInvalid, match="cannot be called"):
        Keys(database).create(name, ["read"])


@pytest.mark.parametrize("roles", [[], ["root"], ["read", "root"]])
def test_roles_that_do_not_exist_are_refused(database, roles):
    with pytest.raises(SettingsInvalid, match="read, events, admin"):
        Keys(database).create("shop", roles)


def test_a_key_that_has_expired_already_is_not_made(database):
    with pytest.raises(SettingsInvalid, match="of no use"):
        Keys(database).create("shop", ["read"], expires=datetime.now(UTC))
    assert Keys(database).all() == []


def test_a_store_that_is_not_there_has_no_keys_and_is_not_made_by_looking(tmp_path):
    file = tmp_path / "irgan.db"
    database = Database(f"sqlite:///{file}")
    assert Keys(database).all() == []
    assert not file.exists()
    database.close()
