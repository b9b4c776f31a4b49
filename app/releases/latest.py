"""Which bundle is meant where only its name is given."""

from __future__ import annotations

from pathlib import Path

from app.bundle import BundleError, BundleNotFound, read_manifest

_MANIFEST = "manifest.json"


def latest_bundle(path: Path) -> Path:
    """The bundle at `path` where that is a folder NAME/VERSION; where it is NAME, the version that was made last.

    Raises:
        BundleNotFound: it is neither, or nobody can say which version is the latest; the message says what there is.
    """
    if not path.is_dir() or (path / _MANIFEST).is_file():
        return path
    versions = sorted(found.parent for found in path.glob(f"*/{_MANIFEST}") if not found.parent.name.startswith("."))
    if not versions:
        others = sorted(str(found.parent) for found in path.glob(f"*/*/{_MANIFEST}") if not found.parent.name.startswith("."))
        there = f"there are {_listed(others)}" if others else "it holds none"
        raise BundleNotFound(f"{path} is neither a bundle's folder NAME/VERSION nor a folder NAME of versions; {there}")
    try:
        made = {version: read_manifest(version).created for version in versions}
    except BundleError as error:
        raise BundleNotFound(
            f"which version of {path} is the latest cannot be said: {error}; name one of {_listed([v.name for v in versions])}"
        ) from error
    latest = [version for version in versions if made[version] == max(made.values())]
    if len(latest) > 1:
        names = _listed([version.name for version in latest])
        raise BundleNotFound(
            f"{path} holds {len(latest)} versions made at the same time, last of all: {names}; name one of them"
        )
    return latest[0]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
