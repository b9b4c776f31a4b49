"""From documents to answers over HTTP: index, search in three ways, print with snippets. `make demo-search`.

The documents are Cranfield's where `$IRGAN_DATA_DIR` or the cache has them, else the sections of this project's own documentation, so that
nothing need be fetched. Everything it makes stays: bundles in `bundles/`, the release in slot `search` of `$IRGAN_RELEASES`, from where
`irgan serve --slot search` goes on serving it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.demo import get, heading, irgan, say, service

SLOT = "search"
_QUERIES = {
    "cranfield": (
        "what similarity laws must be obeyed when constructing aeroelastic models of heated high speed aircraft .",
        "how do wings behave in the wake of a propeller",
        "is there a theory of buckling of thin shells under pressure",
    ),
    "documentation": (
        "how do I go back to the ranker of yesterday",
        "what happens when the disk is full",
        "which ranker predicts star ratings",
    ),
}
_HEADING = re.compile(r"^#{1,3} +(.+)$", re.MULTILINE)
_MODES = {"lexical": "By words", "dense": "By vectors", "hybrid": "By both"}


def main() -> int:
    """Run the demonstration; 0 if every step worked."""
    started = time.monotonic()
    releases = os.environ.get("IRGAN_RELEASES", "releases")
    heading("1. Documents")
    data, queries = _documents()
    split = ("--split", "random") if data == "cranfield" else ()  # one training in place of five folds and the whole
    heading("2. Training: BM25, and IRGAN's encoders over learned subwords")
    outcomes = [_train("bm25", data, *split), _train("irgan-text", data, "--set", "body=cnn", *split)]
    heading("3. Publishing and serving")
    irgan("publish", outcomes[-1]["bundle"], "--slot", SLOT, "--releases", releases)
    with service(releases, "--slot", SLOT) as address:
        for query in queries:
            _ask(address, query)
        _change(address)
    heading(f"Done in {time.monotonic() - started:.0f} s")
    say(f"To keep the service up: irgan serve --slot {SLOT} --releases {releases}")
    return 0


def _documents() -> tuple[str, tuple[str, ...]]:
    told = json.loads(irgan("data", "list", "--json", quiet=True))
    if any(row["name"] == "cranfield" and row["folder"] for row in told["datasets"]):
        say("Cranfield: 1,400 abstracts on aeronautics, with 225 judged queries")
        return "cranfield", _QUERIES["cranfield"]
    path = Path("bundles") / "documentation.jsonl"
    path.parent.mkdir(exist_ok=True)
    sections = [section for page in sorted(Path("docs").rglob("*.md")) for section in _sections(page)]
    path.write_text("".join(json.dumps(section, ensure_ascii=False) + "\n" for section in sections), encoding="utf-8")
    say(f"Cranfield is not at hand; {path} has the {len(sections)} sections of this documentation instead")
    return str(path), _QUERIES["documentation"]


def _sections(page: Path) -> list[dict[str, str]]:
    """The text below each heading of a page."""
    text = page.read_text(encoding="utf-8")
    found = list(_HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        {"_id": f"{page}#{number}", "title": match[1], "text": body, "page": page.name}
        for number, (match, end) in enumerate(zip(found, ends, strict=True))
        if (body := text[match.end() : end].strip())
    ]


def _train(ranker: str, data: str, *options: str) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(irgan("train", ranker, "--data", data, "--json", *options, quiet=True))
    figures = outcome["metrics"].get("test", {})
    shown = "  ".join(f"{name} {figures[name]:.4f}" for name in ("nDCG@10", "AP", "R@100") if name in figures)
    say(f"{ranker:<14} {outcome['seconds']:6.1f} s   {shown or 'no judgements to measure on'}")
    return outcome


def _ask(address: str, query: str) -> None:
    say(f"\n“{query}”")
    for mode, shown in _MODES.items():
        answer = get(f"{address}/v1/search", {"query": query, "mode": mode, "k": 2})
        say(f"  {shown} ({answer['total']:,} documents ranked):")
        for item in answer["items"]:
            say(f"    {item['rank']}. {item['title']}")
            say(f"       {item['snippet']}")


def _change(address: str) -> None:
    say("\nA document that is put is found by the next search, and stays after a restart:")
    document = {"title": "Of walruses", "text": "A walrus sat in the wind tunnel and waited for the flow to become laminar."}
    for method, body in (("PUT", document), ("DELETE", None)):
        get(f"{address}/v1/items/walrus", body, method=method)
        found = get(f"{address}/v1/search", {"query": "walrus in a wind tunnel", "k": 1, "mode": "lexical"})["items"]
        say(f"  after {method}: {found[0]['title'] if found else 'nothing'}")


if __name__ == "__main__":
    sys.exit(main())
