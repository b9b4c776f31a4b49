"""Every table of the store, as it is now; `app/store/migrations` tells how it came about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

METADATA = MetaData()
"""All of them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself in columns of this one type
ID_LENGTH = 512
"""Characters of an id of a user, a session or an item at most."""
_ID = String(ID_LENGTH)
_NAME = String(100)


class Moment(TypeDecorator[datetime]):
    """A time as microseconds since 1970, UTC: the same in every database, exact, and quick to read by the million."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it is written."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - likewise
        """As it is read."""
        return None if value is None else moment(value)


def microseconds(time: datetime) -> int:
    """Since 1970, UTC."""
    return (time - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time so long after 1970, UTC."""
    return _EPOCH + microseconds * _MICROSECOND


ITEM_CHANGES = Table(
    "item_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("slot", _NAME, nullable=False),
    Column("item", _ID, nullable=False),
    Column("content", LargeBinary, nullable=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Index("item_changes_by_item", "slot", "item"),
    # Numbers only ever grow, also when the last row is deleted: readers ask for what is newer than what they know.
    sqlite_autoincrement=True,
)

RELEASES = Table(
    "releases",
    METADATA,
    Column("name", String(201), primary_key=True),  # NAME/VERSION
    Column("ranker", _NAME, nullable=False),
    Column("created", Moment, nullable=False),
    Column("first_live", Moment, nullable=False),
    Column("metrics", Text, nullable=False),  # JSON, of the manifest
)

EXPERIMENTS = Table(
    "experiments",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("definition", Text, nullable=False),  # JSON
    Column("state", String(20), nullable=False),
    Column("created", Moment, nullable=False),
    Column("started", Moment, nullable=True),
    Column("ended", Moment, nullable=True),
    Column("outcome", Text, nullable=True),  # JSON, once concluded
    Column("revision", Integer, nullable=False),
)

EXPERIMENT_CHANGES = Table(
    "experiment_changes",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("experiment", _NAME, nullable=False),
    Column("time", Moment, nullable=False),
    Column("action", String(20), nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    sqlite_autoincrement=True,
)

ALLOCATIONS = Table(
    "allocations",
    METADATA,
    Column("experiment", _NAME, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("time", Moment, nullable=False),
    Column("content", Text, nullable=False),  # JSON: which positions of the hash belong to which variant
)

ASSIGNMENTS = Table(
    "assignments",
    METADATA,
    Column("experiment", _NAME, primary_key=True),
    Column("unit", _ID, primary_key=True),
    Column("variant", _NAME, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("time", Moment, nullable=False),
    sqlite_with_rowid=False,
)

IMPRESSIONS = Table(
    "impressions",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("request_id", String(64), nullable=False, unique=True),
    Column("time", Moment, nullable=False),
    Column("surface", String(20), nullable=False),
    Column("user", _ID, nullable=True),
    Column("session", _ID, nullable=True),
    Column("experiment", _NAME, nullable=True),
    Column("unit", _ID, nullable=True),
    Column("variant", _NAME, nullable=True),
    Column("propensity", Float, nullable=True),
    Column("is_override", Boolean, nullable=False),
    Column("release", String(201), nullable=False),
    Column("fallback", String(20), nullable=True),
    Column("milliseconds", Float, nullable=False),
    Column("items", Text, nullable=False),  # JSON list of ids, best first
    Column("teams", Text, nullable=True),  # JSON, of interleaved answers: who is credited for each
    Index("impressions_by_experiment", "experiment", "time"),
    sqlite_autoincrement=True,
)

EVENTS = Table(
    "events",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("type", String(50), nullable=False),
    Column("time", Moment, nullable=False),
    Column("received", Moment, nullable=False),
    Column("user", _ID, nullable=True),
    Column("session", _ID, nullable=True),
    Column("item", _ID, nullable=True),
    Column("request_id", String(64), nullable=True),
    Column("value", Float, nullable=True),
    Column("position", Integer, nullable=True),
    Column("properties", Text, nullable=True),  # JSON
    Index("events_by_time", "time"),
    sqlite_autoincrement=True,
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("name", _NAME, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256
    Column("roles", _NAME, nullable=False),  # with commas between
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=True),
    Column("revoked", Moment, nullable=True),
    sqlite_autoincrement=True,
)
