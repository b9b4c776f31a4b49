"""Errors of the bundle contract.

BundleError
├── BundleNotFound        no such folder, or no manifest in it
├── ManifestInvalid       the manifest is not JSON, or breaks the schema
├── SchemaUnsupported     written by a newer or unknown schema version
├── FileDamaged           a file is missing, has another size or another SHA-256
└── ContentInvalid        the files are intact, and contradict each other or the manifest

UnknownId                 an external id that the vocabulary does not hold
"""

from __future__ import annotations


class BundleError(Exception):
    """A bundle cannot be read or written; the message says what was found and what to do."""

    exit_code = 2


class BundleNotFound(BundleError):
    """There is no bundle at the given path."""


class ManifestInvalid(BundleError):
    """The manifest cannot be parsed or breaks its schema."""


class SchemaUnsupported(BundleError):
    """The manifest's schema version is not one that this reader knows."""


class FileDamaged(BundleError):
    """A file is missing, truncated or altered."""


class ContentInvalid(BundleError):
    """The files are intact but do not fit together."""


class UnknownId(KeyError):
    """An external id is not in the vocabulary."""

    exit_code = 2

    def __init__(self, kind: str, ids: list[str]) -> None:
        self.kind = kind
        self.ids = ids
        shown = ", ".join(repr(i) for i in ids[:5]) + (" …" if len(ids) > 5 else "")
        super().__init__(f"unknown {kind}: {shown}")

    def __str__(self) -> str:
        return str(self.args[0])
