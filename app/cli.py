"""The command `irgan`: the service's own commands, and those that other installed parts add.

A part adds commands by an entry point of the group `irgan.commands`: a function that takes a `typer.Typer` and registers them. They
are imported only when a command is asked for that the service does not have, so serving never loads what training needs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.commands import events, experiment, keys

if TYPE_CHECKING:
    from app.releases import ReleaseStore
    from app.settings import Settings

_COMMANDS = "irgan.commands"
_CLOSED_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended."""

ReleasesFolder = Annotated[
    Path | None, typer.Option("--releases", help="The folder of releases.", envvar="IRGAN_RELEASES", show_default="releases")
]
Slot = Annotated[str | None, typer.Option(help="The slot.", envvar="IRGAN_SLOT", show_default="champion")]


class _Commands(TyperGroup):
    """The commands written here, then those of other parts."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, the service's first."""
        own = super().list_commands(ctx)
        return own + [name for name in self._others(ctx) if name not in own]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of ours, without looking further; else one of the others."""
        return super().get_command(ctx, cmd_name) or self._others(ctx).get(cmd_name)

    def _others(self, ctx: Any) -> dict[str, Any]:
        found: dict[str, Any] | None = ctx.meta.get(_COMMANDS)
        if found is None:
            found = ctx.meta[_COMMANDS] = _plugged_in()
        return found


def _plugged_in() -> dict[str, Any]:
    """The commands of other parts; a part that cannot be loaded costs one line, and the others remain."""
    commands: dict[str, Any] = {}
    for entry in sorted(importlib.metadata.entry_points(group=_COMMANDS), key=lambda entry: entry.name):
        part = typer.Typer()
        try:
            entry.load()(part)
            group: Any = typer.main.get_group(part)
        except Exception as error:
            _say(f"the commands of {entry.name!r} are missing: {type(error).__name__}: {error}")
            continue
        commands |= group.commands
    return commands


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(experiment, name="experiment")
app.add_typer(events, name="events")
app.add_typer(keys, name="keys")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"irgan {importlib.metadata.version('irgan')}")
        raise typer.Exit


@app.callback()
def irgan(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Adversarially trained ranking: learn rankers offline, serve them over HTTP, find out which is better."""


@app.command()
def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", envvar="IRGAN_HOST", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; 0 takes a free one.", envvar="IRGAN_PORT", show_default="8000")
    ] = None,
    releases: ReleasesFolder = None,
    slot: Slot = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
) -> None:
    """Answer over HTTP from what a slot points to, and follow the slot; stop with Ctrl-C."""
    settings = _settings(host=host, port=port, releases=releases, slot=slot)
    from app.serve import serve as run  # noqa: PLC0415 - heavy

    run(settings, access_log=access_log)


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder NAME/VERSION.", show_default=False)],
    *,
    slot: Slot = None,
    releases: ReleasesFolder = None,
) -> None:
    """Verify a bundle, copy it into the releases and let a slot point to it; services follow within a second."""
    settings = _settings(releases=releases, slot=slot)
    release = _store(settings).publish(bundle, settings.slot)
    typer.echo(f"{release} is published in slot {settings.slot} of {settings.releases}")


@app.command()
def rollback(*, slot: Slot = None, releases: ReleasesFolder = None) -> None:
    """Let a slot point to the release before; again, and it goes further back."""
    settings = _settings(releases=releases, slot=slot)
    release = _store(settings).rollback(settings.slot)
    typer.echo(f"slot {settings.slot} of {settings.releases} is back at {release}")


@app.command("releases")
def list_releases(
    *,
    releases: ReleasesFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """What is published, and what each slot points to and has pointed to."""
    settings = _settings(releases=releases)
    store = _store(settings)
    slots, manifests = store.slots(), store.published()
    if as_json:
        histories = {
            slot: [
                {"time": change.time.isoformat(), "action": change.action, "release": change.release}
                for change in store.history(slot)
            ]
            for slot in slots
        }
        bundles = [
            {"release": f"{m.name}/{m.version}", "ranker": m.ranker, "created": m.created.isoformat(), "metrics": m.metrics}
            for m in manifests
        ]
        typer.echo(json.dumps({"slots": slots, "bundles": bundles, "history": histories}, ensure_ascii=False))
        return
    if not manifests:
        typer.echo(f"nothing is published in {settings.releases}; publish a bundle: irgan publish BUNDLE")
    for manifest in manifests:
        release = f"{manifest.name}/{manifest.version}"
        pointing = ", ".join(slot for slot, target in slots.items() if target == release)
        made = manifest.created.strftime("%Y-%m-%d %H:%M")
        typer.echo(f"{release}  {manifest.ranker}, made {made}" + (f"  ← {pointing}" if pointing else ""))


def _settings(**given: Any) -> Settings:
    from app.settings import read_settings  # noqa: PLC0415 - pydantic takes its time

    return read_settings(**given)


def _store(settings: Settings) -> ReleaseStore:
    from app.releases import ReleaseStore  # noqa: PLC0415 - heavy

    return ReleaseStore(settings.releases)


def main() -> None:
    """Run `irgan`: errors a person can cause are one message on stderr and an exit code, never a traceback."""
    try:
        try:
            app(prog_name="irgan")
        finally:
            sys.stdout.flush()  # a full disk or a closed pipe shows here, while somebody can still say so
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        _give_up_stdout()
        if error.errno == errno.EPIPE:
            sys.exit(_CLOSED_PIPE)
        place = f": {error.filename}" if error.filename else ""
        _say(f"{error.strerror or error}{place}")
        sys.exit(1)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise  # a mistake of ours: its traceback is wanted
        _say(str(error))
        sys.exit(code)


def _say(message: str) -> None:
    typer.echo(f"irgan: {message}", err=True)


def _give_up_stdout() -> None:
    """Let what could not be written go nowhere, so that the interpreter does not complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):  # there may be no such file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
