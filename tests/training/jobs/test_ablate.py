"""Grids of variants, and the pages that their tables go into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.conftest import make_interactions
from training.data import Dataset, Split, make_split
from training.errors import ConfigError, InputError
from training.jobs.ablate import markdown, run_ablation
from training.jobs.ablations import ABLATIONS, Group, Variant, ablation
from training.jobs.pages import replace_part
from training.loop import Run
from training.registry import ranker

_GRID = (
    Group(
        "Which λ?",
        (
            Variant("weak", {"l2": 1.0}),
            Variant("strong", {"l2": 1e6}),
        ),
    ),
)


@pytest.fixture
def split() -> Split:
    """60 users with two tastes, a fifth of each user's events in the test part."""
    data = make_interactions()
    return make_split(Dataset("made-up", data, pd.DataFrame(index=range(data.num_items))), "random")


def test_every_variant_is_a_valid_configuration() -> None:
    """A grid that names an unknown setting would fail after an hour."""
    checked = 0
    for name, groups in ABLATIONS.items():
        config = ranker(name).config()
        for variant in (variant for group in groups for variant in group.variants):
            config.model_validate(variant.settings | {key: values[0] for key, values in variant.sweep.items()})
            checked += 1
    assert checked > 30
    with pytest.raises(ConfigError, match="no ablation is laid down for 'ease'; there is one for irgan, irgan-history"):
        ablation("ease")


def test_rows_hold_every_seed_and_nothing_is_run_twice(split: Split, tmp_path: Path) -> None:
    """Two variants and two seeds are four trainings; asked again, none, with the same tables."""
    runs: list[int] = []

    def run(seed: int) -> Run:
        runs.append(seed)
        return Run(seed=seed)

    first = run_ablation(ranker("ease"), split, _GRID, seeds=[0, 1], folder=tmp_path, run=run)
    assert runs == [0, 1, 0, 1]
    again = run_ablation(ranker("ease"), split, _GRID, seeds=[0, 1], folder=tmp_path, run=run)
    assert len(runs) == 4
    assert markdown(again) == markdown(first)
    weak, strong = first[0][1]
    assert weak.seed_means("AP").shape == (2,)
    assert weak.user_means("AP").mean() == pytest.approx(weak.seed_means("AP").mean())
    assert weak.user_means("AP").mean() != strong.user_means("AP").mean()
    shown = markdown(first)
    assert "**Which λ?**" in shown
    assert f"| weak | {weak.seed_means('nDCG@10').mean():.4f} ± 0.0000 | — |" in shown


def test_a_folder_that_cannot_be_one_is_told_before_anything_is_trained(split: Split, tmp_path: Path) -> None:
    """The first result would be lost after its training."""
    (tmp_path / "file").touch()

    def run(seed: int) -> Run:
        raise AssertionError("nothing may be trained")

    with pytest.raises(InputError, match="is no folder; choose another --run-dir"):
        run_ablation(ranker("ease"), split, _GRID, seeds=[0], folder=tmp_path / "file" / "below", run=run)


def test_a_sweep_ends_with_the_best_value_on_validation_data(split: Split, tmp_path: Path) -> None:
    """Of two lengths of training the row holds the one that validation prefers, whatever the test part says."""
    settings = {"num_members": 1, "hidden_size": 8, "linear_rank": 0, "adversary": "none", "num_epochs": 2}
    group = Group("How fast?", (Variant("swept", settings, sweep={"learning_rate": (1e-9, 0.05)}),))
    tables = run_ablation(ranker("irgan-history"), split, [group], seeds=[0], folder=tmp_path, run=lambda seed: Run(seed=seed))
    row = tables[0][1][0]
    assert row.chosen in ({"learning_rate": 1e-9}, {"learning_rate": 0.05})
    assert not np.isnan(row.results[0].validation)
    assert f"(learning rate {row.chosen['learning_rate']:g})" in markdown(tables)


def test_a_part_of_a_page_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    """What people wrote before and after the marks is untouched; a page without marks gets them at its end."""
    page = tmp_path / "page.md"
    replace_part(page, "figures", "first")
    assert page.read_text() == "<!-- figures -->\nfirst\n<!-- end of figures -->\n"
    page.write_text(f"# Title\n\n{page.read_text()}\nAfterwards.\n")
    replace_part(page, "figures", "second")
    assert page.read_text() == "# Title\n\n<!-- figures -->\nsecond\n<!-- end of figures -->\n\nAfterwards.\n"
    replace_part(page, "others", "third")
    assert page.read_text().endswith("Afterwards.\n\n<!-- others -->\nthird\n<!-- end of others -->\n")
