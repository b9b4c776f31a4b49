"""Which changes took place, and where a rollback goes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.releases.history import Action, Change, effective, previous, this_account

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def changes(*told: tuple[Action, str]) -> list[Change]:
    return [Change(TIME, action, release) for action, release in told]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], None),
        ([("publish", "r/a")], None),
        ([("publish", "r/a"), ("publish", "r/b")], "r/a"),
        ([("publish", "r/a"), ("publish", "r/b"), ("publish", "r/c"), ("rollback", "r/b")], "r/a"),
        ([("publish", "r/a"), ("publish", "r/b"), ("publish", "r/c"), ("rollback", "r/b"), ("rollback", "r/a")], None),
        ([("publish", "r/a"), ("publish", "r/b"), ("rollback", "r/a"), ("publish", "r/c")], "r/a"),
        ([("publish", "r/a"), ("publish", "r/b"), ("publish", "r/a")], "r/b"),
        ([("found", "r/a"), ("publish", "r/b")], "r/a"),
        ([("publish", "r/a"), ("publish", "r/b"), ("promote", "r/c"), ("rollback", "r/b")], "r/a"),
        # A rollback that named its release.
        ([("publish", "r/a"), ("publish", "r/b"), ("publish", "r/c"), ("rollback", "r/a")], None),
        ([("publish", "r/a"), ("publish", "r/b"), ("publish", "r/c"), ("publish", "r/d"), ("rollback", "r/b")], "r/a"),
        ([("publish", "r/a"), ("publish", "r/b"), ("rollback", "r/c")], "r/b"),
        ([("publish", "r/a"), ("publish", "r/b"), ("publish", "r/a"), ("publish", "r/c"), ("rollback", "r/a")], "r/b"),
    ],
)
def test_a_rollback_undoes_the_latest_change_not_undone_yet(told, expected):
    """Each further rollback walks further back; what was rolled back from is never returned to."""
    assert previous(changes(*told)) == expected


@pytest.mark.parametrize(
    ("written", "pointer", "expected"),
    [
        ([], None, []),
        (["r/a"], "r/a", ["r/a"]),
        (["r/a", "r/b"], "r/a", ["r/a"]),
        (["r/a"], None, []),
        (["r/a", "r/b"], "r/c", ["r/a", "r/b", "r/c"]),
        ([], "r/a", ["r/a"]),
    ],
)
def test_a_change_whose_pointer_never_moved_did_not_take_place(written, pointer, expected):
    """Interrupted between the line and the pointer, the line is void; a pointer written by hand is noted as found."""
    told = effective(changes(*(("publish", release) for release in written)), pointer)
    assert [change.release for change in told] == expected


def test_a_line_of_history_reads_back():
    change = Change(TIME, "promote", "irgan/v1", "Anna B. @ the desk")
    assert str(change) == "2026-01-02T03:04:05.000+00:00 promote irgan/v1 Anna B. @ the desk"
    assert Change.parse(str(change)) == change


def test_a_line_that_does_not_say_who_reads_too():
    """As they were written before names were."""
    change = Change.parse("2026-01-02T03:04:05.000+00:00 rollback irgan/v1")
    assert change == Change(TIME, "rollback", "irgan/v1", "")
    assert str(change) == "2026-01-02T03:04:05.000+00:00 rollback irgan/v1"


@pytest.mark.parametrize(
    ("by", "told"),
    [("root@host", "root@host"), ("a\nb\u2028c\x85d \x1b[31m\udcff", "a b c d [31m"), ("  ", ""), ("x" * 1000, "x" * 200)],
)
def test_whatever_somebody_is_called_stays_one_line(by, told):
    change = Change.now("publish", "r/a", by)
    assert change.by == told
    assert len(str(change).splitlines()) == 1 and str(change).encode()


def test_an_account_without_a_name_is_told_by_its_number(monkeypatch):
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("app.releases.history.getpass.getuser", nameless)
    monkeypatch.setattr("app.releases.history.os.getuid", lambda: 10001)
    monkeypatch.setattr("app.releases.history.socket.gethostname", lambda: "host")
    assert this_account() == "10001@host"


@pytest.mark.parametrize("line", ["", "yesterday publish r/a", "2026-01-02T03:04:05+00:00 forget r/a", "a b c d"])
def test_a_line_that_is_no_change_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        Change.parse(line)
