"""What the documentation says can be found: links, files, rankers, settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from training.registry import RANKERS

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "results.md"
"""Written by `make bench`; a checkout may be without it."""

HEADINGS = [
    "Paper",
    "What it learns",
    "How it ranks",
    "What differs from the paper",
    "Settings",
    "What it logs",
    "Results beside the paper's",
]
ABLATED = {"irgan", "irgan-history"}

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:`|^    )(make|irgan) ([a-z]+(?:-[a-z]+)*)\b", re.MULTILINE)
"""As code in a line, or as a line of an indented block."""


def _pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def _text(page: Path) -> str:
    """A page without its fenced blocks, whose brackets are no links and whose hashes no headings."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _headings(page: Path, level: int | None = None) -> list[str]:
    marks = "#+" if level is None else "#" * level
    return re.findall(rf"^{marks} (.+)$", _text(page), re.MULTILINE)


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _section(page: Path, heading: str) -> str:
    return _text(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_link_between_pages_leads_somewhere() -> None:
    """Files exist, and anchors are headings of the page they point into."""
    pages, seen, broken = _pages(), 0, []
    for page in pages:
        for link in _LINK.findall(_text(page)):
            if link.startswith(("http://", "https://", "mailto:")):
                continue
            seen += 1
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if target == MEASURED and not target.is_file():
                continue
            found = target.exists() and target.is_relative_to(ROOT)
            if not found or (anchor and anchor not in map(_anchor, _headings(target))):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert len(pages) >= 25
    assert seen >= 50
    assert broken == []


def test_every_registered_ranker_has_a_page_and_every_page_a_ranker() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "rankers").glob("*.md")}
    assert len(pages) >= 8
    assert pages == set(RANKERS)


@pytest.mark.parametrize("name", RANKERS)
def test_a_rankers_page_has_the_headings_that_all_have(name: str) -> None:
    """In the same order; the ablation, where there is one, comes last and has the marks between which it is written."""
    page = ROOT / "docs" / "rankers" / f"{name}.md"
    assert _headings(page, 1) == [name]
    assert _headings(page, 2) == HEADINGS + ["Ablation"] * (name in ABLATED)
    marks = [page.read_text(encoding="utf-8").count(mark) for mark in ("<!-- ablation -->", "<!-- end of ablation -->")]
    assert marks == [int(name in ABLATED)] * 2


@pytest.mark.parametrize("name", RANKERS)
def test_a_rankers_page_names_its_settings_and_no_others(name: str) -> None:
    """The first column of the table under Settings, against the fields of the ranker's configuration."""
    section = _section(ROOT / "docs" / "rankers" / f"{name}.md", "Settings")
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    named = [setting for cell in cells for setting in re.findall(r"`([a-z0-9_]+)`", cell)]
    assert sorted(named) == sorted(RANKERS[name].config().model_fields)


def test_the_tree_in_the_readme_names_what_is_there() -> None:
    """Every name of every line exists, and every folder and module at the top of either half has a line."""
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The tree")[2].split("```")[1]
    named: set[Path] = set()
    folder = ROOT
    for line in tree.strip("\n").splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split()
        if not line.startswith(" "):
            folder = ROOT / names[0] if names[0].endswith("/") else ROOT
        named |= {(folder if line.startswith(" ") else ROOT) / name for name in names}
    assert len(named) >= 35
    assert [str(path) for path in sorted(named) if not path.exists()] == []
    for half in ("app", "training"):
        there = {
            path
            for path in (ROOT / half).iterdir()
            if (path.is_dir() and any(path.glob("*.py"))) or (path.suffix == ".py" and path.stem != "__init__")
        }
        assert len(there) >= 8
        assert sorted(str(path) for path in there - named) == []


def test_commands_that_pages_show_exist() -> None:
    """Targets of the Makefile and commands of `irgan`, wherever a page names them as such."""
    from typer.main import get_command  # noqa: PLC0415 - only here

    from app.cli import app  # noqa: PLC0415 - only here

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    group: Any = get_command(app)
    commands = set(group.list_commands(group.make_context("irgan", ["releases"])))
    seen, unknown = 0, []
    for page in _pages():
        for program, word in _COMMAND.findall(page.read_text(encoding="utf-8")):
            seen += 1
            if word not in (targets if program == "make" else commands):
                unknown.append(f"{page.relative_to(ROOT)}: {program} {word}")
    assert seen >= 40
    assert unknown == []
