"""Reading a bundle: everything is verified in a fixed order, and each failure has its own message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pydantic
from pydantic import TypeAdapter

from app.bundle.errors import BundleNotFound, ContentInvalid, FileDamaged, ManifestInvalid, SchemaUnsupported
from app.bundle.files import sha256_of
from app.bundle.manifest import AnyManifest, Manifest, RerankManifest, SchemaVersion, SearchManifest
from app.bundle.recommender import Bundle, load_recommender
from app.bundle.rerank import RerankBundle, load_rerank
from app.bundle.sealing import MANIFEST, check_seal
from app.bundle.searching import SearchBundle, load_search

AnyBundle = Bundle | SearchBundle | RerankBundle

_MANIFEST: TypeAdapter[AnyManifest] = TypeAdapter(AnyManifest)


def read_manifest(path: Path) -> AnyManifest:
    """Read and check `path/manifest.json`, and its SHA-256 where that is there, alone.

    Raises:
        BundleNotFound: no folder, or no manifest in it.
        SchemaUnsupported: another schema version.
        ManifestInvalid: not JSON, or against the schema.
        FileDamaged: it differs from its SHA-256.
    """
    if not path.is_dir():
        raise BundleNotFound(f"{path} is no folder; expected a bundle's folder NAME/VERSION")
    try:
        content = (path / MANIFEST).read_bytes()
        raw = content.decode("utf-8")
    except FileNotFoundError as error:
        raise BundleNotFound(f"{path} holds no {MANIFEST}; expected a bundle's folder NAME/VERSION") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid(f"{path / MANIFEST} cannot be read: {error}") from error
    try:
        parsed = json.loads(raw)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestInvalid(f"{path / MANIFEST} is not JSON: {error}") from error
    found = parsed.get("schema_version") if isinstance(parsed, dict) else None
    known = get_args(SchemaVersion)
    if isinstance(found, int) and found not in known:
        raise SchemaUnsupported(
            f"{path} has bundle schema {found}, this version of irgan reads {' and '.join(map(str, known))}; "
            "upgrade irgan or export the ranker again"
        )
    try:
        manifest = _MANIFEST.validate_python(parsed)
    except pydantic.ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())
        raise ManifestInvalid(f"{path / MANIFEST} breaks the schema: {problems}") from error
    check_seal(path, content)
    return manifest


def read_bundle(path: Path) -> AnyBundle:
    """Read and verify a bundle of any kind: manifest, then sizes, then SHA-256, then content.

    Raises:
        BundleError: one of its kinds, for the first thing found wrong.
    """
    manifest = read_manifest(path)
    _verify_files(path, manifest)
    try:
        match manifest:
            case SearchManifest():
                return load_search(path, manifest)
            case RerankManifest():
                return load_rerank(path, manifest)
            case _:
                return load_recommender(path, manifest)
    except ContentInvalid:
        raise
    except Exception as error:  # archives, graphs and tokenizers raise what they like
        raise ContentInvalid(f"{path}: the content cannot be understood: {error}") from error


def _verify_files(path: Path, manifest: Manifest) -> None:
    for entry in manifest.files:
        file = path / entry.path
        if Path(entry.path).name != entry.path or file.is_symlink():
            raise ManifestInvalid(f"{path}: file {entry.path!r} lies outside of the bundle's folder")
        if not file.is_file():
            raise FileDamaged(f"{path}: {entry.path} is missing; copy the bundle again")
        size = file.stat().st_size
        if size != entry.size:
            raise FileDamaged(f"{path}: {entry.path} has {size} bytes, the manifest says {entry.size}; copy the bundle again")
    for entry in manifest.files:
        if sha256_of(path / entry.path) != entry.sha256:
            raise FileDamaged(f"{path}: {entry.path} differs from its SHA-256 in the manifest; copy the bundle again")


def read_recommender(path: Path) -> Bundle:
    """Read and verify a bundle that ranks items for people.

    Raises:
        BundleError: as `read_bundle`; or it is of another kind.
    """
    bundle = read_bundle(path)
    if not isinstance(bundle, Bundle):
        raise ContentInvalid(f"{path} is a ranker of kind {bundle.manifest.kind!r}; expected one that ranks items for people")
    return bundle
