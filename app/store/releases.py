"""Which releases have answered, for reports that outlive their bundles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.database import Database
from app.store.tables import RELEASES


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """A release that has answered.

    Attributes:
        name: NAME/VERSION.
        ranker: what kind of ranker it is.
        created: when its bundle was made.
        first_live: when it first answered.
        metrics: of its manifest, JSON values.
    """

    name: str
    ranker: str
    created: datetime
    first_live: datetime
    metrics: Mapping[str, Any]


def insert_release(connection: Connection, name: str, ranker: str, created: datetime, metrics: Mapping[str, Any]) -> None:
    """Note that a release answers, unless that is known."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {
        "name": name,
        "ranker": ranker,
        "created": created,
        "first_live": datetime.now(UTC),
        "metrics": orjson.dumps(metrics).decode(),
    }
    connection.execute(dialect.insert(RELEASES).on_conflict_do_nothing(), [row])


def release_records(database: Database) -> list[ReleaseRecord]:
    """All that have answered, by when they first did.

    Raises:
        StoreUnusable: they cannot be read.
    """
    if not database.is_there:
        return []
    with database.read() as connection:
        found = connection.execute(select(RELEASES).order_by(RELEASES.c.first_live, RELEASES.c.name)).all()
    return [ReleaseRecord(**{**row._mapping, "metrics": orjson.loads(row.metrics)}) for row in found]
