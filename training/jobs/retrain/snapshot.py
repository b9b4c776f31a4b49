"""The training data as they are at one moment: all sources in one file, with which the run goes on whatever becomes of them.

Shapes: N events.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from app.bundle import new_folder, sha256_of
from app.store import Database, Event, EventLog
from training.data import SOURCES, Dataset, FileOptions, load_dataset
from training.data.files import read_dataset, read_events
from training.errors import ConfigError, DataError
from training.jobs.retrain.config import Data, StoreSource
from training.jobs.retrain.steps import Result

_log = logging.getLogger(__name__)

_EVENTS = "events.parquet"
_ITEMS = "items"


@dataclass(frozen=True, slots=True)
class _Source:
    """What one source gives: `frame` has the columns user, item, time (seconds), and rating where `has_ratings`."""

    told: dict[str, Any]
    frame: pd.DataFrame
    threshold: float | None = None
    item_table: pd.DataFrame | None = None


def take_snapshot(data: Data, target: Path, *, store: str | None) -> Result:
    """Read all sources and write them down.

    Args:
        data: which.
        target: the folder to make; what an earlier process left there is replaced.
        store: the address of the store, where one is read.

    Returns:
        Each source with its hash and count; `events`, the hash of all events; `threshold`; the file of `items`; the `watermark`.

    Raises:
        DataError: a source cannot be used, or they do not fit together.
        ConfigError: a store is to be read and none is named.
        StoreUnusable: it cannot be read.
    """
    shutil.rmtree(target, ignore_errors=True)
    sources = [_named(name, data) if name in SOURCES else _file(Path(name), data) for name in data.sources]
    if data.store is not None:
        sources.append(_stored(data.store, store))
    frame = _together(sources)
    with new_folder(target) as folder:
        frame.to_parquet(folder / _EVENTS, index=False)
        items = _items(data, sources, folder)
        events = sha256_of(folder / _EVENTS)
    return {
        "sources": [source.told for source in sources],
        "events": events,
        "rows": len(frame),
        "has_ratings": "rating" in frame,
        "threshold": data.positive_threshold if data.positive_threshold is not None else _threshold(sources),
        "items": items,
        "watermark": next((source.told["watermark"] for source in sources if "watermark" in source.told), None),
    }


def read_snapshot(data: Data, folder: Path, told: Result) -> Dataset:
    """The data set that a snapshot is.

    Raises:
        DataError: it cannot be used.
    """
    items = told["items"]
    options = FileOptions(
        user_column="user",
        item_column="item",
        rating_column="rating" if told["has_ratings"] else "none",
        time_column="time",
        encoding=data.encoding,
        items=None if items is None else folder / items["file"],
        item_id_column=None if items is None else items["column"],
        positive_threshold=told["threshold"],
        duplicates=data.duplicates,
        min_interactions=data.min_interactions,
    )
    return replace(read_dataset(folder / _EVENTS, options), name=data.name)


def _file(path: Path, data: Data) -> _Source:
    events = read_events(path, data.file_options())
    if events.times is None:
        raise DataError(
            f"{path} has no times, and a retraining is judged on what came last; name their column with data.time_column"
        )
    frame = pd.DataFrame({"user": events.users, "item": events.items, "time": events.times})
    if events.ratings is not None:
        frame["rating"] = events.ratings
    return _Source({"source": str(path), "sha256": sha256_of(path), "events": len(frame)}, frame)


def _named(name: str, data: Data) -> _Source:
    dataset = load_dataset(name, FileOptions(positive_threshold=data.positive_threshold))
    found = dataset.interactions
    if found.times is None:
        raise DataError(f"{name} has no times, and a retraining is judged on what came last; leave it out of data.sources")
    columns: dict[str, Any] = {
        "user": np.array(found.users.ids, dtype=object)[found.user_rows],
        "item": np.array(found.items.ids, dtype=object)[found.item_rows],
        "time": found.times,
    }
    if found.ratings is not None:
        columns["rating"] = found.ratings
    table = dataset.item_table.drop(columns="id", errors="ignore").reset_index(drop=True)
    table.insert(0, "id", pd.Series(found.items.ids, dtype="string"))
    threshold = None if found.ratings is None else found.positive_threshold
    told = {"source": name, "sha256": found.fingerprint(), "events": len(found)}
    return _Source(told, pd.DataFrame(columns), threshold, table)


def _stored(source: StoreSource, address: str | None) -> _Source:
    if address is None:
        raise ConfigError("data.store: no store is named; give data.store.url, --store or IRGAN_STORE")
    database = Database(address)
    pages, watermark, num_read = [_page([], source)], source.after, 0
    try:
        for page in EventLog(database).pages(source.after):
            watermark, num_read = page[-1][0], num_read + len(page)
            pages.append(_page([event for _, event in page], source))
    finally:
        database.close()
    frame = pd.concat(pages, ignore_index=True)
    told = {"source": "store", "read": num_read, "events": len(frame), "after": source.after, "watermark": watermark}
    _log.info("the store has %d events up to number %d, of which %d count", num_read, watermark, len(frame))
    return _Source(told, frame)


def _is_within(value: float | None, bounds: tuple[float, float] | None) -> bool:
    return value is not None and (bounds is None or bounds[0] <= value <= bounds[1])


def _page(events: list[Event], source: StoreSource) -> pd.DataFrame:
    """Those that count, in columns: many events take a tenth of the memory of as many objects."""
    rows = []
    for event in events:
        worth = source.types.get(event.type)
        if worth == "value":
            worth = event.value if _is_within(event.value, source.values) else None
        if worth is not None and event.user is not None and event.item is not None:
            rows.append((event.user, event.item, int(event.time.timestamp()), worth))
    frame = pd.DataFrame(rows, columns=["user", "item", "time", "rating"])
    frame = frame.astype({"user": "str", "item": "str", "time": "int64"})
    return frame.astype({"rating": "float32"}) if source.has_ratings else frame.drop(columns="rating")


def _together(sources: list[_Source]) -> pd.DataFrame:
    rated = [source for source in sources if "rating" in source.frame]
    if rated and len(rated) != len(sources):
        other = next(source for source in sources if "rating" not in source.frame)
        raise DataError(
            f"{rated[0].told['source']} has ratings and {other.told['source']} has none; what is learned from them together must be "
            'of one kind: give the store\'s types ratings, or leave out ratings with rating_column = "none"'
        )
    frame = pd.concat([source.frame for source in sources], ignore_index=True)
    if not len(frame):
        raise DataError(f"no events at all in {', '.join(source.told['source'] for source in sources)}")
    return frame.astype({"user": "str", "item": "str"})


def _threshold(sources: list[_Source]) -> float | None:
    """What the named data sets say, where they all say the same; None leaves it to the values."""
    thresholds = {source.threshold for source in sources}
    return thresholds.pop() if len(thresholds) == 1 else None


def _items(data: Data, sources: list[_Source], folder: Path) -> dict[str, Any] | None:
    """The table of items, copied: the given one, or that of the only named data set."""
    if data.items is not None:
        file = _ITEMS + data.items.suffix
        try:
            shutil.copyfile(data.items, folder / file)
        except FileNotFoundError as error:
            raise DataError(f"{data.items}: no such file; correct data.items") from error
        return {"file": file, "column": data.item_id_column, "sha256": sha256_of(folder / file), "source": str(data.items)}
    tables = [source.item_table for source in sources if source.item_table is not None]
    if len(tables) != 1:
        return None
    file = f"{_ITEMS}.parquet"
    tables[0].to_parquet(folder / file, index=False)
    return {"file": file, "column": "id", "sha256": sha256_of(folder / file), "source": None}
