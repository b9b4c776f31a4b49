"""Reading the named data sets other than MovieLens 100K from their published files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from training.data.assemble import Events, sorted_vocabulary, to_interactions
from training.data.columns import read_ids, read_ratings
from training.data.interactions import Dataset
from training.data.lists import read_lists
from training.data.movielens import UNRATED_IN_1M, movie_table
from training.data.tables import Table, TextTableFile

_USERS_IN_1M = 6040


def read_movielens_1m(folder: Path, *, positive_threshold: float) -> Dataset:
    """MovieLens 1M's ratings of 4 and 5 with an 80/20 split; ids are MovieLens's own, of all 6,040 users and 3,706 rated films.

    The files number users from 0, and films from 0 by their rank among the films that anybody rated.
    """
    events, parts = _read_parts(folder / "ge4_80_20", ("train", "test"))
    films = pd.read_csv(
        folder / "movies.dat", sep="::", engine="python", header=None, encoding="latin-1", dtype=str, keep_default_na=False
    )
    films = films[~films[0].astype(np.int64).isin(UNRATED_IN_1M)].reset_index(drop=True)
    by_rank = to_interactions(
        events,
        users=Vocabulary("user", [str(number) for number in range(_USERS_IN_1M)]),
        items=Vocabulary("item", [str(rank) for rank in range(len(films))]),
        positive_threshold=positive_threshold,
    )
    interactions = replace(
        by_rank,
        users=Vocabulary("user", [str(number) for number in range(1, _USERS_IN_1M + 1)]),
        items=Vocabulary("item", films[0].tolist()),
    )
    return Dataset("movielens-1m", interactions, movie_table(films[1], films[2].str.split("|").tolist()), parts)


def read_gowalla(folder: Path, *, positive_threshold: float) -> Dataset:
    """Gowalla's check-ins with their split in three; places have numbers and no names."""
    events, parts = _read_parts(folder, ("train", "valid", "test"))
    return _dataset("gowalla", events, parts, positive_threshold)


def read_douban(folder: Path, *, positive_threshold: float) -> Dataset:
    """Douban's film ratings with the standard split of the literature on geometric matrix completion."""
    table = TextTableFile(folder / "ratings.tsv", separator="\t").read(["user", "item", "rating", "split"])
    events = Events(
        table=table,
        positions=np.arange(len(table.frame)),
        users=read_ids(table, "user", "user"),
        items=read_ids(table, "item", "item"),
        ratings=read_ratings(table, "rating"),
        times=None,
    )
    return _dataset("douban", events, table.frame["split"].to_numpy(dtype="U"), positive_threshold)


def _read_parts(folder: Path, parts: tuple[str, ...]) -> tuple[Events, np.ndarray]:
    """The files of lists `PART.txt`, one after the other, and the part that each event is from."""
    tables = [read_lists(folder / f"{part}.txt") for part in parts]
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    whole = Table(folder, frame, "row", lambda positions: positions + 1)
    events = Events(whole, np.arange(len(frame)), read_ids(whole, "user", "user"), read_ids(whole, "item", "item"), None, None)
    return events, np.repeat(np.array(parts), [len(table.frame) for table in tables])


def _dataset(name: str, events: Events, parts: np.ndarray, positive_threshold: float) -> Dataset:
    items = sorted_vocabulary("item", events.items)
    interactions = to_interactions(
        events, users=sorted_vocabulary("user", events.users), items=items, positive_threshold=positive_threshold
    )
    return Dataset(name, interactions, pd.DataFrame(index=range(len(items))), parts)
