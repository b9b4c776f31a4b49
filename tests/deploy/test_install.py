"""The steps of the Dockerfiles, executed: what they install starts, answers, and needs no right to write elsewhere.

It takes minutes and the package index, so only IRGAN_TEST_INSTALL=1 runs it. Absolute paths of the container become paths below one folder; the
interpreter is python3.12 where there is one.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.bundle import write_bundle
from tests.conftest import make_draft
from tests.deploy.dockerfile import ROOT, Stage, let_through, read_dockerfile

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("IRGAN_TEST_INSTALL"), reason="takes minutes and the package index; set IRGAN_TEST_INSTALL=1"
    ),
    pytest.mark.timeout(1800),
]

_log = logging.getLogger(__name__)

POWERLESS = ["setpriv", "--no-new-privs", "--bounding-set=-all"] if os.geteuid() == 0 else []
"""What `cap_drop` and `no-new-privileges` do: root, too, may write only where permissions say so."""
MOST_MEGABYTES = 600
"""Of the service's environment, unpacked: 544 with Python 3.12; whoever adds a library shall see it."""


@pytest.fixture
def container() -> Iterator[Path]:
    """What stands for the root folder."""
    folder = Path(tempfile.mkdtemp(prefix="irgan-container-"))
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def inside(text: str, container: Path) -> str:
    """Absolute paths of the container as paths here."""
    return re.sub(r"(?<![\w./:])/(?=(?:venv|source|releases|store|data|work|home)\b)", f"{container}/", text)


def build(path: Path, container: Path, **arguments: str) -> list[str]:
    """Execute the first stage; what each RUN printed."""
    stage = read_dockerfile(path)[0]
    ignore = path.with_name(f"{path.name}.dockerignore")
    here = container / stage.last("WORKDIR").lstrip("/")
    here.mkdir(parents=True)
    for sources, target in stage.copied():
        for source in sources:
            _copy(source, here / target / (source if target == "./" else ""), ignore)
    tools = container / "tools"
    tools.mkdir()
    (tools / "python").write_text(f'#!/bin/sh\nexec {_python()} "$@"\n')
    (tools / "python").chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(container)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment |= dict(value.partition("=")[::2] for value in stage.all("ARG")) | arguments
    printed = []
    for run in stage.all("RUN"):
        told = subprocess.run(
            ["sh", "-ec", inside(run, container)], cwd=here, env=environment, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr
        printed.append(told.stdout)
    return printed


def _python() -> str:
    """The containers' version where it can be run."""
    found = shutil.which("python3.12")
    usable = found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if usable else sys.executable


def _copy(source: str, target: Path, ignore: Path) -> None:
    found = [ROOT / source] if (ROOT / source).is_file() else [path for path in (ROOT / source).rglob("*") if path.is_file()]
    for path in found:
        if let_through(path.relative_to(ROOT).as_posix(), ignore):
            place = target / path.relative_to(ROOT / source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def command_of(stage: Stage, container: Path) -> tuple[list[str], dict[str, str]]:
    """What a container of the image runs, and its environment."""
    program, *words = stage.listed("ENTRYPOINT")
    settings = {name: inside(value, container) for name, value in stage.environment().items()}
    settings["PATH"] = settings["PATH"].replace("$PATH", "/usr/bin:/bin")
    subprocess.run(["chmod", "-R", "a-w", container / "venv"], check=True)
    return [*POWERLESS, str(container / "venv/bin" / program), *words], settings


@contextmanager
def started(command: list[str], settings: dict[str, str], folder: Path) -> Iterator[str]:
    """The address that the service answers on."""
    with subprocess.Popen(command, env=settings, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+:(\d+)", process.stdout.readline())
            assert found is not None
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()
        assert process.wait(30) == 0


def ask(address: str, body: dict[str, object] | None = None) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_the_service_is_installed_without_torch_starts_and_answers(container: Path) -> None:
    """From nothing to a ranking, an event and a report; only the volumes can be written."""
    path = ROOT / "docker" / "app.Dockerfile"
    printed = build(path, container)
    packages = {found.name for found in (container / "venv").glob("lib/*/site-packages/*")}
    assert "faiss" in packages and "tea_tasting" in packages and "psycopg" in packages
    assert not packages & {"torch", "pip", "lightgbm", "matplotlib"}
    size = sum(found.lstat().st_size for found in (container / "venv").rglob("*") if not found.is_dir()) // 1_000_000
    _log.info("the service: %s; %d MB in all", printed[-1].splitlines()[-1], size)
    assert size < MOST_MEGABYTES
    last = read_dockerfile(path)[-1]
    command, settings = command_of(last, container)
    for volume in last.listed("VOLUME"):
        Path(inside(volume, container)).mkdir()
    settings |= {"IRGAN_HOST": "127.0.0.1", "IRGAN_PORT": "0"}
    store = Path(inside(last.last("WORKDIR"), container))
    bundle = write_bundle(make_draft(), container / "bundles")
    with started([*command, *last.listed("CMD")], settings, store) as address:
        assert ask(f"{address}/health/live")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            ask(f"{address}/health/ready")
        subprocess.run([*command, "publish", str(bundle)], env=settings, check=True, cwd=store)
        for _ in range(100):
            try:
                ready = ask(f"{address}/health/ready")
                break
            except urllib.error.HTTPError:
                time.sleep(0.1)
        known = ask(f"{address}/v1/recommendations/u1")
        stored = ask(f"{address}/v1/events", {"id": "a", "type": "click", "user": "u", "item": "i1", "request_id": "r"})
        keys = subprocess.run(
            [*command, "keys", "create", "shop", "--role", "read"],
            env=settings,
            check=True,
            cwd=store,
            capture_output=True,
            text=True,
        )
    assert ready["ranker"]
    assert known["items"]
    assert stored == {"accepted": 1, "duplicates": [], "rejected": []}
    assert keys.stdout.startswith("irgan_")
    exported = store / "events.parquet"
    subprocess.run([*command, "events", "export", "--output", str(exported)], env=settings, check=True, cwd=store)
    assert exported.stat().st_size > 0


def test_training_is_installed_and_retrains(container: Path) -> None:
    """On the torch of the usual index: the index of torch's own builds is asked for by default, and is not reached from everywhere.

    IRGAN_TEST_FAISS=gpu builds what goes with CUDA, which works without a GPU too.
    """
    path = ROOT / "docker" / "training.Dockerfile"
    chosen = {"TORCH_INDEX": os.environ.get("IRGAN_TEST_TORCH_INDEX", ""), "FAISS": os.environ.get("IRGAN_TEST_FAISS", "cpu")}
    printed = build(path, container, **chosen)
    size = sum(found.lstat().st_size for found in (container / "venv").rglob("*") if not found.is_dir()) // 1_000_000
    _log.info("training: %s; %d MB in all", printed[-1].splitlines()[-1], size)
    last = read_dockerfile(path)[-1]
    command, settings = command_of(last, container)
    for volume in last.listed("VOLUME"):
        Path(inside(volume, container)).mkdir()
    work = Path(inside(last.last("WORKDIR"), container))
    lines = [
        f"{user},{(user * 7 + step) % 40},{1 + (user + step) % 5},{step * 60 + user}"
        for step in range(20)
        for user in range(60)
    ]
    (work / "ratings.csv").write_text("\n".join(["user,item,rating,time", *lines]))
    (work / "retrain.toml").write_text(
        'data = {sources = ["ratings.csv"]}\nrankers = [{name = "popularity"}]\nrun = {cf_nade = false}\npublish = {champion = "if-better"}\n'
    )
    told = subprocess.run(
        [*command, "retrain", "retrain.toml", "--json"], env=settings, cwd=work, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["decision"] == "published"
    assert (Path(inside("/releases", container)) / "slots" / "champion").is_file()
