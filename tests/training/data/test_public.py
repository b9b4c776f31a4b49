"""The named data sets: counts, ids and titles against facts that are known of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data import SOURCES, FileOptions, load_collection, load_dataset, load_features, make_split
from training.data.catalogue import KINDS, ArchiveOrigin, names_of
from training.data.movielens import UNRATED_IN_1M, movie_table
from training.errors import DataError

CLASSES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]


@pytest.mark.data
def test_movielens_100k_has_its_published_counts(data_dir: Path) -> None:
    """From its README: 943 users, 1,682 items, 100,000 ratings; rows are the numbers minus one."""
    dataset = load_dataset("movielens-100k")
    data = dataset.interactions
    assert (data.num_users, data.num_items, len(data)) == (943, 1682, 100_000)
    assert data.users.ids == tuple(str(number) for number in range(1, 944))
    assert data.items.ids == tuple(str(number) for number in range(1, 1683))
    raw = np.loadtxt(data_dir / "movielens-100k" / "u.data", dtype=np.int64)
    assert data.ratings is not None
    assert data.times is not None
    np.testing.assert_array_equal(np.stack([data.user_rows + 1, data.item_rows + 1, data.ratings, data.times], axis=1), raw)
    assert np.count_nonzero(data.is_positive) == 55_375
    table = dataset.item_table
    assert table.iloc[49].tolist() == ["Star Wars", 1977, ["Action", "Adventure", "Romance", "Sci-Fi", "War"]]
    assert table["year"].isna().tolist().count(True) == 1, "only the item called unknown has no year"


@pytest.mark.data
def test_both_copies_of_movielens_100k_are_the_same_data_set(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RecBole's two files follow from GroupLens's byte for byte, two slips included; their SHA-256 are checked on the way."""
    original = load_dataset("movielens-100k")
    source = data_dir / "movielens-100k"
    folder = tmp_path / "movielens-100k"
    folder.mkdir()
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / "ml-100k.inter").write_bytes(header.encode() + (source / "u.data").read_bytes())
    raw = pd.read_csv(source / "u.item", sep="|", header=None, encoding="latin-1", dtype=str, keep_default_na=False)
    lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for row in raw.itertuples(index=False):
        title, _, rest = row[1].rpartition(" (")
        year = rest.strip().rstrip(")")
        if row[1] == "unknown":
            title = year = "unkonwn"
        genres = " ".join(name for name, flag in zip(CLASSES, row[5:24], strict=True) if flag == "1")
        lines.append("\t".join([row[0], title, year, genres]))
    (folder / "ml-100k.item").write_bytes(("\n".join(lines) + "\n").encode())
    monkeypatch.setenv("IRGAN_DATA_DIR", str(tmp_path))
    rebuilt = load_dataset("movielens-100k")
    assert rebuilt.interactions.fingerprint() == original.interactions.fingerprint()
    pd.testing.assert_frame_equal(rebuilt.item_table, original.item_table)
    assert rebuilt.item_table.iloc[266].tolist()[0] == "unknown"
    assert rebuilt.item_table.iloc[1411].tolist()[:2] == ["Land Before Time III: The Time of the Great Giving", 1995]


@pytest.mark.data
def test_movielens_1m_carries_the_titles_of_its_own_films(data_dir: Path) -> None:
    """Ranks become film numbers: the most liked film is American Beauty (2858), as in every table of MovieLens 1M.

    In the full data 3,428 people rated it, more than any other film; three of the Star Wars films follow closely.
    """
    dataset = load_dataset("movielens-1m")
    data = dataset.interactions
    assert (data.num_users, data.num_items, len(data)) == (6040, 3706, 575_281)
    liked = np.argsort(-data.popularity())[:6]
    assert data.items.id(int(liked[0])) == "2858"
    titles = dataset.item_table["title"].iloc[liked].tolist()
    assert titles[0] == "American Beauty"
    assert sum(title.startswith("Star Wars: Episode") for title in titles) == 2
    assert "Saving Private Ryan" in titles
    ranks = {
        0: 1,
        50: 52,
        653: 678,
        980: 1046,
        1798: 1978,
        2041: 2231,
        2402: 2602,
        2403: 2605,
        2745: 2953,
        3347: 3586,
        3705: 3952,
    }
    assert {rank: int(data.items.id(rank)) for rank in ranks} == ranks, "as other publications of this layout number the films"
    assert len(UNRATED_IN_1M) == len(set(UNRATED_IN_1M)) == 3883 - 3706
    split = make_split(dataset)
    assert (split.name, len(split.train), len(split.test)) == ("given", 457_819, 117_462)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape", "train", "test"),
    [("gowalla", (29_858, 40_981), 719_081 + 91_047, 217_242), ("douban", (2_999, 3_000), 123_202, 13_689)],
)
def test_the_others_have_their_published_counts(
    data_dir: Path, name: str, shape: tuple[int, int], train: int, test: int
) -> None:
    if not (data_dir / name).is_dir():
        pytest.skip(f"no {name} in {data_dir}")
    split = make_split(load_dataset(name))
    assert (split.train.num_users, split.train.num_items) == shape
    assert (split.name, len(split.train), len(split.test)) == ("given", train, test)
    assert len(split.item_table) == shape[1]


@pytest.mark.data
def test_only_the_threshold_of_a_named_data_set_can_be_chosen(data_dir: Path) -> None:
    data = load_dataset("movielens-100k", FileOptions(positive_threshold=5.0)).interactions
    assert np.count_nonzero(data.is_positive) == 21_201
    with pytest.raises(DataError, match="no rating reaches the threshold 6; they run from 1 to 5"):
        load_dataset("movielens-100k", FileOptions(positive_threshold=6.0))
    with pytest.raises(DataError, match="user_column, duplicates: only for files; movielens-100k is a named data set"):
        load_dataset("movielens-100k", FileOptions(user_column="user", duplicates="last"))


def test_titles_lose_their_year_and_nothing_else() -> None:
    """The odd ones of MovieLens 100K: a trailing blank, a mark for video, other brackets, no year at all."""
    titles = pd.Series(
        [
            "Toy Story (1995)",
            "Two Friends (1986) ",
            "Land Before Time III (1995) (V)",
            "Shanghai Triad (Yao a yao yao dao waipo qiao) (1995)",
            "1984 (1956)",
            "unknown",
        ]
    )
    table = movie_table(titles, [[]] * 6)
    assert table["title"].tolist() == [
        "Toy Story",
        "Two Friends",
        "Land Before Time III",
        "Shanghai Triad (Yao a yao yao dao waipo qiao)",
        "1984",
        "unknown",
    ]
    assert table["year"].tolist()[:5] == [1995, 1986, 1995, 1995, 1956]
    assert table["year"].isna().tolist() == [False] * 5 + [True]


def test_the_catalogue_is_consistent() -> None:
    """Every entry knows its terms and its files' hashes, and downloads over TLS only; interactions have a reader of their own."""
    assert {kind: names_of(kind) for kind in KINDS} == {
        "interactions": ["movielens-100k", "movielens-1m", "gowalla", "douban"],
        "documents": ["scifact", "cranfield", "wikiqa"],
        "features": ["letor-mq2008"],
        "logged": ["open-bandit/random", "open-bandit/bts"],
        "weights": ["minilm"],
    }
    for name, spec in SOURCES.items():
        assert spec.name == name
        assert spec.terms
        assert (spec.read is not None) == (spec.kind == "interactions")
        assert all(len(sha) == 64 for layout in spec.layouts for sha in layout.values())
        for origin in spec.origins:
            assert not isinstance(origin, ArchiveOrigin) or origin.url.startswith("https://")


@pytest.mark.parametrize(
    ("load", "wanted", "instead"),
    [
        (load_dataset, "ratings or clicks", "movielens-100k, movielens-1m, gowalla, douban"),
        (load_collection, "documents to search", "scifact, cranfield, wikiqa"),
        (load_features, "candidates of queries as feature vectors", "letor-mq2008"),
    ],
)
def test_data_of_another_kind_are_refused_by_name(load: Callable[[str], object], wanted: str, instead: str) -> None:
    """Before anything is read or fetched: what it holds, what is wanted, and what there is of that."""
    refused = 0
    for name, spec in SOURCES.items():
        if KINDS[spec.kind] != wanted:
            words = f"^{name} holds {KINDS[spec.kind]}, and {wanted} are wanted; there are {instead}, or give a path$"
            with pytest.raises(DataError, match=words):
                load(name)
            refused += 1
    assert refused == len(SOURCES) - len(instead.split(", "))
