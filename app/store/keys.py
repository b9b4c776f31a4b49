"""API keys: who may ask what. Of a key only its hash is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from sqlalchemy import and_, func, insert, select, update

from app.errors import SettingsInvalid, UnknownKey
from app.store.database import Database
from app.store.tables import API_KEYS

Role = Literal["read", "events", "admin"]
"""What a key may do: ask for rankings and look at things; report events; everything."""
ROLES: tuple[Role, ...] = get_args(Role)

PREFIX = "irgan_"
"""What keys begin with, so that people and scanners recognise one that lies about."""
_BYTES = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key, without what its holder sends.

    Attributes:
        number: tells keys of one name apart; grows.
        name: whose it is.
        digest: SHA-256 of the key.
        roles: what it may do.
        created, expires, revoked: when; the last two None where that has not been asked for.
    """

    number: int
    name: str
    digest: bytes
    roles: frozenset[Role]
    created: datetime
    expires: datetime | None
    revoked: datetime | None

    def may(self, role: Role) -> bool:
        """Whether the key has a role; an administrator has all."""
        return role in self.roles or "admin" in self.roles


def digest_of(key: bytes) -> bytes:
    """What is kept of a key: of 256 random bits a plain hash cannot be turned back."""
    return hashlib.sha256(key).digest()


class Keys:
    """The keys of a store.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, roles: Collection[Role], *, expires: datetime | None = None) -> str:
        """Make a key and return it; it can never be read again. Several may have one name.

        Raises:
            SettingsInvalid: the name or the roles cannot be used, or the key would have expired already.
            StoreUnusable: it cannot be written down; there is no such key then.
        """
        now = datetime.now(UTC)
        if not _NAME.fullmatch(name):
            raise SettingsInvalid(
                f"a key cannot be called {name!r}; expected 1 to 100 lower-case letters, digits, dots, dashes and underscores"
            )
        if not roles or not set(roles) <= set(ROLES):
            raise SettingsInvalid(f"a key needs roles among {', '.join(ROLES)}; found {', '.join(roles) or 'none'}")
        if expires is not None and expires <= now:
            raise SettingsInvalid(f"a key that expires at {expires.isoformat()} would be of no use")
        key = PREFIX + secrets.token_urlsafe(_BYTES)
        row = {
            "name": name,
            "digest": digest_of(key.encode()),
            "roles": ",".join(role for role in ROLES if role in roles),
            "created": now,
            "expires": expires,
            "revoked": None,
        }
        with self._database.begin() as connection:
            connection.execute(insert(API_KEYS), [row])
        return key

    def all(self) -> list[KeyRecord]:
        """All there ever were, in the order in which they were made.

        Raises:
            StoreUnusable: they cannot be read.
        """
        if not self._database.is_there:
            return []
        with self._database.read() as connection:
            found = connection.execute(select(API_KEYS).order_by(API_KEYS.c.number)).all()
        return [
            KeyRecord(
                number=row.number,
                name=row.name,
                digest=bytes(row.digest),
                roles=frozenset(role for role in ROLES if role in row.roles.split(",")),
                created=row.created,
                expires=row.expires,
                revoked=row.revoked,
            )
            for row in found
        ]

    def revoke(self, name: str, *, keep_newest: bool = False) -> int:
        """Let the keys of a name count no more; services follow within a second. Returns how many there were.

        Args:
            name: whose keys.
            keep_newest: all but the last one made.

        Raises:
            UnknownKey: there is none by that name that is not revoked already.
            StoreUnusable: that cannot be written down; the keys still count.
        """
        own = and_(API_KEYS.c.name == name, API_KEYS.c.revoked.is_(None))
        with self._database.begin() as connection:
            newest = connection.execute(select(func.max(API_KEYS.c.number)).where(own)).scalar()
            if newest is None:
                raise UnknownKey(f"there is no key {name!r} that is not revoked; irgan keys list names those there are")
            which = and_(own, API_KEYS.c.number != newest) if keep_newest else own
            return connection.execute(update(API_KEYS).where(which).values(revoked=datetime.now(UTC))).rowcount
