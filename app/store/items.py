"""Items that were added, updated or deleted since bundles were made: by slot, the last word on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import and_, delete, insert, select

from app.store.database import Database
from app.store.tables import ITEM_CHANGES


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
            own = and_(ITEM_CHANGES.c.slot == slot, ITEM_CHANGES.c.item.in_(list(changes)))
            connection.execute(delete(ITEM_CHANGES).where(own))
            connection.execute(insert(ITEM_CHANGES), rows)

    def since(self, slot: str, number: int) -> list[ItemChange]:
        """The changes of a slot with a greater number, in their order.

        Raises:
            StoreUnusable: they cannot be read.
        """
        if not self._database.is_there:
            return []
        wanted = (
            select(ITEM_CHANGES.c.id, ITEM_CHANGES.c.item, ITEM_CHANGES.c.content)
            .where(and_(ITEM_CHANGES.c.slot == slot, ITEM_CHANGES.c.id > number))
            .order_by(ITEM_CHANGES.c.id)
        )
        with self._database.read() as connection:
            found = connection.execute(wanted).all()
        return [ItemChange(row.id, row.item, None if row.content is None else orjson.loads(row.content)) for row in found]
