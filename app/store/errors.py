"""Errors of the store.

StoreUnusable (exit code 1)   the database cannot be opened, read or written
"""

from __future__ import annotations

from app.errors import ServiceError


class StoreUnusable(ServiceError):
    """The database cannot be opened, read or written; the message says which one and why."""
