"""Which releases experiments still need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from app.store import Database, ExperimentRecord, ExperimentRecords


@contextmanager
def needed_releases(database: Database, *, dry_run: bool = False) -> Iterator[set[str]]:
    """The releases, and slots, of all experiments that are not concluded; while the block runs, none is created or started.

    Args:
        database: the store.
        dry_run: nothing waits for the block.

    Raises:
        StoreUnusable: it cannot be read.
    """
    if not database.is_there:
        yield set()
        return
    with database.read() if dry_run else database.begin() as connection:
        records = ExperimentRecords.in_transaction(connection, "draft", "running", "stopped")
        yield {release for record in records for release in _releases(record)}


def _releases(record: ExperimentRecord) -> Iterator[str]:
    # As kept, not as understood: what a later version wrote is needed all the same.
    for variant in orjson.loads(record.definition)["variants"]:
        yield variant["release"]
    if record.allocation is not None:  # the first start chose the releases, and later allocations keep them
        yield from orjson.loads(record.allocation)["releases"].values()
