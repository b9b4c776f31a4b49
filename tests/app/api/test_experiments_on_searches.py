"""Experiments on searches and rerankings: variants, pages, mixed answers, and the champion in a variant's place."""

from __future__ import annotations

import base64
from time import perf_counter

import orjson
import pytest
from sqlalchemy import select

from app.api.pages import MOST_PAGES, MixedPages, Page, cursor, read_cursor
from app.api.search_schemas import SearchBody
from app.bundle import write_bundle, write_rerank, write_search
from app.experiments.definition import MOST_VARIANTS
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from app.store.tables import IMPRESSIONS
from tests.app.api.conftest import Client
from tests.conftest import make_draft, make_rerank_draft, make_search_draft

USERS = [f"u{number}" for number in range(16)]
QUERY = {"query": "glacier ice water river", "k": 5}


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Two rankers of texts, by words and by both; two of features, one the other's opposite; a recommender."""
    folder = tmp_path_factory.mktemp("searches")
    store = ReleaseStore(folder / "releases")
    for version, mode, slot in (("v1", "hybrid", "texts"), ("v2", "lexical", "texts-2")):
        texts = make_search_draft(num_documents=120, version=version, mode=mode)
        store.publish(write_search(texts, folder / "drafts"), slot)
    for version, sign, slot in (("v1", 1.0, "features"), ("v2", -1.0, "features-2")):
        features = make_rerank_draft((sign, -2.0 * sign, 0.5 * sign), version=version)
        store.publish(write_rerank(features, folder / "drafts"), slot)
    store.publish(write_bundle(make_draft(num_items=60), folder / "drafts"), "items")
    return store.folder


@pytest.fixture
def client(releases, tmp_path):
    settings = Settings(
        releases=releases,
        slot="items",
        search_slot="texts",
        rerank_slot="features",
        store=f"sqlite:///{tmp_path / 'irgan.db'}",
        poll_seconds=0.5,
    )
    with Client(create_app(settings)) as client:
        yield client


def begin(client, surface, first, second, **given):
    variants = [{"name": "control", "release": first}, {"name": "treatment", "release": second}]
    body = {"name": "test", "surface": surface, "variants": variants, **given}
    assert client.post("/v1/experiments", json=body).status_code == 201
    started = client.post("/v1/experiments/test/start")
    assert started.status_code == 200, started.text


def search(client, **given):
    answer = client.post("/v1/search", json={**QUERY, **given})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [item["id"] for item in answer["items"]]


def written(client):
    client.app.state.impressions.flush()
    with client.app.state.participation.experiments._database.read() as connection:
        return connection.execute(select(IMPRESSIONS).order_by(IMPRESSIONS.c.number)).all()


def tried(client, variant, **given):
    """The answer of one variant alone."""
    headers = {"x-irgan-variant": f"test={variant}"}
    return client.post("/v1/search", json={**QUERY, **given}, headers=headers).json()


def pages(client, num, headers=None, **given):
    """Pages of one search, one after the other."""
    found, after = [], None
    for _ in range(num):
        body = {**QUERY, **given, **({} if after is None else {"after": after})}
        answer = client.post("/v1/search", json=body, headers=headers or {})
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        after = found[-1]["next"]
        if after is None:
            break
    return found


def test_searches_are_answered_by_the_variant_of_who_asks(client):
    plain = search(client)
    begin(client, "search", "texts", "texts-2")
    assert search(client) | {"request_id": ""} == plain | {"request_id": ""}  # nobody is named
    seen = {user: search(client, user=user) for user in USERS}
    assert {answer["variant"] for answer in seen.values()} == {"control", "treatment"}
    for answer in seen.values():
        assert answer["release"].endswith("v1" if answer["variant"] == "control" else "v2")
    orders = {answer["variant"]: ids(answer) for answer in seen.values()}
    assert orders["control"] == ids(plain) != orders["treatment"]
    personal = search(client, personalise="u1")
    assert personal["variant"] == seen["u1"]["variant"]  # who it is for, asks
    rows = written(client)
    assert [row.unit for row in rows] == [*USERS, "u1"]
    assert orjson.loads(rows[0].items) == ids(seen["u0"])


def test_pages_keep_to_the_release_they_began_with(client):
    """Also when weights change between two pages, and when the experiment stops: then outside of it, as long as the release is there."""
    begin(client, "search", "texts", "texts-2")
    whole = {variant: ids(tried(client, variant, k=15)) for variant in ("control", "treatment")}
    for user in USERS[:6]:
        first, second, third = pages(client, 3, user=user)
        assert ids(first) + ids(second) + ids(third) == whole[first["variant"]]
        assert first["variant"] == second["variant"] == third["variant"]
    treated = next(user for user in USERS if search(client, user=user)["variant"] == "treatment")
    begun = search(client, user=treated)
    other = search(
        client, user=next(user for user in USERS if search(client, user=user)["variant"] == "control"), after=begun["next"]
    )
    assert (other["experiment"], ids(other)) == (None, whole["treatment"][5:10])
    client.post("/v1/experiments/test/stop")
    gone = client.post("/v1/search", json={**QUERY, "user": treated, "after": begun["next"]})
    assert gone.status_code == 422 and "begin at the top" in gone.json()["detail"]


def test_pages_that_the_champion_began_go_on_with_it(client):
    begin(client, "search", "texts", "texts-2")
    treated = next(user for user in USERS if search(client, user=user)["variant"] == "treatment")
    live = client.app.state.live_search
    live.hold([])
    first = search(client, user=treated)
    assert (first["variant"], first["fallback"]) == ("treatment", "champion")
    live.hold(["texts/v1", "texts/v2"])
    second = search(client, user=treated, after=first["next"])
    assert (second["variant"], second["fallback"], second["release"]) == ("treatment", "champion", first["release"])
    assert not set(ids(first)) & set(ids(second))


@pytest.mark.parametrize("method", ["team-draft", "balanced", "optimised"])
def test_mixed_pages_fit_together(client, method):
    """Nothing twice, nothing left out, every item at most as deep as both rankings have it, and each page credited by itself."""
    begin(client, "search", "texts", "texts-2", kind="interleaving", interleaver=method)
    both = [ids(tried(client, variant, k=200)) for variant in ("control", "treatment")]
    found = pages(client, 50, user="u1", k=7)
    shown = [item for page in found for item in ids(page)]
    assert len(shown) == len(set(shown)) and set(shown) == {*both[0], *both[1]}
    assert [item["rank"] for page in found for item in page["items"]] == list(range(1, len(shown) + 1))
    assert {page["variant"] for page in found} == {"interleaved"}
    rows = [row for row in written(client) if row.variant == "interleaved"]
    assert [orjson.loads(row.items) for row in rows] == [ids(page) for page in found]
    assert all(len(orjson.loads(row.teams)["teams"]) == len(ids(page)) for row, page in zip(rows, found, strict=True))
    again = search(client, user="u1", k=7, after=found[0]["next"])
    assert ids(again) == ids(found[1])


def test_mixed_pages_of_releases_that_are_gone_begin_anew(client):
    begin(client, "search", "texts", "texts-2", kind="interleaving")
    first = search(client, user="u1")
    client.post("/v1/experiments/test/stop")
    gone = client.post("/v1/search", json={**QUERY, "user": "u1", "after": first["next"]})
    assert gone.status_code == 422 and "v1 and " in gone.json()["detail"]


@pytest.mark.parametrize(
    ("num_releases", "method", "runs"),
    [
        (2, "team-draft", [[5, 1], [10**9, 1]]),
        (2, "team-draft", [[5, 10**9]]),
        (2, "team-draft", [[5, MOST_PAGES]]),
        (2, "team-draft", [[5, 0]]),
        (2, "team-draft", [5]),
        (2, "team-draft", [[5, 1, 1]]),
        (21, "team-draft", [[5, 1]]),
        (3, "balanced", [[5, 1]]),
        (1, "team-draft", [[5, 1]]),
    ],
)
def test_places_of_mixed_pages_that_no_answer_gave_are_refused(client, num_releases, method, runs):
    """Whoever writes one by hand must not make the service draw a thousand million coins."""
    releases, digest, *_ = orjson.loads(base64.urlsafe_b64decode(search(client)["next"] + "=="))
    place = [releases * num_releases, digest, method, "seed", runs]
    after = base64.urlsafe_b64encode(orjson.dumps(place)).decode()
    refused = client.post("/v1/search", json={**QUERY, "after": after})
    assert refused.status_code == 422 and "body.after" in refused.text


@pytest.mark.parametrize("rank", [0, 2**62, 1e300, "1", None])
def test_ranks_that_no_answer_gave_are_refused(client, rank):
    releases, digest, *place = orjson.loads(base64.urlsafe_b64decode(search(client)["next"] + "=="))
    after = base64.urlsafe_b64encode(orjson.dumps([releases, digest, *place[:-1], rank])).decode()
    refused = client.post("/v1/search", json={**QUERY, "after": after})
    assert refused.status_code == 422 and "no place in a ranking" in refused.text


def test_mixed_pages_end_and_say_so(client, monkeypatch):
    """However much is left: the last page has no next one, where it would have had one before."""
    begin(client, "search", "texts", "texts-2", kind="interleaving")
    assert len(pages(client, 50, user="u1", k=1)) > 3
    monkeypatch.setattr("app.api.pages.MOST_PAGES", 3)
    found = pages(client, 50, user="u1", k=1)
    assert len(found) == 3 and found[-1]["next"] is None


def test_the_longest_place_is_taken_again():
    """As many releases with the longest names as there can be, and a thousand pages that all have another size than the one before."""
    body = SearchBody(query="ice")
    sizes = tuple(999 + number % 2 for number in range(MOST_PAGES - 1))
    releases = tuple(f"{number:0100}/{'v' * 100}" for number in range(MOST_VARIANTS))
    page = Page(releases, pages=MixedPages("team-draft", "8f14e45fceea167a5a36dedd4bea2543", sizes))
    text = cursor(page, body)
    assert SearchBody(query="ice", after=text).after == text
    assert read_cursor(text, body) == page


def test_the_last_of_many_mixed_pages_takes_no_longer_than_its_depth_asks_for():
    """A thousand small pages behind a long one: each looked for from the top, they took seconds."""
    rankings = [range(200_000), range(200_000, 400_000)]
    started = perf_counter()
    page, has_more = MixedPages("team-draft", "seed", (200_000, *[1] * 1000)).last([list(ranking) for ranking in rankings])
    assert len(page.items) == 1 and has_more
    assert perf_counter() - started < 5


CANDIDATES = [{"id": f"c{n}", "features": [n % 3 / 3, n % 5 / 5, n / 7]} for n in range(6)]


def test_rerankings_are_the_variants(client):
    begin(client, "rerank", "features", "features-2")
    seen = {user: client.post("/v1/rerank", json={"candidates": CANDIDATES, "user": user}).json() for user in USERS}
    orders = {}
    for answer in seen.values():
        assert answer["release"].endswith("v1" if answer["variant"] == "control" else "v2")
        assert orders.setdefault(answer["variant"], ids(answer)) == ids(answer)
    assert orders["control"] != orders["treatment"]
    row = written(client)[0]
    assert (row.surface, row.unit, orjson.loads(row.items)) == ("rerank", "u0", ids(seen["u0"]))
    assert client.post("/v1/rerank", json={"candidates": CANDIDATES}).json()["experiment"] is None


def test_rerankings_are_mixed_too(client):
    begin(client, "rerank", "features", "features-2", kind="interleaving", unit="session")
    body = {"candidates": CANDIDATES, "session": "s1"}
    answer = client.post("/v1/rerank", json=body).json()
    assert answer["variant"] == "interleaved" and sorted(ids(answer)) == [f"c{number}" for number in range(6)]
    assert len(orjson.loads(written(client)[0].teams)["teams"]) == 6
    client.app.state.live_rerank.hold([])
    fallen = client.post("/v1/rerank", json=body).json()
    assert (fallen["variant"], fallen["fallback"]) == ("interleaved", "champion")


def test_features_that_no_release_learned_from_are_a_problem(client):
    begin(client, "rerank", "features", "features-2")
    for user in USERS:
        wrong = client.post("/v1/rerank", json={"candidates": [{"id": "a", "features": [1.0]}], "user": user})
        assert wrong.status_code == 422
    assert written(client) == []


def test_rankers_of_features_and_of_texts_are_not_compared(client):
    variants = [{"name": "control", "release": "features"}, {"name": "treatment", "release": "texts"}]
    client.post("/v1/experiments", json={"name": "test", "surface": "rerank", "variants": variants})
    refused = client.post("/v1/experiments/test/start")
    assert refused.status_code == 422 and "no request suits both" in refused.json()["detail"]
