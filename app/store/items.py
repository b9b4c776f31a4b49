"""Items that were added, updated or deleted since bundles were made: by slot, the last word on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Column, DateTime, Index, Integer, LargeBinary, String, Table, and_, delete, insert, select

from app.store.database import METADATA, Database

_CHANGES = Table(
    "item_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("slot", String(100), nullable=False),
    Column("item", String(512), nullable=False),
    Column("content", LargeBinary, nullable=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Index("item_changes_by_item", "slot", "item"),
    # Numbers only ever grow, also when the last row is deleted: readers ask for what is newer than what they know.
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class ItemChange:
    """The last word on an item.

    Attributes:
        number: grows with every change.
        item: its id.
        content: the item as it is now, JSON values; None where it was deleted.
    """

    number: int
    item: str
    content: Mapping[str, Any] | None


class ItemChanges:
    """The changes of every slot.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, slot: str, changes: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Write changes down, all or none; when this returns they survive whatever happens.

        Args:
            slot: that the items are searched in.
            changes: by id, the item as it is now, or None for a deleted one.

        Raises:
            StoreUnusable: they cannot be written; nothing has changed.
        """
        now = datetime.now(UTC)
        rows = [
            {"slot": slot, "item": item, "content": None if content is None else orjson.dumps(content), "time": now}
            for item, content in changes.items()
        ]
        if not rows:
            return
        with self._database.begin() as connection:
            own = and_(_CHANGES.c.slot == slot, _CHANGES.c.item.in_(list(changes)))
            connection.execute(delete(_CHANGES).where(own))
            connection.execute(insert(_CHANGES), rows)

    def since(self, slot: str, number: int) -> list[ItemChange]:
        """The changes of a slot with a greater number, in their order.

        Raises:
            StoreUnusable: they cannot be read.
        """
        if not self._database.is_there:
            return []
        wanted = (
            select(_CHANGES.c.id, _CHANGES.c.item, _CHANGES.c.content)
            .where(and_(_CHANGES.c.slot == slot, _CHANGES.c.id > number))
            .order_by(_CHANGES.c.id)
        )
        with self._database.begin() as connection:
            found = connection.execute(wanted).all()
        return [ItemChange(row.id, row.item, None if row.content is None else orjson.loads(row.content)) for row in found]
