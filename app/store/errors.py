"""Errors of the store.

StoreUnusable (exit code 1)   the database cannot be opened, read or written
└── StoreBusy                 more is to be written than can be at once
NameTaken (exit code 2)       there is something by that name already
"""

from __future__ import annotations

from app.errors import ServiceError


class StoreUnusable(ServiceError):
    """The database cannot be opened, read or written; the message says which one and why."""


class StoreBusy(StoreUnusable):
    """More is to be written than can be at once."""


class NameTaken(ServiceError):
    """There is something by that name already."""

    exit_code = 2
