"""Releases of every kind for a service under load, and what each of them answers to which question.

Every answer tells of its release by more than its name: vectors, texts and weights differ from release to release, and titles hold the
version, so that an answer that mixes two of them equals neither's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.bundle import write_bundle, write_rerank, write_search
from app.releases import RecommenderRelease, Release, ReleaseStore, RerankRelease, load_release
from app.retrieval import Likeness, Query, SearchQuestion
from tests.conftest import WORDS, make_draft, make_rerank_draft, make_search_draft, make_texts

SlotName = Literal["champion", "search", "rerank"]
SLOTS: tuple[SlotName, ...] = ("champion", "search", "rerank")
VERSIONS = 4
NUM_FEATURES, NUM_CANDIDATES, NUM_HISTORY, NUM_BATCH, NUM_EVENTS = 5, 12, 10, 5, 10
Answer = list[tuple[str, str, float]]
"""Id, title and score, best first."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and what a release answers to it.

    Attributes:
        kind: for counts.
        slot: whose release answers.
        method, path, body: of the request; `{n}` in it stands for a number that no other request has.
        answers: of a release, one for each question in the request; None where there is nothing to compare.
    """

    kind: str
    slot: SlotName
    method: str
    path: str
    body: str = ""
    answers: Callable[[Any], list[Answer]] | None = None


class Stage:
    """A folder with bundles, the slots' first releases published.

    Args:
        folder: an empty one.
        num_items: of each recommender, and documents of each search.
        dim: of their vectors.
        num_users: that each recommender knows.
    """

    def __init__(self, folder: Path, *, num_items: int, dim: int, num_users: int) -> None:
        self.folder = folder
        self.num_items, self.num_users = num_items, num_users
        self.store = ReleaseStore(folder / "releases")
        drafts = folder / "drafts"
        weights_VF = np.random.default_rng(0).normal(size=(VERSIONS, NUM_FEATURES))
        self.bundles: dict[SlotName, list[Path]] = {slot: [] for slot in SLOTS}
        for number in range(VERSIONS):
            version = f"v{number + 1}"
            draft = make_draft(num_items=num_items, dim=dim, num_users=num_users, seed=number, version=version)
            draft = replace(draft, item_table=draft.item_table.assign(title=draft.item_table["title"] + f" {version}"))
            self.bundles["champion"].append(write_bundle(draft, drafts))
            documents = make_search_draft(make_texts(num_items, seed=number, longest=40), dim=dim, seed=number, version=version)
            documents = replace(
                documents, item_table=documents.item_table.assign(title=documents.item_table["title"] + f" {version}")
            )
            self.bundles["search"].append(write_search(documents, drafts))
            rerank = make_rerank_draft(weights_VF[number].tolist(), version=version)
            self.bundles["rerank"].append(write_rerank(rerank, drafts))
        for slot, bundles in self.bundles.items():
            self.store.publish(bundles[0], slot)

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the service."""
        return {"IRGAN_SEARCH_SLOT": "search", "IRGAN_RERANK_SLOT": "rerank"}

    def names(self, slot: SlotName) -> list[str]:
        """The releases that the slot can point to."""
        return [f"{bundle.parent.name}/{bundle.name}" for bundle in self.bundles[slot]]

    def releases(self) -> dict[str, Release]:
        """All of them, loaded here."""
        return {f"{path.parent.name}/{path.name}": load_release(path) for paths in self.bundles.values() for path in paths}


def make_questions(stage: Stage, number: int, *, seed: int = 0) -> list[Question]:
    """So many questions of all kinds, in the shares in which they are asked."""
    rng = random.Random(seed)
    kinds: Mapping[Callable[[random.Random, Stage], Question], int] = {
        _of_user: 38,
        _of_stranger: 7,
        _of_history: 10,
        _batch: 5,
        _similar: 10,
        _search: 14,
        _rerank: 8,
        _events: 8,
    }
    return [make(rng, stage) for make in rng.choices(list(kinds), weights=list(kinds.values()), k=number)]


def _of_user(rng: random.Random, stage: Stage) -> Question:
    user = f"u{rng.randrange(stage.num_users)}"
    return Question(
        "user",
        "champion",
        "GET",
        f"/v1/recommendations/{user}",
        answers=lambda release: _recommended(release, [Query(user=user)]),
    )


def _of_stranger(rng: random.Random, stage: Stage) -> Question:
    return Question(
        "stranger",
        "champion",
        "GET",
        "/v1/recommendations/nobody-{n}?session=visit-{n}",
        answers=lambda release: _recommended(release, [Query(user="nobody")]),
    )


def _of_history(rng: random.Random, stage: Stage) -> Question:
    history = _history(rng, stage)
    body = {"history": [{"item": item, "rating": rating} for item, rating in history]}
    return Question(
        "history",
        "champion",
        "POST",
        "/v1/recommendations",
        json.dumps(body),
        lambda release: _recommended(release, [Query(history=history)]),
    )


def _batch(rng: random.Random, stage: Stage) -> Question:
    users = [f"u{rng.randrange(stage.num_users)}" for _ in range(NUM_BATCH)]
    return Question(
        "batch",
        "champion",
        "POST",
        "/v1/recommendations",
        json.dumps({"requests": [{"user": user} for user in users]}),
        lambda release: _recommended(release, [Query(user=user) for user in users]),
    )


def _similar(rng: random.Random, stage: Stage) -> Question:
    item = f"i{rng.randrange(stage.num_items)}"

    def answers(release: RecommenderRelease) -> list[Answer]:
        return [_carded(release, release.similar.similar_all([Likeness(item)])[0])]

    return Question("similar", "champion", "GET", f"/v1/items/{item}/similar", answers=answers)


def _search(rng: random.Random, stage: Stage) -> Question:
    text, mode = " ".join(rng.sample(WORDS, 3)), rng.choice(("lexical", "dense", "hybrid"))

    def answers(release: Release) -> list[Answer]:
        assert release.engine is not None
        found = release.engine.search(SearchQuestion(text, mode=mode))  # type: ignore[arg-type]
        cards = [json.loads(b"{%b}" % release.engine.card(row)) for row in found.rows]
        return [[(card["id"], card["title"], score) for card, score in zip(cards, found.scores, strict=True)]]

    return Question("search", "search", "POST", "/v1/search", json.dumps({"query": text, "mode": mode}), answers)


def _rerank(rng: random.Random, stage: Stage) -> Question:
    features_CF = [[rng.gauss(0, 1) for _ in range(NUM_FEATURES)] for _ in range(NUM_CANDIDATES)]
    body = {"candidates": [{"id": f"c{place}", "features": features} for place, features in enumerate(features_CF)], "k": 10}

    def answers(release: RerankRelease) -> list[Answer]:
        scores_C = release.model.scores(np.array(features_CF, dtype=np.float32))
        return [[(f"c{place}", "", float(scores_C[place])) for place in np.argsort(-scores_C, kind="stable")[:10]]]

    return Question("rerank", "rerank", "POST", "/v1/rerank", json.dumps(body), answers)


def _events(rng: random.Random, stage: Stage) -> Question:
    events = [
        {
            "id": f"{{n}}-{place}",
            "type": "click",
            "user": f"u{rng.randrange(stage.num_users)}",
            "item": f"i{rng.randrange(stage.num_items)}",
            "position": 1 + place,
        }
        for place in range(NUM_EVENTS)
    ]
    return Question("events", "champion", "POST", "/v1/events", json.dumps({"events": events}))


def _history(rng: random.Random, stage: Stage) -> list[tuple[str, float]]:
    return [(f"i{row}", float(rng.randint(1, 5))) for row in rng.sample(range(stage.num_items), NUM_HISTORY)]


def _recommended(release: RecommenderRelease, queries: Sequence[Query]) -> list[Answer]:
    return [_carded(release, release.recommender.recommend(query)) for query in queries]


def _carded(release: RecommenderRelease, ranking: Any) -> Answer:
    shown = json.loads(release.cards.ranked(ranking.rows.tolist(), ranking.scores.tolist()))
    return [(item["id"], item["title"], item["score"]) for item in shown]
