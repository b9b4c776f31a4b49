"""Errors of the folder of releases.

ReleaseError (a `ServiceError`; exit code 2)
├── ReleasesUnusable      the folder of releases is no folder, or cannot be used now
│   └── ReleasesUnreachable   the object store does not answer
├── ReleasesReadOnly      the folder of releases may not be changed from here
├── SlotInvalid           a slot's name, its pointer or its history cannot be used
├── ReleaseConflict       NAME/VERSION is published already, with another content
├── UnknownRelease        no such release is kept
├── ReleaseDamaged        a kept release can no longer be served
├── ReleasesBusy          another process is changing something
└── NothingToRollBack     the slot had no other release before, or it is no longer kept
"""

from __future__ import annotations

from app.errors import ServiceError


class ReleaseError(ServiceError):
    """The folder of releases cannot do what was asked; it is as it was."""

    exit_code = 2


class ReleasesUnusable(ReleaseError):
    """The folder of releases is no folder, or cannot be used now."""


class ReleasesUnreachable(ReleasesUnusable):
    """The object store that keeps the releases does not answer."""

    exit_code = 1  # no mistake of who asked: later it may answer, and schedulers try again


class ReleasesReadOnly(ReleaseError):
    """The folder of releases may not be changed from here."""


class SlotInvalid(ReleaseError):
    """A slot's name, its pointer or its history cannot be used."""


class ReleaseConflict(ReleaseError):
    """Another bundle was published under the same name and version."""


class UnknownRelease(ReleaseError):
    """No such release is kept, or nothing is published in a slot."""


class ReleaseDamaged(ReleaseError):
    """A kept release can no longer be served."""


class ReleasesBusy(ReleaseError):
    """Another process is changing something, for longer than this one waits."""


class NothingToRollBack(ReleaseError):
    """The slot had no other release before the one it points to, or it is no longer kept."""
