"""What a retraining would do, found out without touching anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.releases import open_releases
from training.data import SOURCES
from training.data.text import check_is_file
from training.jobs.retrain.config import CF_NADE, RetrainConfig, shown_store
from training.jobs.retrain.folder import RunsFolder
from training.jobs.retrain.places import Places


def plan_of(config: RetrainConfig, places: Places) -> dict[str, Any]:
    """What would be read, trained, compared and published; JSON values only.

    Raises:
        DataError: a source or the table of items is no file with something in it.
        ReleaseError: the folder of releases cannot be used.
    """
    if config.data.items is not None:
        check_is_file(Path(config.data.items))
    runs = RunsFolder(config.run.folder).runs()
    unfinished = [run.name for run in runs if run.record is None]
    automatic = config.run.cf_nade and all(ranker.kind != CF_NADE for ranker in config.rankers)
    return {
        "run": {"folder": str(config.run.folder), "unfinished": unfinished[-1] if unfinished else None, "runs": len(runs)},
        "read": [_source(name) for name in config.data.sources]
        + ([] if config.data.store is None else [_store(config, places)]),
        "train": [
            {
                "name": ranker.name,
                "ranker": ranker.kind,
                "seed": ranker.seed,
                "settings": ranker.settings,
                **({} if ranker.warm_start is None else {"warm_start": ranker.warm_start}),
            }
            for ranker in config.rankers
        ]
        + (
            [{"name": CF_NADE, "ranker": CF_NADE, "seed": 0, "settings": {}, "if": "the events have ratings"}]
            if automatic
            else []
        ),
        "judge": {
            "test": f"the last {config.split.test_fraction:.0%} of the events",
            "metric": config.gate.metric,
            "margin": config.gate.margin,
            "against": config.gate.against,
            "live": open_releases(places.releases).current(config.gate.against),
        },
        "publish": {
            "releases": str(places.releases),
            "slot": config.publish.slot,
            "champion": config.publish.champion,
            "refit": config.publish.refit,
        },
    }


def _source(name: str) -> dict[str, Any]:
    if name in SOURCES:
        return {"source": name, "is": "a data set"}
    path = Path(name)
    check_is_file(path)
    return {"source": name, "is": "a file", "bytes": path.stat().st_size}


def _store(config: RetrainConfig, places: Places) -> dict[str, Any]:
    assert config.data.store is not None
    return {
        "source": shown_store(places.store),
        "is": "a store",
        "types": config.data.store.types,
        "after": config.data.store.after,
    }
