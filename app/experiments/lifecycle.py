"""What can be done with an experiment, and when: draft → running ⇄ stopped → concluded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection

from app.experiments.assignment import Allocation, allocated
from app.experiments.changes import changed, weights_of
from app.experiments.definition import Experiment
from app.experiments.errors import ChangeInvalid, UnknownExperiment, WrongState
from app.experiments.kept import KeptExperiment
from app.experiments.neighbours import check_surface, room
from app.experiments.rankers import resolved
from app.experiments.reports import last_words
from app.experiments.spans import Spans
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
            check_surface(one, others)
            layer = room(one, others, definition.traffic)
            variants: Mapping[str, Spans] = {}
            if definition.kind != "interleaving":
                variants = allocated(weights_of(definition)) if former is None else former.variants
            new = Allocation(layer, variants, releases)
            if former is not None and definition.kind == "ab":  # weights may have been changed since
                new = new.with_weights(weights_of(definition))
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
            definition = changed(one.definition, weights, traffic, overrides)
            allocation = new = one.allocation
            if allocation is not None and one.state == "running":
                if traffic is not None:
                    allocation = replace(allocation, layer=room(one, others, traffic))
                if weights is not None:
                    allocation = allocation.with_weights(weights_of(definition))
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
