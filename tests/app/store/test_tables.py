"""The page on the store tells of every table and every column."""

from __future__ import annotations

import re
from pathlib import Path

from app.store.tables import METADATA

PAGE = Path(__file__).parents[3] / "docs" / "store.md"


def test_the_page_names_every_column_and_no_other():
    told = PAGE.read_text(encoding="utf-8").partition("## Tables")[2].partition("## What survives what")[0]
    sections = dict(
        zip(
            re.findall(r"^\*\*`(\w+)`\*\*", told, re.MULTILINE),
            re.split(r"^\*\*`\w+`\*\*", told, flags=re.MULTILINE)[1:],
            strict=True,
        )
    )
    assert sections.keys() == METADATA.tables.keys()
    for name, table in METADATA.tables.items():
        table_part = (
            "\n".join(line.split("|")[1] for line in sections[name].splitlines() if line.startswith("|")) or sections[name]
        )
        assert set(re.findall(r"`(\w+)`", table_part)) == set(table.columns.keys()), name
