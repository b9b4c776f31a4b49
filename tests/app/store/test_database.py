"""Stores of both kinds: made, brought up to date, shared."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, select, text

from app.errors import SettingsInvalid
from app.store import Database, ItemChanges, StoreUnusable
from app.store.migrations import HEAD
from app.store.tables import EVENTS, METADATA


def test_the_steps_lead_to_the_tables_that_the_code_knows(store_url):
    database = Database(store_url)
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, METADATA) == []
    assert ScriptDirectory("app/store/migrations").get_current_head() == HEAD
    database.close()


def test_a_store_from_before_there_were_steps_keeps_its_items(tmp_path):
    """Such a one has the table of changed items and nothing that says how far it is."""
    url = f"sqlite:///{tmp_path / 'irgan.db'}"
    engine = create_engine(url)
    METADATA.tables["item_changes"].create(engine)
    engine.dispose()
    first = Database(url)
    ItemChanges(first).write("champion", {"a": {"id": "a"}})
    assert [change.item for change in ItemChanges(first).since("champion", 0)] == ["a"]
    with first.read() as connection:
        assert connection.execute(select(EVENTS)).all() == []
    first.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(store_url):
    database = Database(store_url)
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    newer = Database(store_url)
    with pytest.raises(StoreUnusable, match="of a newer irgan"), newer.read():
        pass
    newer.close()


def test_whoever_reads_sees_one_state_whoever_writes_meanwhile(store_url):
    """Units, answers and events of a report are read one after the other, and have to fit together."""
    database = Database(store_url)
    changes = ItemChanges(database)
    changes.write("champion", {"a": None})
    count = text("SELECT count(*) FROM item_changes")
    with database.read() as connection:
        assert connection.execute(count).scalar() == 1
        changes.write("champion", {"b": None})
        assert connection.execute(count).scalar() == 1
    with database.read() as connection:
        assert connection.execute(count).scalar() == 2
    database.close()


def test_several_that_open_an_empty_store_at_once_all_get_it(store_url):
    databases = [Database(store_url) for _ in range(4)]
    errors = []

    def use(database: Database) -> None:
        try:
            ItemChanges(database).write("champion", {"a": None})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(ItemChanges(databases[0]).since("champion", 0)) == 1
    for database in databases:
        database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/irgan", "sqlite://", "postgresql+nothing://host/irgan"])
def test_an_address_that_cannot_be_used_is_one_message_without_the_password(url):
    with pytest.raises(SettingsInvalid, match="IRGAN_STORE"):
        Database(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host:port/irgan",
        "postgresql://me:a@s3cret@127.0.0.1:1/irgan",
        "postgresql://me:s3cret/x@127.0.0.1:1/irgan",
        "postgresql://me:s3cret\n@127.0.0.1:1/irgan",
        "postgresql+psycopg2://me:s3cret@127.0.0.1/irgan",
        "postgresql://me@127.0.0.1:1/irgan?password=s3cret&connect_timeout=1",
        "postgresql://me:s3cret@127.0.0.1:1/irgan?nonsense=1",
        "mysql://me:s3cret@host/irgan",
        "me:s3cret@host",
    ],
)
def test_no_message_tells_a_password(url):
    """Also where the address cannot be parsed, and in what the driver says."""
    with pytest.raises((SettingsInvalid, StoreUnusable)) as caught, Database(url).read():
        pass
    assert "s3cret" not in str(caught.value)
    assert "IRGAN_STORE" in str(caught.value)


def test_a_server_that_is_not_there_is_said_without_the_password():
    database = Database("postgresql://user:secret@127.0.0.1:1/irgan")
    with pytest.raises(StoreUnusable) as caught, database.read():
        pass
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    database.close()
