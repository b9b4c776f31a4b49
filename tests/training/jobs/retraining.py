"""A small retraining for tests: a file of ratings and a configuration."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.training.conftest import make_interactions
from training.data import Interactions

POPULARITY_AND_EASE = """
[[rankers]]
name = "popularity"

[[rankers]]
name = "ease"
settings = {l2 = 10.0}
"""

TINY_CF_NADE = """
[[rankers]]
name = "cf-nade"
settings = {form = "user", num_members = 1, hidden_size = 8, num_epochs = 4, exposure_members = 1, exposure_hidden_size = 8, \
exposure_epochs = 4, validation_fraction = 0, item_weight = 1.0, table_rank = 4}
"""

CONFIG = """
[data]
sources = ["mine.csv"]
{data}
{named}
[split]
test_fraction = 0.2

[gate]
resamples = 500
{gate}
[publish]
releases = "releases"
{publish}
[run]
device = "cpu"
{run}
[validation]
least_events = 10
{validation}
"""


def write_data(path: Path, data: Interactions) -> None:
    """Interactions as a CSV file."""
    columns = {
        "user": [data.users.id(row) for row in data.user_rows],
        "item": [data.items.id(row) for row in data.item_rows],
        "rating": data.ratings,
        "time": data.times,
    }
    pd.DataFrame({name: values for name, values in columns.items() if values is not None}).to_csv(path, index=False)


def write_job(folder: Path, *, interactions: Interactions | None = None, **sections: str) -> Path:
    """`mine.csv` and `config.toml` in a folder; what is given is added to the section of that name.

    Returns:
        The configuration.
    """
    write_data(folder / "mine.csv", interactions or make_interactions())
    parts = {"data": "", "named": POPULARITY_AND_EASE, "gate": "", "publish": "", "run": "cf_nade = false", "validation": ""}
    path = folder / "config.toml"
    path.write_text(CONFIG.format(**(parts | sections)), encoding="utf-8")
    return path
