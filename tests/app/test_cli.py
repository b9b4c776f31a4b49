"""`irgan` as a person meets it: one message, an exit code, and no traceback."""

from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from app import cli
from app.bundle import write_bundle
from app.experiments.definition import Experiment
from app.experiments.lifecycle import Experiments
from app.releases import ReleaseStore
from app.store import Database
from tests.app.process import irgan, serving
from tests.conftest import make_draft


@pytest.fixture
def run(monkeypatch, capsys):
    """One command in this process: exit code, stdout, stderr; no part plugs anything in."""
    monkeypatch.setattr(cli.importlib.metadata, "entry_points", lambda **_: [])

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["irgan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return run


@pytest.fixture
def drafts(tmp_path):
    return [write_bundle(make_draft(version=v, seed=n), tmp_path / "drafts") for n, v in enumerate(("v1", "v2"))]


def test_publish_roll_back_and_list(run, drafts, tmp_path):
    where = ("--releases", tmp_path / "releases")
    for bundle in drafts:
        code, out, err = run("publish", bundle, *where)
        assert (code, err) == (0, "")
    assert "sample/v2 is published in slot champion" in out
    code, out, _ = run("rollback", *where)
    assert (code, "back at sample/v1" in out) == (0, True)
    _, out, _ = run("publish", drafts[1], "--slot", "challenger", *where)
    told = json.loads(run("releases", "--json", *where)[1])
    assert told["slots"] == {"challenger": "sample/v2", "champion": "sample/v1"}
    assert [bundle["release"] for bundle in told["bundles"]] == ["sample/v1", "sample/v2"]
    assert [change["action"] for change in told["history"]["champion"]] == ["publish", "publish", "rollback"]
    names, first, second = run("releases", *where)[1].splitlines()
    assert names.split() == ["release", "ranker", "made", "size", "metrics", "first", "live", "slots"]
    assert first.startswith("sample/v1") and first.endswith("  champion")
    assert second.startswith("sample/v2") and second.endswith("  challenger")
    assert (told["bundles"][0]["slots"], told["bundles"][0]["size"] > 1000) == (["champion"], True)
    assert told["bundles"][1]["first_live"] == told["history"]["champion"][1]["time"]


def test_promote_roll_back_to_a_release_and_see_who_did_it(run, drafts, tmp_path):
    where = ("--releases", tmp_path / "releases")
    run("publish", drafts[0], *where, "--by", "anna")
    run("publish", drafts[1].parent, "--slot", "challenger", *where, "--by", "cron job 7")  # by its name: the latest version
    code, out, err = run("promote", "challenger", *where, "--by", "berta")
    assert (code, out, err) == (0, f"slot champion of {tmp_path / 'releases'} points to sample/v2\n", "")
    assert run("promote", "sample/v1", "--to", "careful", *where)[0] == 0
    code, out, _ = run("rollback", "--to", "sample/v1", *where, "--by", "carl")
    assert code == 0 and out.endswith("is back at sample/v1\n")
    told = json.loads(run("releases", "--history", "champion", "--json", *where)[1])["history"]
    assert [(change["action"], change["release"], change["by"]) for change in told["champion"]] == [
        ("publish", "sample/v1", "anna"),
        ("promote", "sample/v2", "berta"),
        ("rollback", "sample/v1", "carl"),
    ]
    lines = run("releases", *where, "--history")[1].splitlines()
    assert lines[0].split() == ["when", "slot", "what", "release", "who"] and len(lines) == 6
    assert lines[2].endswith("challenger  publish   sample/v2  cron job 7")
    assert json.loads(run("releases", "--history", "--json", *where)[1])["history"].keys() == {
        "careful",
        "challenger",
        "champion",
    }
    assert "nothing has happened" in run("releases", "--history", "other", *where)[1]


def test_prune_keeps_what_is_needed_and_says_what_goes(run, tmp_path, monkeypatch):
    monkeypatch.setenv("IRGAN_RELEASES", str(tmp_path / "another"))  # options go before it, wherever they stand
    where = ("--releases", tmp_path / "releases")
    for number in range(1, 6):
        run("publish", write_bundle(make_draft(version=f"v{number}"), tmp_path / "drafts"), *where)
    store = ("--store", f"sqlite:///{tmp_path / 'irgan.db'}")
    code, out, err = run("releases", "prune", "--keep", 1, *where, *store)
    assert (code, out) == (1, "") and "--without-store" in err
    database = Database(store[1])
    definition = Experiment.model_validate(
        {
            "name": "test",
            "variants": [{"name": "a", "release": "champion"}, {"name": "b", "release": "sample/v1"}],
        }
    )
    Experiments(database, ReleaseStore(tmp_path / "releases")).create(definition)
    database.close()
    _, out, _ = run("releases", *where, "prune", "--keep", 1, "--dry-run", *store)
    assert out.startswith("sample/v2") and "2 releases would be deleted" in out
    told = json.loads(run("releases", "prune", "--keep", 1, "--json", *where, *store)[1])
    assert ([one["release"] for one in told["releases"]], told["deleted"]) == (["sample/v2", "sample/v3"], True)
    assert "1 release deleted" in run("releases", "prune", "--keep", 1, "--without-store", *where)[1]
    assert [manifest.version for manifest in ReleaseStore(tmp_path / "releases").published()] == ["v4", "v5"]


def test_the_folder_of_releases_may_come_from_the_environment(run, drafts, tmp_path, monkeypatch):
    monkeypatch.setenv("IRGAN_RELEASES", str(tmp_path / "mine"))
    monkeypatch.setenv("IRGAN_SLOT", "challenger")
    assert run("publish", drafts[0])[0] == 0
    assert ReleaseStore(tmp_path / "mine").slots() == {"challenger": "sample/v1"}
    assert "nothing is published" in run("releases", "--releases", tmp_path / "other")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("publish", "{tmp}/nothing"), 2, "is no folder; expected a bundle's folder"),
        (("publish", "{bundle}", "--slot", "No Slot"), 2, "--slot or IRGAN_SLOT"),
        (("publish", "{bundle}", "--releases", "{tmp}/file"), 2, "is no folder; give a folder for releases"),
        (("publish", "{bundle}", "--releases", "/proc/none"), 1, "No such file or directory"),
        (("publish", "{tmp}/drafts"), 2, "there are {tmp}/drafts/sample/v1"),
        (("rollback", "--releases", "{tmp}/none"), 2, "nothing was published"),
        (("promote", "challenger", "--releases", "{tmp}/none"), 2, "nothing was published in slot 'challenger'"),
        (("promote", "sample/v1", "--releases", "{tmp}/none"), 2, "none are kept"),
        (("serve", "--port", "70000"), 2, "--port or IRGAN_PORT"),
        (("serve", "--host", "192.0.2.1"), 2, "there is no API key"),
        (("serve", "--host", "192.0.2.1", "--insecure"), 2, "cannot listen on 192.0.2.1"),
        (("serve", "--port", "0", "--releases", "{tmp}/file"), 2, "is no folder"),
    ],
)
def test_what_a_person_can_cause_is_one_line_and_an_exit_code(run, drafts, tmp_path, *, arguments, code, message):
    (tmp_path / "file").touch()
    found, out, err = run(*(argument.format(tmp=tmp_path, bundle=drafts[0]) for argument in arguments))
    assert (found, out) == (code, "")
    assert err.startswith("irgan: ") and err.count("\n") == 1
    assert message.format(tmp=tmp_path) in err


def test_a_bad_setting_in_the_environment_is_named(run, monkeypatch):
    monkeypatch.setenv("IRGAN_POLL_SECONDS", "9")
    code, _, err = run("releases")
    assert code == 2 and "(IRGAN_POLL_SECONDS)" in err  # it has no option


def test_a_store_that_cannot_be_is_told_before_anything_answers(run, monkeypatch):
    monkeypatch.setenv("IRGAN_STORE", "nonsense")
    code, out, err = run("serve", "--port", "0")
    assert (code, out) == (2, "") and "IRGAN_STORE" in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/items.npy"), 1, "No space left on device: /data/items.npy"),
        (OSError("800 requested and 16 written"), 1, "No space left on device (800 requested and 16 written)"),
        (KeyboardInterrupt(), 130, ""),
        (type("Interrupted", (Exception,), {"exit_code": 130})("stopped; a checkpoint was kept"), 130, "a checkpoint was kept"),
    ],
)
def test_whatever_ends_a_command_ends_it_quietly(run, drafts, tmp_path, monkeypatch, *, error, code, message):
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ReleaseStore, "publish", failing)
    found, out, err = run("publish", drafts[0], "--releases", tmp_path / "releases")
    assert (found, out) == (code, "")
    assert message in err and "Traceback" not in err


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch, drafts):
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ReleaseStore, "publish", failing)
    monkeypatch.setattr(sys, "argv", ["irgan", "publish", str(drafts[0])])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


def test_version(run):
    assert run("--version") == (0, f"irgan {version('irgan')}\n", "")


def test_an_unknown_command_ends_with_two(run):
    code, _, err = run("serv")
    assert code == 2 and "No such command" in err


def _plug(monkeypatch, **parts: str) -> None:
    entries = [EntryPoint(name, value, "irgan.commands") for name, value in parts.items()]
    monkeypatch.setattr(cli.importlib.metadata, "entry_points", lambda **_: entries)


def commands(part) -> None:
    """Plugs one command in, as another part of the installation does."""

    @part.command()
    def greet() -> None:
        """Say hello."""
        print("hello")  # noqa: T201


def test_other_parts_add_their_commands(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tests.part", sys.modules[__name__])
    _plug(monkeypatch, some="tests.part:commands")
    assert run("greet") == (0, "hello\n", "")
    _, out, _ = run("--help")
    assert "greet" in out and out.index("serve") < out.index("greet")


def test_a_broken_part_costs_one_line_and_the_rest_works(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tests.part", sys.modules[__name__])
    _plug(monkeypatch, broken="tests.no_such_module:commands", some="tests.part:commands")
    code, out, err = run("greet")
    assert (code, out) == (0, "hello\n")
    assert err == "irgan: the commands of 'broken' are missing: ModuleNotFoundError: No module named 'tests.no_such_module'\n"
    assert run("releases", "--releases", tmp_path / "none")[2] == ""  # our own commands do not even look


def test_serve_needs_no_release_and_ends_well_on_either_signal(tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM):
        with serving(tmp_path / "none") as (process, port):
            with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                for path, status in (("/health/live", 200), ("/health/ready", 503)):
                    connection.request("GET", path)
                    response = connection.getresponse()
                    assert response.status == status
                    response.read()
            process.send_signal(number)
            assert process.wait(30) == 0
    assert not (tmp_path / "none").exists()


def test_an_address_in_use_is_told_apart(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = irgan("serve", "--port", str(taken.getsockname()[1]), "--releases", tmp_path)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "another process listens" in ended.stderr and ended.stderr.count("\n") == 1


def test_a_full_device_and_a_closed_pipe_end_without_a_traceback(tmp_path):
    command = [sys.executable, "-c", "from app.cli import main; main()", "releases", "--releases", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.stderr, ended.returncode) == ("irgan: No space left on device\n", 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode != 0
