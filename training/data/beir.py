"""Folders of documents, queries and judgements as BEIR has them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from app.bundle import Vocabulary
from training.data.collection import Collection, Judgements
from training.data.documents import TextOptions, read_documents, read_queries
from training.data.jsonl import JsonLinesFile
from training.data.judgements import part_files, read_candidates, read_qrels, to_candidates, to_judgements

CORPUS, QUERIES, QRELS, CANDIDATES = "corpus.jsonl", "queries.jsonl", "qrels", "candidates"
"""What such a folder consists of."""


def read_beir(folder: Path, options: TextOptions) -> Collection:
    """A folder with `corpus.jsonl`, and perhaps `queries.jsonl`, `qrels/PART.tsv` and `candidates/PART.tsv`.

    Raises:
        DataError: a file is missing or cannot be used; one message with file, lines and count.
    """
    corpus = JsonLinesFile(folder / CORPUS)
    # Named where they are called as they should be, so that nothing is told of guesses.
    documents, item_table = read_documents(
        corpus,
        replace(
            options,
            id_column=options.id_column or _present("_id", corpus),
            title_column=options.title_column or _present("title", corpus),
            text_column=options.text_column or _present("text", corpus),
        ),
    )
    qrels, candidates = (part_files(folder / name) if (folder / name).exists() else {} for name in (QRELS, CANDIDATES))
    queries, texts = Vocabulary("query", []), tuple[str, ...]()
    if (folder / QUERIES).exists() or qrels or candidates:
        queries, texts = read_queries(folder / QUERIES)
    judged = {
        part: to_judgements(read_qrels(path), queries, documents, min_grade=options.min_grade) for part, path in qrels.items()
    }
    competing = {
        part: to_candidates(read_candidates(path), judged.get(part, Judgements.none()), queries, documents)
        for part, path in candidates.items()
    }
    return Collection(
        folder.resolve().name, documents, item_table, queries, texts, judged, competing, options.language or "english"
    )


def without_metadata(file: str, content: bytes) -> bytes:
    """A file of such a folder with nothing but id, title and text in its lines of JSON, written as Python writes them.

    Args:
        file: its path in the folder.
        content: what is in it.

    Raises:
        ValueError: lines that are no JSON objects.
    """
    if not file.endswith(".jsonl"):
        return content
    records = [json.loads(line) for line in content.splitlines() if line.strip()]
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("lines that are no JSON objects")
    kept = [{key: record[key] for key in ("_id", "title", "text") if key in record} for record in records]
    return "".join(json.dumps(record) + "\n" for record in kept).encode()


def _present(name: str, file: JsonLinesFile) -> str | None:
    return name if name in file.names else None
