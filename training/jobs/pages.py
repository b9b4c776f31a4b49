"""Parts of Markdown pages that commands write, between marks, among what people write."""

from __future__ import annotations

from pathlib import Path

from app.bundle import write_file


def replace_part(page: Path, name: str, text: str) -> None:
    """Put `text` between the marks of `name`; a page without them gets them at its end.

    Args:
        page: a Markdown file, made if need be.
        name: of the part, such as `ablation`.
        text: its new content.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    block = f"{start}\n{text.strip()}\n{end}"
    old = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found, rest = old.partition(start)
    _, ended, after = rest.partition(end)
    new = f"{before}{block}{after}" if found and ended else f"{old.rstrip()}\n\n{block}\n".lstrip()
    write_file(page, new.encode())
