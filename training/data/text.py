"""Text files, and the one message about what is wrong in a file."""

from __future__ import annotations

from pathlib import Path

from training.errors import DataError

SHOWN = 5
"""Lines that a message names; the count says how many more there are."""


def trouble(path: Path, *, count: int, unit: str, where: list[str], found: str, remedy: str) -> DataError:
    """One message with the file, what is wrong, in how many places, the first of them, and what to do."""
    more = " …" if count > len(where) else ""
    return DataError(f"{path}: {found} in {count:,} {unit}{'' if count == 1 else 's'} ({'; '.join(where)}{more}); {remedy}")


def check_is_file(path: Path) -> None:
    """Raises DataError unless `path` is a file with something in it."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file, give one of those in it")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if empty:
        raise DataError(f"{path} is empty (0 bytes); expected a table")


def read_text(path: Path, encoding: str = "utf-8", *, remedy: str = "") -> bytes:
    """A text file's content as UTF-8 without byte order mark, every line end a newline.

    Args:
        path: the file.
        encoding: as Python names it.
        remedy: what to do about text in another encoding, where none can be named.

    Raises:
        DataError: there is no such file, it is empty, or it is not text in this encoding.
    """
    check_is_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding == "utf-8":
        remedy = remedy or "save it as UTF-8, or give --encoding utf-16"
        raise DataError(f"{path} is not UTF-8 but UTF-16 from line 1 on; {remedy}")
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except LookupError as error:
        raise DataError(f"no encoding {encoding!r}; expected one such as utf-8, latin-1 or cp1252") from error
    except UnicodeError as error:
        bad = [number for number, line in enumerate(content.split(b"\n"), 1) if not _decodes(line, encoding)]
        where = [f"line {number}" for number in bad[:SHOWN]]
        remedy = remedy or "save it as UTF-8, or name its encoding, such as --encoding latin-1"
        raise trouble(
            path, count=len(bad), unit="line", where=where, found=f"text that is not {encoding}", remedy=remedy
        ) from error
    content = text.encode("utf-8")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise DataError(f"{path} is no text: line {line} holds a zero byte; expected a table as text or Parquet")
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not content.strip():
        raise DataError(f"{path} is empty: it has blank lines only; expected a table")
    return content


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True
