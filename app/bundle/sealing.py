"""The manifest vouches for all other files of a bundle; its own SHA-256, in a file beside it, vouches for the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.bundle.errors import FileDamaged

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
"""As `sha256sum` writes it, so that `sha256sum --check` reads it."""


def write_manifest(folder: Path, content: str) -> None:
    """Write the manifest and its SHA-256."""
    (folder / MANIFEST).write_text(content, encoding="utf-8")
    seal(folder)


def seal(folder: Path) -> None:
    """Write the SHA-256 of a manifest that is there."""
    (folder / SEAL).write_text(_seal((folder / MANIFEST).read_bytes()), encoding="utf-8")


def check_seal(where: Path | str, manifest: bytes, seal: bytes | None) -> None:
    """Compare a manifest with its SHA-256; bundles written before there was one have none.

    Raises:
        FileDamaged: the two do not agree.
    """
    if seal is not None and seal != _seal(manifest).encode():
        raise FileDamaged(f"{where}: {MANIFEST} differs from its SHA-256 in {SEAL}; copy the bundle again")


def _seal(manifest: bytes) -> str:
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n"
