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
from app.bundle.sealing import MANIFEST, SEAL, check_seal
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
    if (path / MANIFEST).is_symlink():
        raise ManifestInvalid(f"{path}: {MANIFEST} is a link; expected the file itself")
    try:
        content = (path / MANIFEST).read_bytes()
        sealed = (path / SEAL).read_bytes() if (path / SEAL).exists() else None
    except FileNotFoundError as error:
        raise BundleNotFound(f"{path} holds no {MANIFEST}; expected a bundle's folder NAME/VERSION") from error
    except OSError as error:
        raise ManifestInvalid(f"{path / MANIFEST} cannot be read: {error}") from error
    return parse_manifest(content, sealed, path)


def parse_manifest(content: bytes, sealed: bytes | None, where: Path | str) -> AnyManifest:
    """Check a manifest that was read somewhere.

    Args:
        content: of the file.
        sealed: the file with its SHA-256; None where there is none.
        where: the bundle's folder, for messages.

    Raises:
        SchemaUnsupported: another schema version.
        ManifestInvalid: not JSON, or against the schema.
        FileDamaged: it differs from its SHA-256.
    """
    try:
        parsed = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"{where}/{MANIFEST} cannot be read: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestInvalid(f"{where}/{MANIFEST} is not JSON: {error}") from error
    found = parsed.get("schema_version") if isinstance(parsed, dict) else None
    known = get_args(SchemaVersion)
    if isinstance(found, int) and found not in known:
        raise SchemaUnsupported(
            f"{where} has bundle schema {found}, this version of irgan reads {' and '.join(map(str, known))}; "
            "upgrade irgan or export the ranker again"
        )
    try:
        manifest = _MANIFEST.validate_python(parsed)
    except pydantic.ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())
        raise ManifestInvalid(f"{where}/{MANIFEST} breaks the schema: {problems}") from error
    check_seal(where, content, sealed)
    return manifest


def check_files(path: Path) -> AnyManifest:
    """Read a bundle's manifest and compare every file with it, without looking at what the files mean.

    Raises:
        BundleError: as `read_manifest`; or a file is missing, or differs in its size or its SHA-256.
    """
    manifest = read_manifest(path)
    _verify_files(path, manifest)
    return manifest


def read_bundle(path: Path) -> AnyBundle:
    """Read and verify a bundle of any kind: manifest, then sizes, then SHA-256, then content.

    Raises:
        BundleError: one of its kinds, for the first thing found wrong.
    """
    manifest = check_files(path)
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
