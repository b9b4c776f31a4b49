"""What can be done with an experiment, and when: draft → running ⇄ stopped → concluded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import orjson
from pydantic import ValidationError
from sqlalchemy import Connection

from app.experiments.assignment import Allocation, allocated
from app.experiments.definition import Experiment
from app.experiments.errors import ChangeInvalid, LayerFull, SurfaceTaken, UnknownExperiment, WrongState
from app.experiments.kept import KeptExperiment
from app.experiments.layers import free_share, resized
from app.experiments.rankers import resolved
from app.experiments.reports import last_words
from app.experiments.spans import Spans, union
from app.releases import KeptReleases
from app.store import Database, ExperimentChange, ExperimentRecord, ExperimentRecords, State


class Experiments:
    """All experiments, and what can be done with them; each thing is done in one transaction or not at all.

    Args:
        database: where they are kept.
        releases: that variants are taken from.
        by: who changes them, for the history; None where nobody in particular does.
    """

    def __init__(self, database: Database, releases: KeptReleases, *, by: str | None = None) -> None:
        self._database = database
        self._records = ExperimentRecords(database, by=by)
        self._releases = releases

    def for_somebody(self, by: str) -> Experiments:
        """The same, changed by somebody whom the history names."""
        return Experiments(self._database, self._releases, by=by)

    def all(self) -> list[KeptExperiment]:
        """All of them, by name."""
        return [KeptExperiment(record) for record in self._records.all()]

    def get(self, name: str) -> KeptExperiment:
        """One of them.

        Raises:
            UnknownExperiment: there is none by that name.
        """
        return _known(self._records.get(name), name)

    def history(self, name: str) -> list[ExperimentChange]:
        """What happened to one, oldest first.

        Raises:
            UnknownExperiment: there is none by that name.
        """
        self.get(name)
        return self._records.changes(name)

    def create(self, definition: Experiment) -> KeptExperiment:
        """Keep a draft of one.

        Raises:
            NameTaken: there is an experiment by that name.
        """
        with self._database.begin() as connection:
            self._records.create(connection, definition.name, definition.model_dump_json())
        return self.get(definition.name)

    def start(self, name: str) -> KeptExperiment:
        """Let units take part, for the first time or again; whoever took part before sees what it saw then.

        Raises:
            UnknownExperiment, WrongState: there is none, or it is neither a draft nor stopped.
            ReleaseUnsuitable: a variant's release is not published, or does not answer the surface's questions.
            SurfaceTaken, LayerFull: other experiments exclude it, or leave too little room.
        """
        with self._changing(name, "start", "draft", "stopped") as (connection, one, others):
            definition, former = one.definition, one.allocation
            releases = resolved(definition, self._releases, {} if former is None else former.releases)
            _check_surface(one, others)
            layer = _room(one, others, definition.traffic)
            variants: Mapping[str, Spans] = {}
            if definition.kind != "interleaving":
                variants = allocated(_weights(definition)) if former is None else former.variants
            new = Allocation(layer, variants, releases)
            if former is not None and definition.kind == "ab":  # weights may have been changed since
                new = new.with_weights(_weights(definition))
            self._records.change(
                connection,
                one.record,
                "start",
                allocation=new.as_json(),
                detail={"releases": releases, "traffic": new.traffic, "shares": new.shares},
                state="running",
                started=one.record.started or datetime.now(UTC),
                ended=None,
            )
        return self.get(name)

    def stop(self, name: str) -> KeptExperiment:
        """Let nobody take part any more; what was seen is kept, and it can be started again.

        Raises:
            UnknownExperiment, WrongState: there is none, or it is not running.
        """
        with self._changing(name, "stop", "running") as (connection, one, _):
            self._records.change(connection, one.record, "stop", state="stopped", ended=datetime.now(UTC))
        return self.get(name)

    def update(
        self,
        name: str,
        *,
        weights: Mapping[str, float] | None = None,
        traffic: float | None = None,
        overrides: Mapping[str, str | None] | None = None,
    ) -> KeptExperiment:
        """Change who sees what; what is not named stays. Running, it takes effect within a second.

        Args:
            name: of the experiment.
            weights: by variant; no more units change theirs than the shares differ by, and none of those that have seen one.
            traffic: the part of the layer's units.
            overrides: by unit, a variant, or None to forget the unit.

        Raises:
            UnknownExperiment, WrongState: there is none, or it is concluded.
            ChangeInvalid: the definition does not allow it.
            LayerFull: other experiments leave too little room.
        """
        with self._changing(name, "change", "draft", "running", "stopped") as (connection, one, others):
            definition = _changed(one.definition, weights, traffic, overrides)
            allocation = new = one.allocation
            if allocation is not None and one.state == "running":
                if traffic is not None:
                    allocation = replace(allocation, layer=_room(one, others, traffic))
                if weights is not None:
                    allocation = allocation.with_weights(_weights(definition))
            is_new = allocation is not None and allocation != new
            detail = {"weights": weights, "traffic": traffic, "overrides": overrides}
            self._records.change(
                connection,
                one.record,
                "update",
                allocation=allocation.as_json() if allocation is not None and is_new else None,
                detail={field: value for field, value in detail.items() if value is not None},
                definition=definition.model_dump_json(),
            )
        return self.get(name)

    def reallocate(self, name: str, weights: Mapping[str, float], *, revision: int) -> bool:
        """Give a bandit's variants other shares, unless somebody has changed the experiment meanwhile.

        Args:
            name: of the experiment.
            weights: by variant.
            revision: that the weights were computed from.

        Returns:
            Whether it was done.
        """
        with self._changing(name, "reallocate", "draft", "running", "stopped", "concluded") as (connection, one, _):
            if one.state != "running" or one.record.revision != revision or one.allocation is None:
                return False
            new = one.allocation.with_weights(weights)
            allocation = None if new == one.allocation else new.as_json()
            self._records.change(connection, one.record, "reallocate", allocation=allocation, detail={"shares": new.shares})
        return True

    def conclude(self, name: str, *, winner: str | None, reason: str) -> KeptExperiment:
        """End it for good.

        Args:
            name: of the experiment.
            winner: a variant, or None where there is none.
            reason: why, for whoever reads it later.

        Raises:
            UnknownExperiment, WrongState: there is none, or it was never started, or is concluded already.
            ChangeInvalid: it has no such variant.
        """
        report = last_words(self._database, name)
        with self._changing(name, "conclude", "running", "stopped") as (connection, one, _):
            variants = [variant.name for variant in one.definition.variants]
            if winner is not None and winner not in variants:
                message = f"{name!r} has no variant {winner!r}; there are {', '.join(variants)}, or none"
                raise ChangeInvalid(message, [("winner", message)])
            now = datetime.now(UTC)
            outcome = {"winner": winner, "reason": reason, "time": now.isoformat(), "report": report}
            self._records.change(
                connection,
                one.record,
                "conclude",
                detail={"winner": winner, "reason": reason},
                state="concluded",
                ended=now if one.state == "running" else one.record.ended,
                outcome=orjson.dumps(outcome).decode(),
            )
        return self.get(name)

    @contextmanager
    def _changing(
        self, name: str, verb: str, *states: State
    ) -> Iterator[tuple[Connection, KeptExperiment, list[KeptExperiment]]]:
        """A transaction with an experiment in one of these states, and the others that run."""
        self.get(name)  # no store is made to say that it holds nothing
        with self._database.begin() as connection:
            records = self._records.in_transaction(connection, "running", name=name)
            one = _known(next((record for record in records if record.name == name), None), name)
            _expect(one, verb, *states)
            others = [record for record in records if record.state == "running" and record.name != name]
            yield connection, one, [KeptExperiment(record) for record in others]


def _known(record: ExperimentRecord | None, name: str) -> KeptExperiment:
    if record is None:
        raise UnknownExperiment(f"there is no experiment {name!r}; irgan experiment list names those there are")
    return KeptExperiment(record)


_ADVICE = {
    "draft": "start it first",
    "running": "stop it first",
    "stopped": "start it again",
    "concluded": "create another one",
}


def _expect(one: KeptExperiment, verb: str, *states: State) -> None:
    if one.state not in states:
        is_there_already = (verb, one.state) == ("start", "running") or (verb, one.state) == ("stop", "stopped")
        advice = "there is nothing to do" if is_there_already else _ADVICE[one.state]
        raise WrongState(
            f"experiment {one.name!r} is {'a draft' if one.state == 'draft' else one.state}; to {verb} one it must be "
            f"{' or '.join('a draft' if state == 'draft' else state for state in states)}: {advice}"
        )


def _weights(definition: Experiment) -> dict[str, float]:
    return {variant.name: variant.weight for variant in definition.variants}


def _changed(
    definition: Experiment,
    weights: Mapping[str, float] | None,
    traffic: float | None,
    overrides: Mapping[str, str | None] | None,
) -> Experiment:
    if weights is not None and definition.kind != "ab":
        why = (
            "a bandit's shares follow its figures"
            if definition.kind == "bandit"
            else "interleaving shows all variants to everybody"
        )
        raise ChangeInvalid(f"weights cannot be changed: {why}", [("weights", why)])
    changed = definition.model_dump(mode="json")
    unknown = sorted(set(weights or {}) - {variant.name for variant in definition.variants})
    if unknown:
        message = f"{definition.name!r} has no variant {unknown[0]!r}; there are {', '.join(_weights(definition))}"
        raise ChangeInvalid(message, [(f"weights.{unknown[0]}", message)])
    names = _weights(definition)
    wrong = [(unit, variant) for unit, variant in (overrides or {}).items() if variant is not None and variant not in names]
    if wrong:
        told = ", ".join(sorted({variant for _, variant in wrong}))
        message = f"overrides name {told}; the variants are {', '.join(names)}"
        raise ChangeInvalid(message, [(f"overrides.{unit}", f"there is no variant {variant!r}") for unit, variant in wrong])
    for variant in changed["variants"]:
        variant["weight"] = (weights or {}).get(variant["name"], variant["weight"])
    if traffic is not None:
        changed["traffic"] = traffic
    merged = {**changed["overrides"], **(overrides or {})}
    changed["overrides"] = {unit: variant for unit, variant in merged.items() if variant is not None}
    try:
        return Experiment.model_validate(changed)
    except ValidationError as error:
        problems = [(".".join(map(str, found["loc"])), found["msg"].removeprefix("Value error, ")) for found in error.errors()]
        shown = "; ".join(f"{place}: {message}" if place else message for place, message in problems)
        raise ChangeInvalid(shown, problems) from error


def _check_surface(one: KeptExperiment, others: list[KeptExperiment]) -> None:
    mine = one.definition
    for other in others:
        its = other.definition
        if its.surface == mine.surface and its.in_layer != mine.in_layer:
            raise SurfaceTaken(
                f"{other.name!r} runs on {mine.surface} in layer {its.in_layer!r}, and an answer has one ranking only: "
                f"give {one.name!r} the same layer, or stop {other.name!r}"
            )
        if (its.surface == mine.surface or its.in_layer == mine.in_layer) and its.unit != mine.unit:
            raise SurfaceTaken(
                f"{other.name!r} assigns {its.unit}s in layer {its.in_layer!r}, {one.name!r} would assign {mine.unit}s: "
                f"take the same unit, or stop {other.name!r}"
            )


def _room(one: KeptExperiment, others: list[KeptExperiment], traffic: float) -> Spans:
    layer = one.definition.in_layer
    there = [other for other in others if other.definition.in_layer == layer and other.allocation is not None]
    taken = union(*(other.allocation.layer for other in there if other.allocation is not None))
    found = resized(() if one.allocation is None else one.allocation.layer, taken, traffic)
    if found is None:
        running = ", ".join(
            f"{other.name} {100 * other.allocation.traffic:.6g}%" for other in there if other.allocation is not None
        )
        raise LayerFull(
            f"layer {layer!r} has {100 * free_share(taken):.6g}% of its units left, {one.name!r} wants {100 * traffic:.6g}%; "
            f"running there: {running}; take less traffic, or stop one of them"
        )
    return found
