"""The rehearsal in small: people of the later half visit a running service, and the reports say what is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.demo import get
from tests.e2e.rehearsal import CONTROL, TREATMENT, TWIN, experiment, people, publish_all, serving, show, visit_all

_QUICK = ("--set", "num_members=1", "--set", "num_epochs=5", "--set", "validation_fraction=0")


@pytest.mark.data
def test_the_better_ranker_is_named_and_two_that_are_one_stay_undecided(data_dir: Path, tmp_path: Path) -> None:
    """586 people, three visits before and four during each experiment; with the visits before, the interval is narrower than without."""
    releases = publish_all(tmp_path, quick=_QUICK)
    everybody = people(7, seed=7)
    assert len(everybody) == 586
    with serving(tmp_path) as address:
        visit_all(address, everybody, range(3), seed=7)
        better = experiment(address, "better", [releases[CONTROL], releases[TREATMENT]], everybody, range(3, 7), seed=7)
        again = people(7, seed=8)
        same = experiment(address, "same", [releases[CONTROL], releases[TWIN]], again, range(3, 7), seed=7)
        show(address, better, tmp_path / "pages")
        told = get(f"{address}/v1/experiments/better")
    assert (tmp_path / "pages" / "better.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert told["state"] == "stopped"
    assert better["decision"]["winner"] == "b"
    assert better["decision"]["sentence"].startswith("b is better than a on click-through: +")
    assert [variant["ranker"] for variant in better["variants"]] == [CONTROL, TREATMENT]
    assert sum(variant["units"] for variant in better["variants"]) == 586
    (one,) = better["metrics"][0]["comparisons"]
    assert one["variance_reduction"] > 0
    assert 4.0 <= better["metrics"][1]["values"]["b"] <= 5.0
    assert [check["state"] for report in (better, same) for check in report["checks"]] == ["good"] * 12
    assert same["decision"]["status"] == "undecided"
    assert same["decision"]["winner"] is None
