"""Errors of the folder of releases.

ReleaseError (a `ServiceError`; exit code 2)
├── ReleasesUnusable      the folder of releases is no folder
├── SlotInvalid           a slot's name, its pointer or its history cannot be used
├── ReleaseConflict       NAME/VERSION is published already, with another content
└── NothingToRollBack     the slot had no other release before
"""

from __future__ import annotations

from app.errors import ServiceError


class ReleaseError(ServiceError):
    """The folder of releases cannot do what was asked; it is as it was."""

    exit_code = 2


class ReleasesUnusable(ReleaseError):
    """The folder of releases is no folder."""


class SlotInvalid(ReleaseError):
    """A slot's name, its pointer or its history cannot be used."""


class ReleaseConflict(ReleaseError):
    """Another bundle was published under the same name and version."""


class NothingToRollBack(ReleaseError):
    """The slot had no other release before the one it points to."""
