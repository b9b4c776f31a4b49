"""`irgan experiment create`, `list`, `show`, `start`, `stop`, `update` and `conclude`: on the store, which running services follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.experiment import experiment

if TYPE_CHECKING:
    from app.experiments.kept import KeptExperiment
    from app.experiments.lifecycle import Experiments

Name = Annotated[str, typer.Argument(help="The experiment.", show_default=False)]
Store = Annotated[
    str | None, typer.Option(help="The store's address.", envvar="IRGAN_STORE", show_default="sqlite:///irgan.db")
]
ReleasesFolder = Annotated[
    str | None,
    typer.Option(
        "--releases",
        help="The folder of releases, or an object store's address.",
        envvar="IRGAN_RELEASES",
        show_default="releases",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def _choice(text: str) -> Any:
    return typer.Option(help=text, show_default=False)


@experiment.command()
def create(
    file: Annotated[
        Path | None,
        typer.Argument(help="The definition, JSON or TOML; options take the place of its fields.", show_default=False),
    ] = None,
    *,
    name: Annotated[str | None, _choice("Its name.")] = None,
    variant: Annotated[
        list[str] | None,
        _choice("NAME=RELEASE or NAME=RELEASE@WEIGHT, a release being NAME/VERSION or a slot; repeat it, the control first."),
    ] = None,
    kind: Annotated[str | None, _choice("ab (default), interleaving or bandit.")] = None,
    surface: Annotated[str | None, _choice("recommendations (default), similar, search or rerank.")] = None,
    unit: Annotated[str | None, _choice("user (default) or session.")] = None,
    traffic: Annotated[float | None, _choice("The part of the units that takes part; all by default.")] = None,
    layer: Annotated[str | None, _choice("Experiments of one layer share no unit; by default the surface.")] = None,
    primary: Annotated[str | None, _choice("The metric that decides; click-through by default.")] = None,
    secondary: Annotated[list[str] | None, _choice("A metric to be reported as well; repeat it for more.")] = None,
    guardrail: Annotated[
        list[str] | None, _choice("METRIC or METRIC@MARGIN that must not get worse; repeat it for more.")
    ] = None,
    minimum_effect: Annotated[
        float | None, _choice("The smallest difference worth knowing of, relative to the control.")
    ] = None,
    planned_units: Annotated[
        int | None, _choice("Units, of all variants together, at which intervals are narrowest; see irgan experiment plan.")
    ] = None,
    interleaver: Annotated[str | None, _choice("How answers are mixed: team-draft (default), balanced or optimised.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Keep a draft of an experiment; nobody takes part until it is started."""
    from app.experiments.files import read_definition  # noqa: PLC0415 - heavy

    given = {
        "name": name,
        "kind": kind,
        "surface": surface,
        "variants": None if not variant else [_variant(text) for text in variant],
        "unit": unit,
        "traffic": traffic,
        "layer": layer,
        "primary": primary,
        "secondary": secondary or None,
        "guardrails": None if not guardrail else [_guardrail(text) for text in guardrail],
        "minimum_effect": minimum_effect,
        "planned_units": planned_units,
        "interleaver": interleaver,
    }
    definition = read_definition(file, {field: value for field, value in given.items() if value is not None})
    with _experiments(store) as experiments:
        _told(experiments.create(definition), as_json, f"is a draft; start it: irgan experiment start {definition.name}")


@experiment.command("list")
def list_all(*, store: Store = None, as_json: AsJson = False) -> None:
    """All experiments, by name."""
    with _experiments(store) as experiments:
        found = experiments.all()
    if as_json:
        typer.echo(json.dumps({"experiments": [one.as_json() for one in found]}, ensure_ascii=False))
        return
    if not found:
        typer.echo("there are no experiments; create one: irgan experiment create FILE")
    for one in found:
        definition = one.definition
        variants = " · ".join(f"{variant.name} {variant.release}" for variant in definition.variants)
        typer.echo(f"{one.name}  {one.state}, {definition.kind} on {definition.surface}: {variants}")


@experiment.command()
def show(name: Name, *, store: Store = None, as_json: AsJson = False) -> None:
    """An experiment, and what happened to it."""
    with _experiments(store) as experiments:
        one, history = experiments.get(name), experiments.history(name)
    changes = [{"time": change.time.isoformat(), "action": change.action, "detail": dict(change.detail)} for change in history]
    if as_json:
        typer.echo(json.dumps({**one.as_json(), "history": changes}, ensure_ascii=False))
        return
    told, definition = one.as_json(), one.definition
    typer.echo(
        f"{name}: {one.state}, {definition.kind} on {definition.surface}, {_percent(definition.traffic)} of the {definition.unit}s"
    )
    for variant in definition.variants:
        share = (
            f", {_percent(told['shares'][variant.name])}" if variant.name in told["shares"] else f", weight {variant.weight:g}"
        )
        typer.echo(f"  {variant.name}: {told['releases'].get(variant.name, variant.release)}{share}")
    typer.echo(f"  decides: {definition.primary.name}; smallest difference of interest {_percent(definition.minimum_effect)}")
    if told["outcome"] is not None:
        typer.echo(f"  winner: {told['outcome']['winner'] or 'none'}; {told['outcome']['reason']}")
    for happened in history:
        detail = json.dumps(dict(happened.detail), ensure_ascii=False) if happened.detail else ""
        typer.echo(f"{happened.time:%Y-%m-%d %H:%M:%S}  {happened.action}  {detail}".rstrip())


@experiment.command()
def start(name: Name, *, store: Store = None, releases: ReleasesFolder = None, as_json: AsJson = False) -> None:
    """Let units take part, for the first time or again; running services follow within a second."""
    with _experiments(store, releases) as experiments:
        _told(experiments.start(name), as_json, f"is running; see what comes of it: irgan experiment report {name}")


@experiment.command()
def stop(name: Name, *, store: Store = None, as_json: AsJson = False) -> None:
    """Let the champion answer everybody again; started again, units see what they saw."""
    with _experiments(store) as experiments:
        _told(experiments.stop(name), as_json, "is stopped")


@experiment.command()
def update(
    name: Name,
    *,
    weight: Annotated[list[str] | None, _choice("VARIANT=WEIGHT, relative to the others' weights; repeat it for more.")] = None,
    traffic: Annotated[float | None, _choice("The part of the layer's units that takes part.")] = None,
    override: Annotated[
        list[str] | None,
        _choice("UNIT=VARIANT, what a unit sees whatever its assignment; UNIT= forgets it; repeat it for more."),
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Change weights, traffic or overrides, also while it runs; who has seen a variant keeps it."""
    if not weight and traffic is None and not override:
        raise _invalid("nothing is changed; give --weight, --traffic or --override")
    weights = {variant: _number(value, text) for text in weight or () for variant, value in [_pair(text)]}
    overrides = {unit: variant or None for text in override or () for unit, variant in [_pair(text)]}
    with _experiments(store) as experiments:
        changed = experiments.update(name, weights=weights or None, traffic=traffic, overrides=overrides or None)
        shares = ", ".join(f"{variant} {_percent(share)}" for variant, share in changed.as_json()["shares"].items())
        _told(changed, as_json, f"is changed; {_percent(changed.definition.traffic)} take part{': ' if shares else ''}{shares}")


@experiment.command()
def conclude(
    name: Name,
    *,
    winner: Annotated[str | None, _choice("The variant that won; leave it out where none did.")] = None,
    reason: Annotated[str, _choice("Why, for whoever reads it later.")],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """End an experiment for good; what answers in the slots stays until the winner is published."""
    with _experiments(store) as experiments:
        done = experiments.conclude(name, winner=winner, reason=reason)
        release = None if winner is None or done.allocation is None else done.allocation.releases[winner]
        _told(
            done, as_json, "is concluded" + (", without a winner" if winner is None else f"; {winner} wins, which is {release}")
        )


@contextmanager
def _experiments(store: str | None, releases: str | None = None) -> Iterator[Experiments]:
    from app.experiments.lifecycle import Experiments  # noqa: PLC0415 - heavy
    from app.releases import open_releases  # noqa: PLC0415 - heavy
    from app.releases.history import this_account  # noqa: PLC0415 - likewise
    from app.settings import read_settings  # noqa: PLC0415 - heavy
    from app.store import Database  # noqa: PLC0415 - heavy

    settings = read_settings(store=store, releases=releases)
    database = Database(settings.store)
    try:
        yield Experiments(database, open_releases(settings.releases, cache=settings.releases_cache), by=this_account())
    finally:
        database.close()


def _told(one: KeptExperiment, as_json: bool, what: str) -> None:
    if as_json:
        typer.echo(json.dumps(one.as_json(), ensure_ascii=False))
    else:
        typer.echo(f"experiment {one.name} {what}")


def _percent(part: float) -> str:
    return f"{100 * part:.6g}%"


def _pair(text: str) -> tuple[str, str]:
    # A unit may hold the sign itself, a variant cannot.
    name, sign, value = text.rpartition("=")
    if not sign:
        raise _invalid(f"{text!r} has no '='; expected NAME=VALUE")
    return name, value


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise _invalid(f"{text!r}: {value!r} is no number") from None


def _variant(text: str) -> dict[str, Any]:
    name, value = _pair(text)
    release, sign, weight = value.partition("@")
    return {"name": name, "release": release, **({"weight": _number(weight, text)} if sign else {})}


def _guardrail(text: str) -> dict[str, Any]:
    metric, sign, margin = text.partition("@")
    return {"metric": metric, **({"margin": _number(margin, text)} if sign else {})}


def _invalid(message: str) -> Exception:
    from app.experiments.errors import DefinitionInvalid  # noqa: PLC0415 - so that the command line starts fast

    return DefinitionInvalid(message)
