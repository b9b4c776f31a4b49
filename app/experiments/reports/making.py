"""One report: read, compared, checked, decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from app.experiments.assignment import Allocation
from app.experiments.definition import Experiment
from app.experiments.errors import UnknownExperiment, WrongState
from app.experiments.outcomes import LONGEST_BEFORE, Outcomes, read_outcomes
from app.experiments.reports.analysis import compare_variants, looks_of
from app.experiments.reports.decision import decide
from app.experiments.reports.figures import Change, MetricFigures, Report, SampleRatio, UnitsPoint
from app.experiments.reports.health import check_health, describe_variants
from app.experiments.reports.mixed import compare_mixed
from app.experiments.reports.ratio import counts_over_time, promised_shares, sample_ratio, shares_of_units
from app.store import Database, ExperimentRecord, ExperimentRecords, release_records
from app.store.tables import microseconds


def make_report(database: Database, name: str, *, now: datetime | None = None, before: timedelta = LONGEST_BEFORE) -> Report:
    """Judge an experiment by what the store knows.

    Args:
        database: the store.
        name: of the experiment.
        now: what comes later is left out.
        before: how long a time before the experiment CUPED looks at.

    Raises:
        UnknownExperiment: there is none by that name.
        WrongState: it has never been started.
        StoreUnusable: the store cannot be read.
    """
    records = ExperimentRecords(database)
    record = records.get(name)
    if record is None:
        raise UnknownExperiment(f"there is no experiment {name!r}; see `irgan experiment list`")
    if record.started is None:
        raise WrongState(f"experiment {name!r} has not started, so there is nothing to report; start it first")
    outcomes = read_outcomes(database, record, now=now, before=before)
    report = _report(database, record, records.allocations(name), outcomes)
    changes = [
        Change(time=change.time.isoformat(), action=change.action, detail=dict(change.detail))
        for change in records.changes(name)
    ]
    return replace(report, changes=changes)


def _report(database: Database, record: ExperimentRecord, allocations: Mapping[int, str], outcomes: Outcomes) -> Report:
    experiment = outcomes.experiment
    looks = looks_of(outcomes)
    ratio, units = None, []
    metrics: Sequence[MetricFigures]
    if experiment.kind == "interleaving":
        metrics = compare_mixed(outcomes, looks)
        units = _mixed_units(outcomes, looks)
    else:
        metrics, ratio, units = _separate(allocations, outcomes, looks)
    allocation = None if record.allocation is None else Allocation.from_json(record.allocation)
    weights = {variant.name: variant.weight for variant in experiment.variants}
    shares = (allocation.shares if allocation else None) or {
        name: weight / sum(weights.values()) for name, weight in weights.items()
    }
    known = {release.name: release for release in release_records(database)}
    variants = describe_variants(outcomes, allocation.releases if allocation else {}, shares, known)
    checks = check_health(outcomes, variants, ratio)
    red = [check.name for check in checks if check.state == "bad" and check.name != "sample ratio"]
    days = (outcomes.end - outcomes.start) / timedelta(days=1)
    assert record.started is not None
    return Report(
        name=experiment.name,
        kind=experiment.kind,
        surface=experiment.surface,
        unit=experiment.unit,
        state=record.state,
        started=record.started.isoformat(),
        ended=outcomes.end.isoformat() if record.state in {"stopped", "concluded"} else None,
        as_of=outcomes.end.isoformat(),
        decision=decide(experiment, metrics, ratio, units=len(outcomes.units.names), days=days, red=red),
        variants=variants,
        metrics=list(metrics),
        sample_ratio=ratio,
        checks=checks,
        units=units,
        definition=experiment.model_dump(mode="json"),
    )


def _separate(
    allocations: Mapping[int, str], outcomes: Outcomes, looks: Sequence[datetime]
) -> tuple[list[MetricFigures], SampleRatio, list[UnitsPoint]]:
    """Where every unit sees one variant."""
    names = _names(outcomes.experiment)
    promised = promised_shares(outcomes, allocations)
    counts_TV = counts_over_time(outcomes, looks)
    metrics = compare_variants(outcomes, shares_of_units(outcomes, promised), looks)
    ratio = sample_ratio(outcomes, promised, counts_TV, looks)
    units = [
        UnitsPoint(time=look.isoformat(), units=dict(zip(names, counts_V.tolist(), strict=True)))
        for look, counts_V in zip(looks, counts_TV, strict=True)
    ]
    return metrics, ratio, units


def _mixed_units(outcomes: Outcomes, looks: Sequence[datetime]) -> list[UnitsPoint]:
    """Where every unit sees all variants."""
    counts = np.searchsorted(np.sort(outcomes.units.exposed_N), [microseconds(look) for look in looks], side="right")
    return [
        UnitsPoint(time=look.isoformat(), units={"all variants": count})
        for look, count in zip(looks, counts.tolist(), strict=True)
    ]


def _names(experiment: Experiment) -> list[str]:
    return [variant.name for variant in experiment.variants]
