"""Objects under an address, reached through fsspec: bounded in time, created or not at all, and errors in our words."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.errors import ExtraMissing
from app.releases.errors import ReleasesReadOnly, ReleasesUnreachable, ReleasesUnusable

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The file systems that can create an object only where there is none, in one step, and the extras that bring them. Others of fsspec look
first and write then: two who publish at once would undo each other."""
_SECONDS = 6.0
"""What an answer without a bundle's files may take; whoever asks waits no longer."""
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 2.0, 10.0, 2
_UNREACHABLE = frozenset(
    (
        "ClientConnectionError",
        "ConnectionError",
        "FSTimeoutError",
        "HTTPClientError",
        "ProxyConnectionError",
        "ServerDisconnectedError",
        "TimeoutError",
    )
)
_UNREACHABLE_CODES = frozenset(("500", "503", "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout"))
_CREDENTIALS = frozenset(("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "GoogleAuthError"))
_THERE_ALREADY = frozenset(("PreconditionFailed", "412", "ConditionalRequestConflict", "409"))
_LOCAL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))


@dataclass(frozen=True, slots=True)
class Found:
    """What a listing says of an object.

    Attributes:
        size: bytes.
        tag: another one for another content.
        modified: when it was written; None where nobody says.
    """

    size: int
    tag: str
    modified: datetime | None


class Objects:
    """The objects of an object store whose names begin with a prefix.

    Args:
        url: such as `s3://bucket/prefix`.

    Raises:
        ReleasesUnusable: it is no such address, or of a store that cannot be trusted with this.
        ExtraMissing: what reaches it is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        shown = f"{parts.scheme}://…"
        if "@" in parts.netloc or parts.query or parts.fragment:  # not shown: it may hold a password
            raise ReleasesUnusable(
                f"an address of releases is {parts.scheme}://BUCKET/PREFIX and no more; credentials come from the environment (AWS_…)"
            )
        extra = _EXTRAS.get(parts.scheme.lower())
        if extra is None:
            raise ReleasesUnusable(
                f"releases cannot be kept at {shown}: only s3:// and gs:// are known to create an object where there is none and "
                "else to refuse; give one of them, or a folder"
            )
        if not parts.netloc:
            raise ReleasesUnusable(f"{url} names no bucket; expected {parts.scheme}://BUCKET/PREFIX")
        self.url, self.bucket = url.rstrip("/"), parts.netloc
        try:
            import fsspec  # noqa: PLC0415 - of an extra

            self._fs: Any = fsspec.filesystem(
                parts.scheme.lower(), skip_instance_cache=True, use_listings_cache=False, **_options(extra)
            )
        except ImportError as error:
            raise ExtraMissing(f"releases at {shown} need another package; install it: pip install 'irgan[{extra}]'") from error
        except Exception as error:  # gcsfs asks for credentials at once
            raise self._translated(error, writing=False) from error
        if extra == "s3":
            self._fs.retries = 1  # botocore has tried again already
        self._root = str(self._fs._strip_protocol(self.url)).rstrip("/")

    def list(self, prefix: str) -> dict[str, Found]:
        """All objects below a name, by their names from the root on."""
        with self._in_our_words():
            try:
                found = self._fs.find(f"{self._root}/{prefix}", detail=True, timeout=_SECONDS)
            except FileNotFoundError as error:
                raise ReleasesUnusable(f"{self.url} cannot be used: there is no bucket {self.bucket!r}") from error
        return {
            str(name).removeprefix(f"{self._root}/"): Found(int(info.get("size") or 0), _tag(info), _modified(info))
            for name, info in found.items()
            if info.get("type") != "directory"
        }

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of small objects; those that are not there are left out."""
        paths = {f"{self._root}/{name}": name for name in names}
        if not paths:
            return {}
        with self._in_our_words():
            contents = self._fs.cat(list(paths), on_error="return", timeout=_SECONDS)
            for content in contents.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
        return {paths[path]: content for path, content in contents.items() if not isinstance(content, Exception)}

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a file.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._in_our_words():
            self._fs.get_file(f"{self._root}/{name}", str(target))

    def create(self, name: str, content: bytes | Path) -> None:
        """Make an object where there is none.

        Raises:
            FileExistsError: there is one, or somebody is making it.
        """
        with self._in_our_words(writing=True):
            self._write(name, content, mode="create")

    def replace(self, name: str, content: bytes | Path) -> None:
        """Make an object, whatever there is."""
        with self._in_our_words(writing=True):
            self._write(name, content, mode="overwrite")

    def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        with self._in_our_words(writing=True):
            try:
                self._fs.rm_file(f"{self._root}/{name}", timeout=_SECONDS)
            except FileNotFoundError:
                return

    def _write(self, name: str, content: bytes | Path, *, mode: str) -> None:
        path = f"{self._root}/{name}"
        if isinstance(content, Path):
            self._fs.put_file(str(content), path, mode=mode)
        else:
            self._fs.pipe_file(path, content, mode=mode, timeout=_SECONDS)

    @contextmanager
    def _in_our_words(self, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except (ReleasesUnusable, FileExistsError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and (error.filename is not None or error.errno in _LOCAL):
                raise  # of this machine's disk
            if writing and _code(error) in _THERE_ALREADY:
                raise FileExistsError(str(error)) from error
            if isinstance(error, FileNotFoundError) and _code(error) != "NoSuchBucket":
                raise
            raise self._translated(error, writing=writing) from error

    def _translated(self, error: Exception, *, writing: bool) -> Exception:
        """Why a store does not do what it should, in one line and without what it was sent."""
        names = {base.__name__ for base in type(error).__mro__}
        code = _code(error)
        if isinstance(error, FileNotFoundError):
            return ReleasesUnusable(f"{self.url} cannot be used: there is no bucket {self.bucket!r}")
        if names & _CREDENTIALS:
            return ReleasesUnusable(
                f"{self.url} cannot be used: no credentials were found; set them in the environment (AWS_…)"
            )
        reason = " ".join(str(error).split())[:200]
        if isinstance(error, PermissionError) or code in ("403", "401"):
            if writing:
                return ReleasesReadOnly(
                    f"{self.url} may not be changed with these credentials ({code or reason}); no slot has changed"
                )
            return ReleasesUnusable(f"{self.url} may not be read with these credentials ({code or reason})")
        if names & _UNREACHABLE or code in _UNREACHABLE_CODES:
            return ReleasesUnreachable(f"{self.url} cannot be reached now ({code or type(error).__name__})")
        return ReleasesUnusable(f"{self.url} cannot be used now ({type(error).__name__}: {reason})")


def _options(extra: str) -> dict[str, Any]:
    if extra == "gcs":
        return {"requests_timeout": _READ_SECONDS}
    attempts = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
    return {"config_kwargs": {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS, "retries": attempts}}


def _code(error: Exception) -> str:
    """What the store called it; empty where it said nothing."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code", ""))
        code = getattr(one, "code", None)  # gcsfs
        if isinstance(code, int):
            return str(code)
    return ""


def _tag(info: Mapping[str, Any]) -> str:
    """What is another one for another content, as S3 or else as Google Cloud Storage calls it."""
    for name in ("ETag", "etag", "md5Hash", "generation"):
        if info.get(name):
            return str(info[name])
    return f"{info.get('size')} {_modified(info)}"


def _modified(info: Mapping[str, Any]) -> datetime | None:
    for name in ("LastModified", "mtime", "updated"):
        found = info.get(name)
        if isinstance(found, str):
            found = datetime.fromisoformat(found)
        if isinstance(found, datetime):
            return found
    return None
