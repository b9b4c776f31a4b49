"""The last gate before a text leaves for a log or a trace: whatever looks like a secret is left out."""

from __future__ import annotations

import re

_KEY = re.compile(r"irgan_[\w-]{16,}")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)(?:\s+|%20)[\w.~+/=-]{8,}")
_ADDRESS = re.compile(r"(\b[a-zA-Z][\w+.-]*://[^\s:/@'\"]*:)[^\s'\"]*@")
"""Up to the last @ of the word: a password may hold one that nobody escaped."""
_NAMED = re.compile(
    r"(?i)\b((?:\w*password|passwd|\w*secret(?:_\w+)?|\w*session_token)['\"]?\s*[=:]\s*)"
    r"('[^']*'|\"[^\"]*\"|[^\s'\"&,;)}]+)"
)


def without_secrets(text: str) -> str:
    """A text to be shown: without API keys, headers that authorize, passwords in addresses, and values that are called so."""
    lower = text.lower()  # looking for what secrets begin with is much quicker than asking for the whole of them
    if "irgan_" in lower:
        text = _KEY.sub("irgan_***", text)
    if "bearer" in lower or "basic" in lower:
        text = _AUTHORIZATION.sub(r"\1 ***", text)
    if "://" in lower:
        text = _ADDRESS.sub(r"\1***@", text)
    if "passw" in lower or "secret" in lower or "session_token" in lower:
        text = _NAMED.sub(r"\1***", text)
    return text
