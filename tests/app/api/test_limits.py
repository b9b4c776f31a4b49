"""Buckets of tokens: how many requests pass, when the next one does, and how much is remembered."""

from __future__ import annotations

import pytest

from app.api import limits
from app.api.limits import RateLimit, caller_of
from app.main import create_app
from app.settings import Settings
from app.store import Database, Keys
from tests.app.api.conftest import Client
from tests.app.api.test_problems import check


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_then_the_rate_does():
    """Rate 2, burst 3: three at once, then one each half second; a rest fills the bucket and no more."""
    clock = Clock()
    limit = RateLimit(2, 3, clock=clock)
    assert [limit.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.25
    assert limit.take("a") == pytest.approx(0.25)
    clock.now += 0.25
    assert [limit.take("a") for _ in range(2)] == [0, 0.5]
    clock.now += 1000
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_whoever_asks_too_often_is_let_pass_at_the_rate_all_the_same():
    """Refused requests take nothing out of the bucket."""
    clock = Clock()
    limit = RateLimit(1, 1, clock=clock)
    passed = 0
    for _ in range(1000):
        passed += limit.take("a") == 0
        clock.now += 1 / 64
    assert passed == 16  # 15.6 s: one at once, then one a second


def test_callers_do_not_take_each_others():
    limit = RateLimit(1, 1, clock=Clock())
    assert [limit.take(caller) for caller in ("a", "b", "a", 1)] == [0, 0, 1, 0]


def test_a_bounded_number_of_callers_is_remembered(monkeypatch):
    """Who has not asked for longest is forgotten, so that somebody with many addresses fills no memory."""
    monkeypatch.setattr(limits, "_CALLERS", 3)
    limit = RateLimit(1, 1, clock=Clock())
    for caller in "abcd":
        assert limit.take(caller) == 0
    assert len(limit._buckets) == 3
    assert [limit.take(caller) for caller in "dcba"] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("nonsense:", "nonsense:", True),
    ],
)
def test_one_customer_has_a_whole_network_of_ipv6(one, other, same):
    assert (caller_of(one) == caller_of(other)) == same


def test_too_many_requests_are_told_when_to_come_again(tmp_path):
    """Of one key by its key, of all others by their address; health is never limited."""
    settings = Settings(releases=tmp_path, store=f"sqlite:///{tmp_path / 'irgan.db'}", rate_limit=0.01, rate_burst=2)
    database = Database(settings.store)
    key = {"authorization": f"Bearer {Keys(database).create('shop', ['read'])}"}
    database.close()
    with Client(create_app(settings)) as client:
        assert [client.get("/v1/releases").status_code for _ in range(2)] == [401, 401]
        answer = client.get("/v1/releases")
        check(answer, 429, "too-many-requests")
        assert 0 < int(answer.headers["retry-after"]) <= 100
        assert [client.get("/v1/releases", headers=key).status_code for _ in range(3)] == [200, 200, 429]
        assert [client.get("/health/live").status_code for _ in range(5)] == [200] * 5


def test_nothing_is_limited_by_default(client):
    assert all(client.get("/v1/releases").status_code == 200 for _ in range(50))
