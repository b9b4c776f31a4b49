"""`irgan keys create`, `list` and `revoke`: who may ask the service what; services on the store follow within a second."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import SettingsInvalid

if TYPE_CHECKING:
    from app.store import KeyRecord, Keys

keys = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_LONGEST_DAYS = 36_500

Name = Annotated[str, typer.Argument(help="Whose key it is, such as shop or prometheus.", show_default=False)]
Store = Annotated[
    str | None, typer.Option(help="The store's address.", envvar="IRGAN_STORE", show_default="sqlite:///irgan.db")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@keys.command()
def create(
    name: Name,
    *,
    roles: Annotated[
        list[str],
        typer.Option(
            "--role", help="read (rankings, and to look), events (report them), admin (everything); repeat it for more."
        ),
    ],
    expires: Annotated[
        str | None, typer.Option(help="Counts for so long: 90d, 12h, 30m; without it until revoked.", show_default=False)
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, once; from then on services on the store ask for keys. Another one of the same name may overlap."""
    until = None if expires is None else datetime.now(UTC) + _span(expires)
    with _keys(store) as known:
        key = known.create(name, roles, expires=until)  # type: ignore[arg-type] # it says which roles there are
    if as_json:
        typer.echo(json.dumps({"name": name, "roles": roles, "expires": until and until.isoformat(), "key": key}))
        return
    typer.echo(key)
    typer.echo("It is not shown again. Send it as: Authorization: Bearer KEY", err=True)


@keys.command("list")
def list_all(*, store: Store = None, as_json: AsJson = False) -> None:
    """All keys there ever were: their names, roles and times, not the keys themselves."""
    with _keys(store) as known:
        found = known.all()
    now = datetime.now(UTC)
    if as_json:
        told = [
            {
                "number": key.number,
                "name": key.name,
                "roles": sorted(key.roles),
                "state": _state(key, now),
                **{name: (time := getattr(key, name)) and time.isoformat() for name in ("created", "expires", "revoked")},
            }
            for key in found
        ]
        typer.echo(json.dumps({"keys": told}))
        return
    if not found:
        typer.echo("there are no keys: services answer everybody on their own machine; irgan keys create NAME --role read")
    for key in found:
        until = f", expires {key.expires:%Y-%m-%d %H:%M}" if key.expires is not None and key.revoked is None else ""
        typer.echo(
            f"{key.number}  {key.name}  {','.join(sorted(key.roles))}  {_state(key, now)}, made {key.created:%Y-%m-%d %H:%M}{until}"
        )


@keys.command()
def revoke(
    name: Name,
    *,
    keep_newest: Annotated[bool, typer.Option("--keep-newest", help="All but the last one made, to end a rotation.")] = False,
    store: Store = None,
) -> None:
    """Let the keys of a name count no more, within a second, for good."""
    with _keys(store) as known:
        count = known.revoke(name, keep_newest=keep_newest)
    typer.echo(f"{count} {'key' if count == 1 else 'keys'} of {name} {'is' if count == 1 else 'are'} revoked")


@contextmanager
def _keys(store: str | None) -> Iterator[Keys]:
    from app.settings import read_settings  # noqa: PLC0415 - heavy
    from app.store import Database, Keys  # noqa: PLC0415 - likewise

    database = Database(read_settings(store=store).store)
    try:
        yield Keys(database)
    finally:
        database.close()


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,7})([dhm])", text)
    if found is None or (span := int(found[1]) * _UNITS[found[2]]) > timedelta(days=_LONGEST_DAYS):
        raise SettingsInvalid(
            f"--expires {text}: expected a number of days, hours or minutes, such as 90d, 12h or 30m, a hundred years at most"
        )
    return span


def _state(key: KeyRecord, now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= now else "counts"
