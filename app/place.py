"""Where releases are kept: a folder of this machine, or the address of an object store.

This module imports only the standard library, so that the command line can.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import overload
from urllib.parse import unquote, urlsplit

Place = Path | str
"""A folder as a path, or an address such as `s3://bucket/prefix` as text."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(?:s3|gs):", re.IGNORECASE)
"""With too few slashes an object store's address is a mistake, and no folder to be made."""


@overload
def place_of(given: str) -> Place: ...
@overload
def place_of(given: object) -> object: ...
def place_of(given: object) -> object:
    """What a person gave, as a `Place`: addresses stay text, `file://` and everything else is a folder."""
    if not isinstance(given, str) or not _URL.match(given):
        return Path(given) if isinstance(given, str) else given
    parts = urlsplit(given)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path) or "/")
    scheme, rest = given.split(":", maxsplit=1)
    return f"{scheme.lower()}:{rest.rstrip('/')}"
