"""The last gate before a text leaves for a log or a trace: whatever looks like a secret is left out."""

from __future__ import annotations

import re

_KEY = re.compile(r"irgan_[\w-]{16,}")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)(?:\s++|%20)[\w.~+/=-]{8,}")
_WORD = re.compile(r"[^\s'\"]++")
_USER = re.compile(r"://[^\s:/@'\"]*+:")
_NAMED = re.compile(
    r"(?i)\b((?=\w*?(?:(?:password|passwd|session_token)\b|secret(?:_|\b)))\w++['\"]?\s*+[=:]\s*+)"
    r"('[^']*'|\"[^\"]*\"|[^\s'\"&,;)}]++)"
)
"""Each looks at a character once, or a path of some thousand would hold all answers up while its line is written."""


def without_secrets(text: str) -> str:
    """A text to be shown: without API keys, headers that authorize, passwords in addresses, and values that are called so."""
    lower = text.lower()  # looking for what secrets begin with is much quicker than asking for the whole of them
    if "irgan_" in lower:
        text = _KEY.sub("irgan_***", text)
    if "bearer" in lower or "basic" in lower:
        text = _AUTHORIZATION.sub(r"\1 ***", text)
    if "://" in lower and "@" in lower:
        text = _WORD.sub(_address, text)
    if "passw" in lower or "secret" in lower or "session_token" in lower:
        text = _NAMED.sub(r"\1***", text)
    return text


def _address(word: re.Match[str]) -> str:
    """Without all up to the last @: a password may hold one that nobody escaped."""
    text, end = word[0], word[0].rfind("@")
    user = _USER.search(text, 0, max(end, 0))
    return text if user is None else f"{text[: user.end()]}***{text[end:]}"
