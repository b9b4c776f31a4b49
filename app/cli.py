"""The command `irgan`: the service's own commands, and those that other installed parts add.

A part adds commands by an entry point of the group `irgan.commands`: a function that takes a `typer.Typer` and registers them. They
are imported only when a command is asked for that the service does not have, so serving never loads what training needs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.commands import events, experiment, keys
from app.commands.releases import ReleasesFolder, Slot, promote, publish, releases, rollback

if TYPE_CHECKING:
    from app.settings import Settings

_COMMANDS = "irgan.commands"
_CLOSED_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended."""
_WRITTEN_SHORT = re.compile(r"\d+ requested and \d+ written")
"""All that NumPy says of a full disk."""


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
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure",
            help="Answer other machines without API keys: something in front checks who asks.",
            envvar="IRGAN_INSECURE",
            show_default=False,
        ),
    ] = None,
    access_log: Annotated[
        bool | None,
        typer.Option("--access-log", help="Log every request.", envvar="IRGAN_ACCESS_LOG", show_default=False),
    ] = None,
) -> None:
    """Answer over HTTP from what a slot points to, and follow the slot; stop with Ctrl-C."""
    settings = _settings(host=host, port=port, releases=releases, slot=slot, insecure=insecure, access_log=access_log)
    from app.serve import serve as run  # noqa: PLC0415 - heavy

    run(settings)


for _command in (publish, promote, rollback):
    app.command()(_command)
app.add_typer(releases, name="releases")


def _settings(**given: Any) -> Settings:
    from app.settings import read_settings  # noqa: PLC0415 - pydantic takes its time

    return read_settings(**given)


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
        short = error.errno is None and _WRITTEN_SHORT.fullmatch(str(error))
        _say(f"No space left on device ({error})" if short else f"{error.strerror or error}{place}")
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
