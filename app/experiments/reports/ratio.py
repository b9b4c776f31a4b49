"""Whether each variant got the units that the logged propensities promised.

Shapes: N units, V variants, R revisions of the allocation, T looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from app.experiments.assignment import Allocation
from app.experiments.outcomes import Outcomes
from app.experiments.reports.figures import SampleRatio
from app.experiments.statistics import mismatches
from app.store.tables import microseconds


def promised_shares(outcomes: Outcomes, allocations: Mapping[int, str]) -> dict[int, np.ndarray]:
    """The chance of each variant under each revision that has assigned anybody, float64 [V].

    As it was logged with the units; of variants that no unit got, as the allocation has it.

    Args:
        outcomes: of the experiment.
        allocations: as they are kept, by revision.
    """
    units, variants = outcomes.units, outcomes.experiment.variants
    found = {}
    for revision in np.unique(units.revision_N).tolist():
        meant: Mapping[str, float] = {variant.name: variant.weight for variant in variants}
        if revision in allocations:
            meant = Allocation.from_json(allocations[revision]).shares
        share_V = np.array([meant.get(variant.name, 0.0) for variant in variants])
        share_V /= share_V.sum()
        is_own_N = units.revision_N == revision
        for variant in np.unique(units.variant_N[is_own_N]).tolist():
            share_V[variant] = units.propensity_N[is_own_N & (units.variant_N == variant)].mean()
        found[revision] = share_V / share_V.sum()
    return found


def sample_ratio(
    outcomes: Outcomes, shares: Mapping[int, np.ndarray], counts_TV: np.ndarray, looks: Sequence[datetime]
) -> SampleRatio:
    """Units of each variant against those expected, with the looks so far.

    Args:
        outcomes: of the experiment.
        shares: of `promised_shares`.
        counts_TV: units of each variant at each look.
        looks: ascending.
    """
    units = outcomes.units
    names = [variant.name for variant in outcomes.experiment.variants]
    told: list[tuple[list[int], list[float]]] = []
    for counts_V, look in zip(counts_TV, looks, strict=True):
        is_in_N = units.exposed_N <= microseconds(look)
        expected_V = np.zeros(len(names))
        for revision, share_V in shares.items():
            expected_V += np.count_nonzero(units.revision_N[is_in_N] == revision) * share_V
        if counts_V.sum():
            told.append((counts_V.tolist(), expected_V.tolist()))
    weights = [variant.weight for variant in outcomes.experiment.variants]
    last = mismatches(told or [([0] * len(names), weights)])[-1]
    return SampleRatio(
        observed=dict(zip(names, last.observed, strict=True)),
        expected=dict(zip(names, last.expected, strict=True)),
        p_value=last.p_value,
        always_valid_p_value=last.always_valid_p_value,
        is_red=last.is_red,
    )


def counts_over_time(outcomes: Outcomes, looks: Sequence[datetime]) -> np.ndarray:
    """Units of each variant at each look, int64 [T, V]."""
    units, num_variants = outcomes.units, len(outcomes.experiment.variants)
    is_own_N = units.variant_N >= 0
    counts = [
        np.bincount(units.variant_N[is_own_N & (units.exposed_N <= microseconds(look))], minlength=num_variants)
        for look in looks
    ]
    return np.array(counts)


def shares_of_units(outcomes: Outcomes, shares: Mapping[int, np.ndarray]) -> np.ndarray:
    """The chance with which each unit got its variant, float64 [N]."""
    found_N = np.ones(len(outcomes.units.names))
    for revision, share_V in shares.items():
        is_own_N = outcomes.units.revision_N == revision
        found_N[is_own_N] = share_V[outcomes.units.variant_N[is_own_N]]
    return found_N
