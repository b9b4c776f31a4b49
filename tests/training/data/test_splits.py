"""Splits: a partition, the same for the same seed, and each what its name says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bundle import Vocabulary
from training.data import SPLITS, Dataset, Interactions, default_split, holdout, load_dataset, make_split
from training.errors import ConfigError, DataError


@st.composite
def interactions(draw: st.DrawFn) -> Interactions:
    """2 to 8 users (the last one without an event) with 2 to 9 distinct items each, in a random order of events."""
    num_items = 9
    lengths = draw(st.lists(st.integers(2, num_items), min_size=1, max_size=7))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    users = np.repeat(np.arange(len(lengths)), lengths)
    items = np.concatenate([rng.choice(num_items, length, replace=False) for length in lengths])
    order = rng.permutation(len(users))
    return Interactions(
        users=Vocabulary("user", [f"u{row}" for row in range(len(lengths) + 1)]),
        items=Vocabulary("item", [f"i{row}" for row in range(num_items)]),
        user_rows=users[order].astype(np.int64),
        item_rows=items[order].astype(np.int64),
        ratings=rng.integers(1, 6, len(users)).astype(np.float32),
        times=rng.integers(0, 5 if draw(st.booleans()) else 10**6, len(users)).astype(np.int64),
        positive_threshold=4.0,
    )


def dataset(data: Interactions, name: str = "made-up") -> Dataset:
    parts = np.where(np.arange(len(data)) % 4 == 0, "test", np.where(np.arange(len(data)) % 4 == 1, "valid", "train"))
    return Dataset(name, data, pd.DataFrame(index=range(data.num_items)), parts)


def pairs(data: Interactions) -> list[tuple[int, int]]:
    return list(zip(data.user_rows.tolist(), data.item_rows.tolist(), strict=True))


@pytest.mark.parametrize("name", ["given", "random", "kfold", "time", "leave-last-out"])
@settings(max_examples=40, deadline=None)
@given(data=interactions(), seed=st.integers(0, 1000))
def test_a_split_is_a_partition_that_a_seed_determines(name: str, data: Interactions, seed: int) -> None:
    """No event is in both parts or in none, events keep their order, and the same call gives the same parts."""
    whole = dataset(data)
    try:
        split = make_split(whole, name, seed=seed, fraction=0.4)
    except DataError as error:
        assert "leaves no event" in str(error)  # noqa: PT017 - tiny data may leave a part empty, and says so
        return
    train, test = pairs(split.train), pairs(split.test)
    assert not set(train) & set(test)
    assert set(train) | set(test) == set(pairs(data))
    assert len(train) + len(test) == len(data)
    position = {pair: row for row, pair in enumerate(pairs(data))}
    assert [position[pair] for pair in train] == sorted(position[pair] for pair in train)
    again = make_split(whole, name, seed=seed, fraction=0.4)
    assert again.train.fingerprint() == split.train.fingerprint()
    assert again.test.fingerprint() == split.test.fingerprint()
    assert again.parameters == split.parameters
    assert split.train.users is data.users
    assert split.test.items is data.items


@settings(max_examples=40, deadline=None)
@given(data=interactions(), seed=st.integers(0, 1000), folds=st.integers(2, 5))
def test_folds_cover_everything_once_and_leave_every_user_something_to_learn_from(
    data: Interactions, seed: int, folds: int
) -> None:
    """The k test parts are disjoint, their union is all, sizes differ by one at most, nobody's events are all in one."""
    splits = [
        make_split(dataset(data), "kfold", seed=seed, folds=folds, fold=fold) for fold in range(folds) if len(data) >= folds
    ]
    assert sorted(pair for split in splits for pair in pairs(split.test)) == (sorted(pairs(data)) if splits else [])
    sizes = [len(split.test) for split in splits]
    assert not sizes or max(sizes) - min(sizes) <= 1
    for split in splits:
        assert set(split.train.user_rows.tolist()) == set(data.user_rows.tolist())


@settings(max_examples=60, deadline=None)
@given(data=interactions(), seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.95))
def test_a_holdout_takes_each_users_share_and_never_all_of_it(data: Interactions, seed: int, fraction: float) -> None:
    """Each user's held events number n·fraction rounded down or up, with one at least staying."""
    try:
        fit, validation = holdout(data, fraction=fraction, rng=np.random.default_rng(seed))
    except DataError as error:
        assert "nothing can be held out" in str(error)  # noqa: PT017 - a small share of short histories may be nothing
        return
    assert sorted(pairs(fit) + pairs(validation)) == sorted(pairs(data))
    had = np.bincount(data.user_rows, minlength=data.num_users)
    held = np.bincount(validation.user_rows, minlength=data.num_users)
    assert (held >= np.minimum(np.floor(had * fraction), np.maximum(had - 1, 0))).all()
    assert (held <= np.ceil(had * fraction)).all()
    assert (had - held >= (had > 0)).all()
    again = holdout(data, fraction=fraction, rng=np.random.default_rng(seed))
    assert again[1].fingerprint() == validation.fingerprint()


def test_a_holdout_of_short_histories_gives_the_share_on_average(small_interactions: Interactions) -> None:
    """12 events a user at 5% are 0.6 events a user: rounding to nearest would give 60 users × 1, rounding down none."""
    counts = [len(holdout(small_interactions, fraction=0.05, rng=np.random.default_rng(seed))[1]) for seed in range(50)]
    assert np.mean(counts) == pytest.approx(0.05 * len(small_interactions), rel=0.05)


def test_different_seeds_cut_differently(small_interactions: Interactions) -> None:
    """A seed that changes nothing would make intervals over seeds meaningless."""
    for name in ("random", "kfold"):
        one, two = (make_split(dataset(small_interactions), name, seed=seed).test.fingerprint() for seed in (0, 1))
        assert one != two


def test_the_time_split_tests_on_what_came_last(small_interactions: Interactions) -> None:
    """Every test event is at the cutoff or later, every training event before it."""
    split = make_split(dataset(small_interactions), "time", fraction=0.25)
    assert split.test.times is not None
    assert split.train.times is not None
    assert split.train.times.max() < split.parameters["cutoff"] <= split.test.times.min()
    assert len(split.test) == 180


def test_leave_last_out_takes_the_latest_event_and_the_later_line_among_equals() -> None:
    """By hand: user 0 has times 5, 9, 9 (the second 9 is last), user 1 has 7, 3, user 2 a single event, which stays in training."""
    data = Interactions(
        users=Vocabulary("user", ["a", "b", "c"]),
        items=Vocabulary("item", ["x", "y", "z"]),
        user_rows=np.array([0, 1, 0, 0, 2, 1]),
        item_rows=np.array([0, 0, 1, 2, 0, 1]),
        times=np.array([5, 7, 9, 9, 100, 3]),
    )
    split = make_split(Dataset("made-up", data, pd.DataFrame(index=range(3))), "leave-last-out")
    assert pairs(split.test) == [(1, 0), (0, 2)]


def test_a_given_split_lets_the_validation_part_join_the_training_part(small_interactions: Interactions) -> None:
    """720 events by fours: 180 test, 180 valid, 360 train."""
    split = make_split(dataset(small_interactions))
    assert (split.name, len(split.train), len(split.test)) == ("given", 540, 180)
    assert split.parameters == {"given_train": 360, "given_valid": 180, "given_test": 180}


def test_the_usual_split_goes_by_what_the_data_bring(small_interactions: Interactions) -> None:
    plain = Dataset("made-up", small_interactions, pd.DataFrame(index=range(40)))
    assert default_split(plain) == "random"
    assert default_split(dataset(small_interactions)) == "given"
    assert default_split(Dataset("movielens-100k", small_interactions, plain.item_table)) == "paper"


def test_a_split_that_the_data_do_not_allow_names_the_others(small_interactions: Interactions) -> None:
    """`paper` and `given` mean nothing for a file of one's own, and time splits need times."""
    plain = Dataset("made-up", small_interactions, pd.DataFrame(index=range(40)))
    with pytest.raises(DataError, match=r"means nothing here; use one of random, kfold, time, leave-last-out$"):
        make_split(plain, "paper")
    with pytest.raises(DataError, match="no split of its own; use one of random"):
        make_split(plain, "given")
    timeless = Interactions(
        small_interactions.users, small_interactions.items, small_interactions.user_rows, small_interactions.item_rows
    )
    for name in ("time", "leave-last-out"):
        with pytest.raises(DataError, match="has no times"):
            make_split(Dataset("made-up", timeless, plain.item_table), name)


@pytest.mark.parametrize(
    "wrong", [{"name": "holdout"}, {"fraction": 0.0}, {"fraction": 1.0}, {"folds": 1}, {"fold": 5}, {"fold": -1}, {"seed": -1}]
)
def test_impossible_settings_are_refused(small_interactions: Interactions, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make_split(dataset(small_interactions), **({"name": "kfold"} | wrong))  # type: ignore[arg-type]


def test_a_time_split_of_equal_times_leaves_nothing_to_train_on(small_interactions: Interactions) -> None:
    """Events of the same second stay together, so all of them are the test; the message says so instead of training on nothing."""
    frozen = Interactions(
        small_interactions.users,
        small_interactions.items,
        small_interactions.user_rows,
        small_interactions.item_rows,
        times=np.full(len(small_interactions), 7),
    )
    with pytest.raises(DataError, match="leaves no event for the training part"):
        make_split(Dataset("made-up", frozen, pd.DataFrame(index=range(40))), "time")


@pytest.mark.data
def test_the_papers_split_is_fold_1_of_movielens(data_dir: object) -> None:
    """The first 20,000 rows are `u1.test` as a set, the other 80,000 `u1.base`; 456 users have a test positive."""
    from pathlib import Path  # noqa: PLC0415

    split = make_split(load_dataset("movielens-100k"))
    assert split.name == "paper"
    for part, file in ((split.train, "u1.base"), (split.test, "u1.test")):
        fold = np.loadtxt(Path(str(data_dir)) / "movielens-100k" / file, dtype=np.int64)
        ours = {(int(u) + 1, int(i) + 1, int(r)) for u, i, r in zip(part.user_rows, part.item_rows, part.ratings, strict=True)}  # type: ignore[arg-type]
        assert ours == set(map(tuple, fold[:, :3].tolist()))
    assert len(np.unique(split.test.positives().user_rows)) == 456


def test_every_split_is_tested() -> None:
    """A new split must be added to the properties above."""
    assert set(SPLITS) == {"paper", "given", "random", "kfold", "time", "leave-last-out"}
