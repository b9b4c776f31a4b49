"""Experiments over HTTP: their life, who sees what, and what is written down."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from time import perf_counter, sleep

import orjson
import pytest
from sqlalchemy import select

from app.api import problems
from app.bundle import write_bundle
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from app.store import Database
from app.store.tables import ASSIGNMENTS, IMPRESSIONS
from tests.app.api.conftest import Client
from tests.app.api.test_problems import check
from tests.conftest import make_draft

VARIANTS = [{"name": "control", "release": "champion"}, {"name": "treatment", "release": "sample/v2"}]
USERS = [f"u{number}" for number in range(12)]


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    store = ReleaseStore(folder / "releases")
    for seed, version, slot in ((0, "v1", "champion"), (1, "v2", "challenger")):
        bundle = write_bundle(make_draft(num_items=60, num_users=12, seed=seed, version=version), folder / "drafts")
        store.publish(bundle, slot)
    return store.folder


@pytest.fixture
def settings(releases, tmp_path):
    return Settings(releases=releases, slot="champion", store=f"sqlite:///{tmp_path / 'irgan.db'}", poll_seconds=0.5)


@pytest.fixture
def client(settings):
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture
def on_either_store(releases, store_url):
    with Client(create_app(Settings(releases=releases, slot="champion", store=store_url, poll_seconds=0.5))) as client:
        yield client


def begin(client, name="test", **given):
    made = client.post("/v1/experiments", json={"name": name, "variants": VARIANTS, **given})
    assert made.status_code == 201, made.text
    started = client.post(f"/v1/experiments/{name}/start")
    assert started.status_code == 200, started.text
    return started.json()


def problem(response):
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    return response.status_code, content["type"].rpartition(":")[2], content["detail"]


def rows(client, table=IMPRESSIONS):
    """What the store has, in its order; what waited to be written is."""
    client.app.state.impressions.flush()
    with client.app.state.participation.experiments._database.read() as connection:
        order = table.c.number if "number" in table.c else table.c.time
        return connection.execute(select(table).order_by(order)).all()


def ranking(client, release, user):
    """What a release alone answers a user."""
    found = client.app.state.live.find(release)
    recommended = found.recommender.recommend_all([_query(user)])[0]
    return [found.bundle.items.id(row) for row in recommended.rows.tolist()]


def _query(user):
    from app.retrieval import Query  # noqa: PLC0415 - only here

    return Query(user=user)


def test_a_service_that_ends_writes_what_it_has_answered(settings, monkeypatch):
    """Also where it is too much for one transaction: the writer is closed after that."""
    monkeypatch.setattr("app.store.impressions._AT_ONCE", 2)
    with Client(create_app(settings)) as client:
        begin(client)
        answers = [client.get(f"/v1/recommendations/{user}").json()["request_id"] for user in USERS]
    database = Database(settings.store)
    with database.read() as connection:
        assert connection.execute(select(IMPRESSIONS.c.request_id).order_by(IMPRESSIONS.c.number)).scalars().all() == answers
    database.close()


def test_a_life_over_http(on_either_store):
    """Created, listed, started, changed, stopped, started again and concluded; each answer tells the whole state."""
    client = on_either_store
    assert client.get("/v1/experiments").json() == {"experiments": []}
    made = client.post("/v1/experiments", json={"name": "test", "variants": VARIANTS}).json()
    assert (made["state"], made["releases"], made["shares"], made["outcome"]) == ("draft", {}, {}, None)
    assert made["definition"]["primary"]["name"] == "click-through"
    started = client.post("/v1/experiments/test/start").json()
    assert started["releases"] == {"control": "sample/v1", "treatment": "sample/v2"}
    assert started["shares"] == {"control": 0.5, "treatment": 0.5}
    changed = client.request("PATCH", "/v1/experiments/test", json={"weights": {"treatment": 3}}).json()
    assert changed["shares"] == {"control": 0.25, "treatment": 0.75}
    assert client.get("/v1/experiments/test").json() == changed
    assert client.get("/v1/experiments").json() == {"experiments": [changed]}
    assert client.post("/v1/experiments/test/stop").json()["state"] == "stopped"
    assert client.post("/v1/experiments/test/start").json()["state"] == "running"
    concluded = client.post("/v1/experiments/test/conclude", json={"winner": "treatment", "reason": "more clicks"}).json()
    assert concluded["state"] == "concluded" and concluded["outcome"]["winner"] == "treatment"


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/none", None, (404, "unknown-experiment")),
        ("POST", "/none/start", None, (404, "unknown-experiment")),
        ("PATCH", "/test", {"traffic": 2}, (422, "invalid-request")),
        ("PATCH", "/test", {}, (422, "invalid-request")),
        ("PATCH", "/test", {"weights": {"other": 1}}, (422, "invalid-change")),
        ("POST", "/test/start", None, (409, "wrong-state")),
        ("POST", "/test/conclude", {"winner": "other", "reason": "?"}, (422, "invalid-change")),
        ("POST", "/test/conclude", {}, (422, "invalid-request")),
        ("POST", "", {"name": "test", "variants": VARIANTS}, (409, "name-taken")),
        ("POST", "", {"name": "new", "variants": VARIANTS[:1]}, (422, "invalid-request")),
        ("POST", "", {"name": "new", "variants": VARIANTS, "primary": "clicks"}, (422, "invalid-request")),
        (
            "POST",
            "",
            {"name": "new", "kind": "interleaving", "variants": VARIANTS, "guardrails": [{"metric": "latency"}]},
            (422, "invalid-request"),
        ),
        (
            "POST",
            "",
            {"name": "new", "kind": "interleaving", "variants": VARIANTS, "primary": "conversion"},
            (422, "invalid-request"),
        ),
        (
            "POST",
            "",
            {"name": "new", "kind": "interleaving", "variants": [VARIANTS[0], {**VARIANTS[1], "name": "interleaved"}]},
            (422, "invalid-request"),
        ),
        ("POST", "/full/start", None, (409, "layer-full")),
        ("POST", "/other-layer/start", None, (409, "surface-taken")),
        ("POST", "/no-release/start", None, (422, "unsuitable-release")),
    ],
)
def test_what_cannot_be_done_is_a_problem_of_its_kind(client, method, path, body, expected):
    begin(client)
    nowhere = [VARIANTS[0], {"name": "treatment", "release": "sample/v9"}]
    for other in ({"name": "full"}, {"name": "other-layer", "layer": "mine"}, {"name": "no-release", "variants": nowhere}):
        client.post("/v1/experiments", json={"variants": VARIANTS, **other})
    options = {} if body is None else {"json": body}
    assert problem(client.request(method, f"/v1/experiments{path}", **options))[:2] == expected


def test_somebody_whom_no_ranker_knows_takes_part_by_name_beside_a_history(client):
    """The same variant as without the history, alone and in a batch; the log names the user."""
    begin(client)
    body = {"user": "new", "history": [{"item": "i1"}, {"item": "i2"}], "k": 3}
    variant = client.get("/v1/recommendations/new").json()["variant"]
    answers = [client.post("/v1/recommendations", json=body).json()]
    answers += client.post("/v1/recommendations", json={"requests": [body]}).json()["answers"]
    assert [answer["variant"] for answer in answers] == [variant] * 2
    assert [answer["fallback"] for answer in answers] == [None] * 2
    assert {(row.user, row.unit, row.variant) for row in rows(client)} == {("new", "new", variant)}


def test_answers_are_the_variants_and_say_so(client):
    """Each user gets the ranking of the release that the variant stands for, again and again."""
    begin(client)
    releases = {"control": "sample/v1", "treatment": "sample/v2"}
    seen = {}
    for user in USERS * 2:
        answer = client.get(f"/v1/recommendations/{user}").json()
        assert answer["experiment"] == "test" and answer["fallback"] is None
        assert answer["release"] == releases[seen.setdefault(user, answer["variant"])]
        assert [item["id"] for item in answer["items"]] == ranking(client, answer["release"], user)
        assert client.post("/v1/recommendations", json={"user": user}).json()["variant"] == seen[user]
    assert set(seen.values()) == set(releases)


def test_every_answer_is_written_down_and_the_first_is_the_exposure(on_either_store):
    client = on_either_store
    begin(client)
    answers = [client.get(f"/v1/recommendations/{user}?session=s{user}&k=3").json() for user in USERS * 2]
    written = rows(client)
    assert [row.request_id for row in written] == [answer["request_id"] for answer in answers]
    for row, answer, user in zip(written, answers, USERS * 2, strict=True):
        assert (row.surface, row.user, row.session, row.unit) == ("recommendations", user, f"s{user}", user)
        assert (row.experiment, row.variant, row.propensity) == ("test", answer["variant"], 0.5)
        assert (row.release, row.fallback, row.is_override) == (answer["release"], None, False)
        assert orjson.loads(row.items) == [item["id"] for item in answer["items"]] and row.milliseconds > 0
    exposures = rows(client, ASSIGNMENTS)
    assert sorted((row.unit, row.variant) for row in exposures) == sorted({(row.unit, row.variant) for row in written})


def test_a_batch_is_assigned_question_by_question(client):
    begin(client)
    body = {"requests": [*({"user": user, "k": 4} for user in USERS), {"history": [{"item": "i1"}]}]}
    answers = client.post("/v1/recommendations", json=body).json()["answers"]
    for user, answer in zip(USERS, answers, strict=False):
        assert answer["variant"] == client.get(f"/v1/recommendations/{user}").json()["variant"]
        assert [item["id"] for item in answer["items"]] == ranking(client, answer["release"], user)[:4]
    assert (answers[-1]["experiment"], answers[-1]["release"]) == (None, "sample/v1")  # nobody is named
    batch = [row.request_id for row in rows(client) if "-" in row.request_id]
    assert batch == [answer["request_id"] for answer in answers[:-1]]


def test_sessions_are_units_too(client):
    begin(client, unit="session")
    assert client.get("/v1/recommendations/u1").json()["experiment"] is None
    variants = [
        client.get("/v1/recommendations/u1", params={"session": f"s{number}"}).json()["variant"] for number in range(30)
    ]
    assert set(variants) == {"control", "treatment"}
    histories = [
        client.post("/v1/recommendations", json={"history": [{"item": "i1"}], "session": f"s{number}"}).json()["variant"]
        for number in range(30)
    ]
    assert histories == variants
    assert {row.unit for row in rows(client)} == {f"s{number}" for number in range(30)}


def test_similar_items_take_part_where_somebody_is_named(client):
    begin(client, surface="similar")
    assert client.get("/v1/items/i1/similar").json()["experiment"] is None
    answers = {user: client.get("/v1/items/i1/similar", params={"user": user}).json() for user in USERS}
    assert {answer["variant"] for answer in answers.values()} == {"control", "treatment"}
    orders = {answer["release"]: [item["id"] for item in answer["items"]] for answer in answers.values()}
    assert orders["sample/v1"] != orders["sample/v2"]
    assert {(row.surface, row.unit) for row in rows(client)} == {("similar", user) for user in USERS}


def test_a_variant_can_be_tried_without_counting(client):
    begin(client, traffic=0.001, overrides={"u1": "treatment"})
    assert client.get("/v1/recommendations/u1").json()["variant"] == "treatment"
    asked = client.get("/v1/recommendations/u2", headers={"x-irgan-variant": "test=treatment"}).json()
    assert (asked["variant"], asked["release"]) == ("treatment", "sample/v2")
    elsewhere = client.get("/v1/recommendations/u2", headers={"x-irgan-variant": "other=treatment"})
    assert elsewhere.json()["experiment"] is None
    wrong = client.get("/v1/recommendations/u2", headers={"x-irgan-variant": "test=other"})
    assert problem(wrong)[:2] == (422, "invalid-request")
    assert [(row.unit, row.is_override) for row in rows(client)] == [("u1", True), ("u2", True)]
    assert rows(client, ASSIGNMENTS) == []


def test_the_champion_answers_for_a_release_that_fails(client, monkeypatch, caplog):
    """While it answers, and once it is gone: recorded, counted, logged once; and only the variant's units notice."""
    begin(client)
    variants = {user: client.get(f"/v1/recommendations/{user}").json()["variant"] for user in USERS}
    treated = [user for user, variant in variants.items() if variant == "treatment"]
    release = client.app.state.live.find("sample/v2")

    def fail(_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(release.recommender, "recommend_all", fail)
    for user in USERS:
        answer = client.get(f"/v1/recommendations/{user}").json()
        assert (answer["experiment"], answer["variant"], answer["release"]) == (
            "test",
            variants[user],
            "sample/v1",
        )
        assert answer["fallback"] == ("champion" if user in treated else None)
        assert [item["id"] for item in answer["items"]] == ranking(client, "sample/v1", user)
    batch = client.post("/v1/recommendations", json={"requests": [{"user": user} for user in USERS]}).json()["answers"]
    assert [answer["fallback"] for answer in batch] == ["champion" if user in treated else None for user in USERS]
    assert [answer["release"] for answer in batch] == ["sample/v1"] * 12
    monkeypatch.undo()
    client.app.state.live.hold([])
    assert client.get(f"/v1/recommendations/{treated[0]}").json()["fallback"] == "champion"
    fallen = Counter(row.variant for row in rows(client) if row.fallback == "champion")
    assert fallen == {"treatment": 2 * len(treated) + 1}
    count = f'irgan_fallbacks_total{{fallback="champion",ranker="sample"}} {2 * len(treated) + 1}.0'
    assert count in client.get("/metrics").text
    assert len([record for record in caplog.records if "the champion answers" in record.getMessage()]) == 2  # a reason each


def test_of_a_batch_only_the_questions_that_a_variant_cannot_answer_go_to_the_champion(client, monkeypatch):
    """One user of the treatment breaks its release; the other questions of the batch are answered by their own variants."""
    begin(client)
    variants = {user: client.get(f"/v1/recommendations/{user}").json()["variant"] for user in USERS}
    treated = [user for user, variant in variants.items() if variant == "treatment"]
    release = client.app.state.live.find("sample/v2")
    answer_all, asked = release.recommender.recommend_all, []

    def fail(questions):
        asked.append(len(questions))
        if any(question.user == treated[1] for question in questions):
            raise RuntimeError("out of order")
        return answer_all(questions)

    monkeypatch.setattr(release.recommender, "recommend_all", fail)
    batch = client.post("/v1/recommendations", json={"requests": [{"user": user} for user in USERS]}).json()["answers"]
    for user, answer in zip(USERS, batch, strict=True):
        own = "sample/v2" if variants[user] == "treatment" and user != treated[1] else "sample/v1"
        fallback = "champion" if user == treated[1] else None
        assert (answer["variant"], answer["release"], answer["fallback"]) == (variants[user], own, fallback)
        assert [item["id"] for item in answer["items"]] == ranking(client, own, user)
    assert len(treated) > 3 and asked[0] == len(treated) and len(asked) <= 2 * len(treated)
    fallen = [(row.unit, row.variant) for row in rows(client) if row.fallback == "champion"]
    assert fallen == [(treated[1], "treatment")]


def test_a_batch_keeps_the_releases_that_it_was_assigned_to_when_its_experiment_ends_before_it_is_ranked(client, monkeypatch):
    """It waits for a thread meanwhile, and what nobody needs any more is let go."""
    begin(client)
    variants = {user: client.get(f"/v1/recommendations/{user}").json()["variant"] for user in USERS}
    rankings, live = import_module("app.api.rankings"), client.app.state.live
    rank = rankings.computed

    async def later(*work):
        live.hold(())
        return await rank(*work)

    monkeypatch.setattr(rankings, "computed", later)
    batch = client.post("/v1/recommendations", json={"requests": [{"user": user} for user in USERS]}).json()["answers"]
    assert live.find("sample/v2") is None and "treatment" in variants.values()
    for user, answer in zip(USERS, batch, strict=True):
        own = "sample/v2" if variants[user] == "treatment" else "sample/v1"
        assert (answer["variant"], answer["release"], answer["fallback"]) == (variants[user], own, None)


def test_the_time_of_a_batch_is_shared_out_by_who_took_it(client, monkeypatch):
    """The treatment's release takes 0.2 s for its questions; the control's share of that is nothing."""
    begin(client)
    variants = {user: client.get(f"/v1/recommendations/{user}").json()["variant"] for user in USERS}
    treated = [user for user, variant in variants.items() if variant == "treatment"]
    release = client.app.state.live.find("sample/v2")
    answer_all = release.recommender.recommend_all

    def slowly(questions):
        sleep(0.2)
        return answer_all(questions)

    monkeypatch.setattr(release.recommender, "recommend_all", slowly)
    before = perf_counter()
    client.post("/v1/recommendations", json={"requests": [{"user": user} for user in USERS]}).raise_for_status()
    took = (perf_counter() - before) * 1e3
    milliseconds = {row.unit: row.milliseconds for row in rows(client) if "-" in row.request_id}
    assert 200 < sum(milliseconds.values()) <= took
    for user, variant in variants.items():
        slow = 200 / len(treated) if variant == "treatment" else 0.0
        assert slow < milliseconds[user] < slow + (took - 200)
    assert len({milliseconds[user] for user in treated}) == 1


def test_the_same_failure_with_other_words_at_every_answer_is_logged_once(client, monkeypatch, caplog):
    begin(client)
    variants = {user: client.get(f"/v1/recommendations/{user}").json()["variant"] for user in USERS}

    def fail(questions):
        raise RuntimeError(f"out of order for {questions[0].user}")

    monkeypatch.setattr(client.app.state.live.find("sample/v2").recommender, "recommend_all", fail)
    answers = [client.get(f"/v1/recommendations/{user}").json() for user in USERS if variants[user] == "treatment"]
    assert len(answers) > 1 and all(answer["fallback"] == "champion" for answer in answers)
    assert caplog.text.count("the champion answers") == 1


def test_a_question_that_is_to_blame_itself_stays_a_problem(client):
    begin(client)
    for user in USERS:
        asked = client.get(f"/v1/recommendations/{user}", params={"filter": "colour:red"})
        assert problem(asked)[:2] == (422, "invalid-filter")
    assert rows(client) == []


def test_an_interleaved_answer_mixes_both_rankings_in_turns(client):
    """Each item is where one of the rankings would have it next, credited to who brought it, with its own card and score."""
    begin(client, kind="interleaving")
    for user in USERS:
        answer = client.get(f"/v1/recommendations/{user}", params={"k": 8}).json()
        assert (answer["experiment"], answer["variant"], answer["fallback"]) == ("test", "interleaved", None)
        items = [item["id"] for item in answer["items"]]
        assert len(set(items)) == 8 and [item["rank"] for item in answer["items"]] == list(range(1, 9))
        row = rows(client)[-1]
        teams = orjson.loads(row.teams)["teams"]
        assert orjson.loads(row.items) == items and row.variant == "interleaved" and row.propensity == 1.0
        assert abs(2 * sum(teams) - 8) <= 2  # both have brought about as many
        for team, release in enumerate(("sample/v1", "sample/v2")):
            own = [item for item, by in zip(items, teams, strict=True) if by == team]
            order = ranking(client, release, user)
            assert own == [item for item in order if item in own]
    assert {row.variant for row in rows(client, ASSIGNMENTS)} == {"interleaved"}


def test_an_interleaved_answer_falls_back_as_a_whole(client):
    begin(client, kind="interleaving")
    client.app.state.live.hold([])
    answer = client.get("/v1/recommendations/u1").json()
    assert (answer["variant"], answer["fallback"], answer["release"]) == ("interleaved", "champion", "sample/v1")
    batch = client.post("/v1/recommendations", json={"requests": [{"user": "u1"}]}).json()["answers"][0]
    assert (batch["variant"], batch["fallback"]) == ("interleaved", "champion")
    assert [(row.fallback, row.teams) for row in rows(client)] == [("champion", None)] * 2


@pytest.mark.parametrize(("recorded", "expected"), [("experiments", ["test"]), ("all", [None, "test"]), ("none", [])])
def test_which_answers_are_written_down_can_be_chosen(settings, recorded, expected):
    chosen = settings.model_copy(update={"impressions": recorded})
    with Client(create_app(chosen)) as client:
        client.post("/v1/experiments", json={"name": "draft", "variants": VARIANTS})
        client.get("/v1/recommendations/u1")
        begin(client)
        client.get("/v1/recommendations/u1")
        assert [row.experiment for row in rows(client)] == expected


def test_two_services_on_one_store_agree(settings, client):
    begin(client)
    with Client(create_app(settings)) as other:
        for user in USERS:
            mine, its = (asked.get(f"/v1/recommendations/{user}").json() for asked in (client, other))
            assert (mine["variant"], mine["items"]) == (its["variant"], its["items"])


def test_the_description_shows_what_an_experiment_looks_like(client):
    """The example in the OpenAPI document is one that the service accepts."""
    paths = client.get("/openapi.json").json()["paths"]
    body = paths["/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]
    assert client.post("/v1/experiments", json=body["examples"]["ab"]["value"]).status_code == 201
    assert set(paths["/v1/experiments/{name}/start"]["post"]["responses"]) >= {"200", "404", "409", "422", "503"}


@pytest.mark.parametrize(
    ("method", "path", "body", "location"),
    [
        ("PATCH", "", {"weights": {"other": 1}}, "body.weights.other"),
        ("PATCH", "", {"overrides": {"u1": "other", "u2": "control"}}, "body.overrides.u1"),
        ("POST", "/conclude", {"winner": "other", "reason": "why not"}, "body.winner"),
    ],
)
def test_a_change_that_names_no_variant_is_told_where(client, method, path, body, location):
    begin(client)
    problem = check(client.request(method, f"/v1/experiments/test{path}", json=body), 422, "invalid-change")
    assert [fault["location"] for fault in problem["errors"]] == [location]


@pytest.mark.parametrize(
    ("changes", "location", "words"),
    [
        ({"name": "History or popular"}, "body.name", "expected 1 to 100 lower-case letters, digits"),
        ({"variants": [{"name": "a", "release": "A/B/C"}, {"name": "b", "release": "b"}]}, "body.variants.0.release", "expected a release NAME/VERSION or a slot"),
        ({"primary": {"name": "A b", "event": "click"}}, "body.primary.name", "expected 1 to 50 lower-case letters"),
        ({"primary": {"name": "a", "event": "Click"}}, "body.primary.event", "expected 1 to 50 lower-case letters"),
        ({"colour": "red"}, "body.colour", "there is no such field here"),
    ],
)  # fmt: skip
def test_what_a_definition_may_not_hold_is_told_in_words(client, changes, location, words):
    definition = {"name": "test", "variants": [{"name": "a", "release": "champion"}, {"name": "b", "release": "challenger"}]}
    problem = check(client.post("/v1/experiments", json={**definition, **changes}), 422, "invalid-request")
    (fault,) = [fault for fault in problem["errors"] if fault["location"] == location]
    assert fault["message"].startswith(words)


def test_every_pattern_of_a_definition_has_words(client):
    """Those that are told by regular expressions alone help nobody."""

    def patterns(part):
        if isinstance(part, dict):
            yield from [part["pattern"]] if isinstance(part.get("pattern"), str) else []
            part = list(part.values())
        for inner in part if isinstance(part, list) else []:
            yield from patterns(inner)

    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    found = {one for name in ("Experiment-Input", "Variant", "Metric") for one in patterns(schemas[name])}
    assert len(found) >= 4 and found <= problems._PATTERNS.keys()
