"""Logs of actions: what is read from files and named sources, and one message for everything that cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine, insert, text

from app.store.tables import ASSIGNMENTS, EVENTS, IMPRESSIONS, METADATA
from training.data import LoggedOptions, load_dataset, load_logged, load_shown
from training.errors import DataError

LOG = """user_id,action,position,click,propensity,timestamp,country,age
7,a,1,0,0.5,2024-05-01T10:00:00Z,de,30
7,b,2,1,0.25,2024-05-01T10:00:00Z,de,30
8,b,1,0,0.5,2024-05-01T11:00:00Z,,41
9,10,1,0,1,2024-05-01T12:00:00Z,fr,
"""


def write(folder: Path, content: str, name: str = "log.csv") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def test_a_file_is_read_by_the_usual_names(tmp_path: Path):
    """Rows of one user are a cluster; context is numbers where all values are numbers, and texts elsewhere."""
    log = load_logged(write(tmp_path, LOG), LoggedOptions(context_columns=("country", "age")))
    assert log.actions.ids == ("10", "a", "b")
    assert log.action_rows_N.tolist() == [1, 2, 2, 0]
    assert log.positions_N.tolist() == [1, 2, 1, 1]
    assert log.rewards_N.tolist() == [0, 1, 0, 0]
    assert log.propensities_N.tolist() == [0.5, 0.25, 0.5, 1]
    assert (log.clusters_N.tolist(), log.cluster, log.num_clusters) == ([0, 0, 1, 2], "user_id", 3)
    assert log.times_N is not None
    assert np.diff(log.times_N).tolist() == [0, 3600, 3600]
    assert log.context["country"].tolist() == ["de", "de", "", "fr"]
    assert log.context["age"].tolist()[:3] == [30, 30, 41]
    assert np.isnan(log.context["age"][3])
    assert log.keys["age"].tolist() == ["30", "30", "41", ""]


def test_parquet_tsv_and_named_columns_say_the_same(tmp_path: Path):
    write(tmp_path, LOG)
    frame = pd.read_csv(tmp_path / "log.csv", dtype={"action": str})
    frame.to_parquet(tmp_path / "log.parquet")
    renamed = frame.rename(
        columns={"action": "what", "click": "won", "propensity": "chance", "user_id": "who", "position": "where"}
    )
    renamed.to_csv(tmp_path / "log.tsv", sep="\t", index=False)
    options = LoggedOptions(
        item_column="what", reward_column="won", propensity_column="chance", cluster_column="who", position_column="where"
    )
    expected = load_logged(str(tmp_path / "log.csv"))
    for found in (load_logged(str(tmp_path / "log.parquet")), load_logged(str(tmp_path / "log.tsv"), options)):
        assert found.actions == expected.actions
        for name in ("action_rows_N", "positions_N", "rewards_N", "propensities_N", "clusters_N", "times_N"):
            assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_positions_clusters_and_times_can_be_left_alone(tmp_path: Path):
    options = LoggedOptions(position_column="none", cluster_column="none", time_column="none")
    log = load_logged(write(tmp_path, LOG), options)
    assert log.positions_N.tolist() == [1, 1, 1, 1]
    assert (log.clusters_N.tolist(), log.cluster, log.times_N) == ([0, 1, 2, 3], None, None)


def test_what_is_known_of_actions_comes_from_their_table(tmp_path: Path):
    """Actions of the table that were never shown are there; a shown one that the table lacks goes without."""
    write(tmp_path, "id,title,price,kind\na,A,3,x\nb,B,5,\nc,C,7,y\n", "items.csv")
    log = load_logged(write(tmp_path, LOG), LoggedOptions(items=tmp_path / "items.csv"))
    assert log.actions.ids == ("a", "b", "c", "10")
    assert list(log.action_features) == ["price", "kind"]
    assert log.action_features["price"].tolist()[:3] == [3, 5, 7]
    assert log.action_features["kind"].tolist() == ["x", "", "y", ""]
    more = log.with_actions(["z", "a", "z"])
    assert more.actions.ids == ("a", "b", "c", "10", "z")
    assert np.isnan(more.action_features["price"][4])
    assert log.with_actions(["a"]) is log


BAD = {
    "no column for the propensity": (LOG.replace("propensity", "chance"), {}),
    "no column for the reward": (LOG.replace("click", "outcome"), {}),
    "no column for the item": (LOG.replace("action", "thing"), {}),
    "no usable propensity (column 'propensity') in 1 line (line 4: '0')": (LOG.replace("b,1,0,0.5", "b,1,0,0"), {}),
    "no usable propensity (column 'propensity') in 1 line (line 3: '1.25')": (LOG.replace(",1,0.25", ",1,1.25"), {}),
    "no usable propensity (column 'propensity') in 1 line (line 3: '')": (LOG.replace(",1,0.25", ",1,"), {}),
    "no usable reward (column 'click') in 1 line (line 3: 'yes')": (LOG.replace("b,2,1", "b,2,yes"), {}),
    "no usable reward (column 'click') in 1 line (line 3: 'inf')": (LOG.replace("b,2,1", "b,2,inf"), {}),
    "no usable position (column 'position') in 1 line (line 3: '1.5')": (LOG.replace("b,2,1", "b,1.5,1"), {}),
    "no usable time": (LOG.replace("2024-05-01T11:00:00Z", "noon"), {}),
    "no item id (column 'action') in 1 line (line 2: '')": (LOG.replace("7,a", "7,"), {}),
    "no cluster id (column 'user_id')": (LOG.replace("7,a", ",a"), {}),
    "it has a header and no line after it": (LOG.splitlines()[0] + "\n", {}),
    "is empty": ("", {}),
    "no column 'city' to tell rows apart by": (LOG, {"context_columns": ("city",)}),
    "the column 'click' was not known before acting": (LOG, {"context_columns": ("click",)}),
    "correct --reward-column": (LOG, {"reward_column": "won"}),
    "the column 'click' cannot be reward and propensity": (LOG, {"propensity_column": "click"}),
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_used_is_told_in_one_message(message: str, tmp_path: Path):
    content, options = BAD[message]
    with pytest.raises(DataError) as error:
        load_logged(write(tmp_path, content), LoggedOptions(**options))
    assert message in str(error.value), error.value
    assert "log.csv" in str(error.value)


def test_names_and_paths_that_lead_nowhere_are_told(tmp_path: Path):
    with pytest.raises(DataError, match="there are open-bandit/random, open-bandit/bts, or give the path"):
        load_logged("open-bandit/none")
    with pytest.raises(DataError, match=r"log\.csv"):
        load_logged(str(tmp_path / "log.csv"))
    with pytest.raises(DataError, match="holds ratings or clicks, and logged actions"):
        load_logged("movielens-100k")
    with pytest.raises(DataError, match="holds logged actions"):
        load_dataset("open-bandit/random")
    with pytest.raises(DataError, match="--reward-column: only for files"):
        load_logged("open-bandit/random", LoggedOptions(reward_column="click"))


def test_a_policy_to_imitate_needs_neither_propensities_nor_rewards(tmp_path: Path):
    options = LoggedOptions(propensity_column="chance", reward_column="won", context_columns=("country",))
    shown = load_shown(write(tmp_path, "item_id,position\na,1\nb,1\na,2\n"), options)
    assert (len(shown), shown.actions.ids, shown.rewards_N, shown.cluster) == (3, ("a", "b"), None, None)
    assert load_shown(write(tmp_path, LOG)).rewards_N is not None


@pytest.mark.data
def test_open_bandit_has_its_published_counts(data_dir: Path):
    """From the files' own lines: 10,000 rows each, 38 and 42 clicks, 80 items at 3 positions, 1/80 everywhere under chance."""
    if not (data_dir / "open-bandit").is_dir():
        pytest.skip(f"no open-bandit in {data_dir}")
    random, sampling = load_logged("open-bandit/random"), load_logged("open-bandit/bts")
    for log, clicks in ((random, 38), (sampling, 42)):
        assert (len(log), len(log.actions), int(log.rewards_N.sum())) == (10_000, 80, clicks)
        assert sorted(set(log.positions_N.tolist())) == [1, 2, 3]
        assert len(log.context) == 4
        assert list(log.action_features) == [f"item_feature_{number}" for number in range(4)]
    assert set(random.propensities_N.tolist()) == {1 / 80}
    assert random.num_clusters == 9_991, "nine answers have two of their places in the sample"
    assert random.times_N is not None
    assert random.times_N[0] == pd.Timestamp("2019-11-24 00:00:34", tz="UTC").timestamp()
    assert load_shown("open-bandit/bts").rewards_N is not None


def test_the_query_of_the_page_makes_a_log_of_an_experiment(tmp_path: Path):
    """On a store of our own tables: assigned answers alone, with the chance at assignment, clicks found by their answer, times in seconds."""
    page = (Path(__file__).parents[3] / "docs" / "counterfactual.md").read_text()
    query = page[page.index("SELECT i.variant") :].split("\n\n")[0].replace("'NAME'", "'try'")
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    answer = {
        "time": moment, "surface": "search", "experiment": "try", "unit": "u1", "variant": "new", "propensity": 0.25,
        "is_override": False, "release": "a/1", "milliseconds": 1.0, "items": "[]",
    }  # fmt: skip
    click = {"type": "click", "time": moment, "received": moment}
    with engine.begin() as connection:
        for number, other in enumerate(
            ({}, {"variant": "old", "propensity": 0.75, "unit": "u2"}, {"is_override": True}, {"experiment": "another"})
        ):
            connection.execute(insert(IMPRESSIONS).values({**answer, **other, "request_id": f"r{number}"}))
        for unit, variant, chance in (("u1", "new", 0.2), ("u2", "old", 0.8)):
            assigned = {"unit": unit, "variant": variant, "propensity": chance, "revision": 2, "time": moment}
            connection.execute(insert(ASSIGNMENTS).values({"experiment": "try", **assigned}))
        for number, (request, kind) in enumerate((("r0", "click"), ("r0", "click"), ("r1", "rating"), ("r2", "click"))):
            connection.execute(insert(EVENTS).values({**click, "id": f"e{number}", "request_id": request, "type": kind}))
        pd.read_sql(text(query), connection).to_csv(tmp_path / "try.csv", index=False)
    log = load_logged(str(tmp_path / "try.csv"))
    assert [log.actions.id(row) for row in log.action_rows_N] == ["new", "old"]
    assert (log.rewards_N.tolist(), log.propensities_N.tolist()) == ([1, 0], [0.2, 0.8])
    assert (log.cluster, log.num_clusters) == ("user_id", 2)
    assert log.times_N is not None
    assert log.times_N.tolist() == [moment.timestamp()] * 2
