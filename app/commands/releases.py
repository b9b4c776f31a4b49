"""`irgan publish`, `promote`, `rollback` and `irgan releases`: which bundles are kept, and which of them answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from app.bundle import Manifest
    from app.releases import Change, KeptReleases
    from app.settings import Settings

_ALL_SLOTS = "*"
_HEADLINES = ("nDCG@10", "R@10", "AP")
"""The metrics of the table, of the protocol or part that the manifest names first."""

ReleasesFolder = Annotated[
    str | None,
    typer.Option(
        "--releases",
        help="The folder of releases, or an object store's address such as s3://bucket/prefix.",
        envvar="IRGAN_RELEASES",
        show_default="releases",
    ),
]
Slot = Annotated[str | None, typer.Option(help="The slot.", envvar="IRGAN_SLOT", show_default="champion")]
By = Annotated[str | None, typer.Option(help="Who does it, for the history.", show_default="this account and host")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


class _Releases(TyperGroup):
    """Lets `--history` stand with a slot or without."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, the slot that is missing being all of them."""
        if "--history" in args:
            at = args.index("--history")
            if at + 1 == len(args) or args[at + 1].startswith("-"):
                args = [*args[: at + 1], _ALL_SLOTS, *args[at + 1 :]]
        return super().parse_args(ctx, args)


releases = typer.Typer(cls=_Releases, invoke_without_command=True, help="What is kept and what answers; delete old releases.")


def publish(
    bundle: Annotated[
        Path, typer.Argument(help="A bundle's folder NAME/VERSION, or NAME for its latest version.", show_default=False)
    ],
    *,
    slot: Slot = None,
    by: By = None,
    releases: ReleasesFolder = None,
) -> None:
    """Verify a bundle, copy it into the releases and let a slot point to it; services follow within a second."""
    settings = _settings(releases=releases, slot=slot)
    from app.releases import latest_bundle  # noqa: PLC0415 - heavy

    release = _store(settings).publish(latest_bundle(bundle), settings.slot, by=by)
    typer.echo(f"{release} is published in slot {settings.slot} of {settings.releases}")


def promote(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE|SLOT",
            help="A kept release NAME/VERSION, or the slot that points to it, such as challenger.",
            show_default=False,
        ),
    ],
    *,
    slot: Annotated[
        str | None, typer.Option("--to", help="The slot that is to point to it.", envvar="IRGAN_SLOT", show_default="champion")
    ] = None,
    by: By = None,
    releases: ReleasesFolder = None,
) -> None:
    """Verify a release that is kept already and let another slot point to it; services follow within a second."""
    settings = _settings(releases=releases, slot=slot)
    release = _store(settings).promote(source, settings.slot, by=by)
    typer.echo(f"slot {settings.slot} of {settings.releases} points to {release}")


def rollback(
    *,
    slot: Slot = None,
    to: Annotated[
        str | None, typer.Option(help="A kept release NAME/VERSION, in place of the one before.", show_default=False)
    ] = None,
    by: By = None,
    releases: ReleasesFolder = None,
) -> None:
    """Let a slot point to the release before; again, and it goes further back."""
    settings = _settings(releases=releases, slot=slot)
    release = _store(settings).rollback(settings.slot, to=to, by=by)
    typer.echo(f"slot {settings.slot} of {settings.releases} is back at {release}")


@releases.callback()
def table(
    ctx: typer.Context,
    *,
    history: Annotated[
        str | None,
        typer.Option(metavar="[SLOT]", help="What the slots, or one of them, pointed to, since when and by whom."),
    ] = None,
    releases: ReleasesFolder = None,
    as_json: AsJson = False,
) -> None:
    """What is kept, and what each slot points to and has pointed to."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = releases  # for a command after it
        return
    settings = _settings(releases=releases)
    store = _store(settings)
    slots = store.slots()
    if history is not None:
        wanted = slots if history == _ALL_SLOTS else [history]
        _tell_history({slot: store.history(slot) for slot in wanted}, as_json)
        return
    histories, manifests = {slot: store.history(slot) for slot in slots}, store.published()
    first_live = _first_live(histories)
    if as_json:
        bundles = [
            {
                "release": m.release,
                "ranker": m.ranker,
                "created": m.created.isoformat(),
                "size": m.size,
                "metrics": m.metrics,
                "slots": [slot for slot, release in slots.items() if release == m.release],
                "first_live": _iso(first_live.get(m.release)),
            }
            for m in manifests
        ]
        told = {"slots": slots, "bundles": bundles, "history": _as_json(histories)}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    if not manifests:
        typer.echo(f"nothing is published in {settings.releases}; publish a bundle: irgan publish BUNDLE")
        return
    rows = [
        (
            m.release,
            m.ranker,
            _minute(m.created),
            _size(m.size),
            _headline(m),
            _minute(first_live.get(m.release)),
            ", ".join(slot for slot, release in slots.items() if release == m.release),
        )
        for m in manifests
    ]
    _tell_table(("release", "ranker", "made", "size", "metrics", "first live", "slots"), rows)


@releases.command()
def prune(
    ctx: typer.Context,
    *,
    keep: Annotated[int, typer.Option(help="So many of each name stay, those made last.", min=0, show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    store: Annotated[
        str | None,
        typer.Option(
            help="The address of the store that knows the experiments.",
            envvar="IRGAN_STORE",
            show_default="sqlite:///irgan.db",
        ),
    ] = None,
    without_store: Annotated[
        bool, typer.Option("--without-store", help="There are no experiments whose releases must stay.")
    ] = False,
    releases: ReleasesFolder = None,
    as_json: AsJson = False,
) -> None:
    """Delete old releases, but none that a slot points to or would go back to, nor one of an experiment that is not concluded."""
    from app.experiments.retention import needed_releases  # noqa: PLC0415 - heavy
    from app.releases import prune as run  # noqa: PLC0415 - likewise
    from app.store import Database, StoreUnusable  # noqa: PLC0415 - likewise

    source = ctx.get_parameter_source("releases")
    is_own = source is not None and source.name == "COMMANDLINE"
    settings = _settings(releases=releases if is_own else ctx.obj or releases, store=store)  # the environment comes last
    database = Database(settings.store)
    if not without_store and not database.is_there:
        raise StoreUnusable(
            f"there is no store {settings.store}, so nobody can say which releases experiments need; nothing was deleted; "
            "name it (--store or IRGAN_STORE), or say that there are no experiments (--without-store)"
        )
    try:
        in_use = None if without_store else needed_releases(database, dry_run=dry_run)
        gone = run(_store(settings), keep, in_use=in_use, dry_run=dry_run)
    finally:
        database.close()
    if as_json:
        told = [{"release": manifest.release, "size": manifest.size} for manifest in gone]
        typer.echo(json.dumps({"releases": told, "deleted": not dry_run}, ensure_ascii=False))
        return
    for manifest in gone:
        typer.echo(f"{manifest.release}  {_size(manifest.size)}")
    verb = "would be deleted" if dry_run else "deleted"
    number = f"{len(gone)} release{'' if len(gone) == 1 else 's'}" if gone else "no release"
    typer.echo(f"{number} {verb}, {_size(sum(manifest.size for manifest in gone))}")


def _tell_history(histories: Mapping[str, Sequence[Change]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"history": _as_json(histories)}, ensure_ascii=False))
        return
    rows = [
        (f"{change.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}", slot, change.action, change.release, change.by)
        for change, slot in sorted(
            ((change, slot) for slot, changes in histories.items() for change in changes), key=lambda told: told[0].time
        )
    ]
    if rows:
        _tell_table(("when", "slot", "what", "release", "who"), rows)
    else:
        typer.echo("nothing has happened there yet; publish a bundle: irgan publish BUNDLE")


def _as_json(histories: Mapping[str, Sequence[Change]]) -> dict[str, list[dict[str, str | None]]]:
    return {
        slot: [
            {"time": change.time.isoformat(), "action": change.action, "release": change.release, "by": change.by or None}
            for change in changes
        ]
        for slot, changes in histories.items()
    }


def _first_live(histories: Mapping[str, Sequence[Change]]) -> dict[str, datetime]:
    """When a slot first pointed to each release."""
    found: dict[str, datetime] = {}
    for changes in histories.values():
        for change in changes:
            found[change.release] = min(change.time, found.get(change.release, change.time))
    return found


def _headline(manifest: Manifest) -> str:
    for measured in manifest.metrics.values():
        if isinstance(measured, dict):
            return " ".join(f"{name} {measured[name]:.3f}".replace(" 0.", " .") for name in _HEADLINES if name in measured)
    return ""


def _tell_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [names, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _size(number: int) -> str:
    if number < 1000:
        return f"{number} B"
    power = 1 if number < 1e6 else 2 if number < 1e9 else 3
    scaled = number / 1000**power
    return f"{scaled:,.{1 if scaled < 10 else 0}f} {('kB', 'MB', 'GB')[power - 1]}"


def _minute(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _settings(**given: Any) -> Settings:
    from app.settings import read_settings  # noqa: PLC0415 - pydantic takes its time

    return read_settings(**given)


def _store(settings: Settings) -> KeptReleases:
    from app.releases import open_releases  # noqa: PLC0415 - heavy

    return open_releases(settings.releases, cache=settings.releases_cache)
