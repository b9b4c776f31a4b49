"""What a request looks up: the running experiments of one surface, ready to tell a unit its variant within microseconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from app.errors import QueryInvalid
from app.experiments.assignment import layer_space, position, variant_space
from app.experiments.definition import INTERLEAVED, Experiment
from app.experiments.interleaving import Method
from app.experiments.kept import KeptExperiment
from app.experiments.layers import WHOLE
from app.experiments.spans import Owners

OVERRIDE_HEADER = "x-irgan-variant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What an answer has in an experiment.

    Attributes:
        experiment: its name.
        variant: its name.
        releases: NAME/VERSION of what ranks, one; of all variants where the answer mixes them.
        method: how it mixes them; None where one ranks.
        propensity: the chance with which a unit gets this variant.
        revision: of the allocation that the chance is of.
        named: the JSON fields that tell it.
    """

    experiment: str
    variant: str
    releases: tuple[str, ...]
    method: Method | None
    propensity: float
    revision: int
    named: bytes


class Assigned(NamedTuple):
    """A unit's part.

    Attributes:
        part: in which experiment, which variant.
        unit: the user or the session; None where somebody without one asked for a variant.
        is_override: whether somebody chose the variant, so that nothing of it counts.
    """

    part: Part
    unit: str | None
    is_override: bool


Exposure = tuple[str, str, float, int]
"""Unit, variant, propensity, revision."""


class RunningExperiment:
    """One experiment's units and variants.

    Args:
        kept: the experiment, running.
    """

    def __init__(self, kept: KeptExperiment) -> None:
        allocation = kept.allocation
        assert allocation is not None
        self.definition: Experiment = kept.definition
        self.name = kept.name
        self.layer = allocation.layer
        self.releases = allocation.releases
        self._space = variant_space(self.definition.salt or self.name)
        self.revision = kept.allocated_in
        self.parts = {variant: self._part(variant, share, self.revision) for variant, share in allocation.shares.items()}
        self._mixed: Part | None = None
        if self.definition.kind == "interleaving":
            self.parts = {variant: self._part(variant, 1.0, self.revision) for variant in allocation.releases}
            self._mixed = self._part(INTERLEAVED, 1.0, self.revision)
        self._owners = Owners((spans, self.parts[variant]) for variant, spans in allocation.variants.items())
        self._stay: dict[str, Part] = {}

    def part_of(self, unit: str) -> Part:
        """What a unit sees."""
        if self._mixed is not None:
            return self._mixed
        part = self._stay.get(unit) if self._stay else None
        if part is None:
            part = self._owners.at(position(self._space, unit))
            assert part is not None, "variants own all positions"
        return part

    def keep(self, parts: Mapping[str, Part]) -> None:
        """Let units go on seeing what they have seen; what was known before goes first."""
        if parts:
            self._stay = {**parts, **self._stay}

    def moved(self, exposures: Iterable[Exposure]) -> dict[str, Part]:
        """Of units that have seen a variant, perhaps under another allocation, those whose positions belong to another one now."""
        stay: dict[str, Part] = {}
        shared: dict[tuple[str, float, int], Part] = {}
        for unit, variant, propensity, revision in exposures:
            owner = self._owners.at(position(self._space, unit))
            if owner is not None and owner.variant != variant and variant in self.releases:
                key = variant, propensity, revision
                if key not in shared:
                    shared[key] = self._part(variant, propensity, revision)
                stay[unit] = shared[key]
        return stay

    def _part(self, variant: str, propensity: float, revision: int) -> Part:
        is_mixed = variant == INTERLEAVED and variant not in self.releases
        names = orjson.dumps({"experiment": self.name, "variant": variant})
        return Part(
            experiment=self.name,
            variant=variant,
            releases=tuple(self.releases.values()) if is_mixed else (self.releases[variant],),
            method=self.definition.interleaver if is_mixed else None,
            propensity=propensity,
            revision=revision,
            named=names[1:-1],
        )


_OVERRIDE_PLACE = f"header.{OVERRIDE_HEADER}"
OVERRIDE_FORM = r"([a-z0-9][a-z0-9._-]{0,99})=([a-z0-9][a-z0-9._-]{0,99})"
"""The names of an experiment and a variant."""
_OVERRIDE = re.compile(rf"\s*{OVERRIDE_FORM}\s*")


def named_by(override: str) -> tuple[str, str]:
    """The experiment and the variant that an override names.

    Raises:
        QueryInvalid: it names none.
    """
    names = _OVERRIDE.fullmatch(override)
    if names is None:
        message = f"{override!r} is no override; expected EXPERIMENT=VARIANT"
        raise QueryInvalid(f"{_OVERRIDE_PLACE}: {message}", [(_OVERRIDE_PLACE, message)])
    return names[1], names[2]


class SurfacePlan:
    """All running experiments of one surface; they share a layer and a kind of unit.

    Args:
        experiments: at least one.
    """

    def __init__(self, experiments: Sequence[RunningExperiment]) -> None:
        definition = experiments[0].definition
        self._by_user = definition.unit == "user"
        self._space = layer_space(definition.in_layer)
        self.experiments: Mapping[str, RunningExperiment] = {one.name: one for one in experiments}
        self._owners = Owners((one.layer, one) for one in experiments)
        self._alone = experiments[0] if experiments[0].layer == WHOLE else None
        self._overrides: dict[str, Part] = {}
        for one in experiments:
            for unit, variant in one.definition.overrides.items():
                self._overrides.setdefault(unit, one.parts[variant])

    def assign(self, user: str | None, session: str | None, override: str | None) -> Assigned | None:
        """The part of whoever asks, or None where they take part in nothing.

        Args:
            user: who asks, where known.
            session: of the one who asks, where known.
            override: `EXPERIMENT=VARIANT`, for trying one; experiments that do not run here are passed over.

        Raises:
            QueryInvalid: the override says something else, or names no variant of its experiment.
        """
        unit = user if self._by_user else session
        if override is not None and (part := self._overridden(override)) is not None:
            return Assigned(part, unit, is_override=True)
        if unit is None:
            return None
        if self._overrides and (part := self._overrides.get(unit)) is not None:
            return Assigned(part, unit, is_override=True)
        experiment = self._alone or self._owners.at(position(self._space, unit))
        return None if experiment is None else Assigned(experiment.part_of(unit), unit, is_override=False)

    def _overridden(self, override: str) -> Part | None:
        name, variant = named_by(override)
        experiment = self.experiments.get(name)
        if experiment is None:
            return None
        part = experiment.parts.get(variant)
        if part is None:
            message = f"{name!r} has no variant {variant!r}; there are {', '.join(experiment.parts)}"
            raise QueryInvalid(f"{_OVERRIDE_PLACE}: {message}", [(_OVERRIDE_PLACE, message)])
        return part
