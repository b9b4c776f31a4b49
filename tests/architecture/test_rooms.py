"""The service runs without what training needs, and the arrows between rooms point one way."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.conftest import make_draft

ROOT = Path(__file__).parents[2]

_ANSWER = """
import asyncio, json, sys
import httpx
from app.main import create_app
from app.settings import Settings
import app.cli, app.serve

async def ask(app):
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return [
                (await client.get("/v1/recommendations/u1")).status_code,
                (await client.post("/v1/recommendations", json={"history": [{"item": "i1"}]})).status_code,
                (await client.get("/v1/items/i1/similar")).status_code,
                (await client.get("/metrics")).status_code,
            ]

statuses = asyncio.run(ask(create_app(Settings(releases=sys.argv[1], slot="champion", store=sys.argv[2]))))
print(json.dumps({"statuses": statuses, "modules": sorted(sys.modules)}))
"""


def test_the_service_answers_without_ever_loading_torch_or_training(tmp_path):
    ReleaseStore(tmp_path / "releases").publish(write_bundle(make_draft(), tmp_path / "drafts"), "champion")
    ended = subprocess.run(
        [sys.executable, "-c", _ANSWER, str(tmp_path / "releases"), f"sqlite:///{tmp_path / 'irgan.db'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["statuses"] == [200, 200, 200, 200]
    assert "faiss" in told["modules"] and "app.retrieval.recommend" in told["modules"]
    # No scipy here: bm25s takes it where it is installed, and does without it elsewhere.
    heavy = {"torch", "training", "implicit", "sklearn", "matplotlib", "tensorboard", "transformers"}
    assert [name for name in told["modules"] if name.partition(".")[0] in heavy] == []


def _imports(path: Path) -> set[str]:
    """The first word of everything that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the full name"
            found.add(str(node.module).partition(".")[0])
    return found


def _sources(folder: str) -> dict[Path, set[str]]:
    return {path: _imports(path) for path in sorted((ROOT / folder).rglob("*.py"))}


def test_no_file_of_the_service_imports_training_torch_or_pickle():
    sources = _sources("app")
    assert len(sources) >= 35
    forbidden = {"torch", "training", "pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
    assert {str(path): names & forbidden for path, names in sources.items() if names & forbidden} == {}


def test_no_file_of_the_contract_imports_a_web_framework():
    sources = _sources("app/bundle")
    assert len(sources) >= 9
    forbidden = {"fastapi", "starlette", "uvicorn", "httpx"}
    assert {str(path): names & forbidden for path, names in sources.items() if names & forbidden} == {}


def test_no_file_anywhere_loads_pickled_arrays():
    sources = [path for folder in ("app", "training") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) >= 60
    assert [str(path) for path in sources if "allow_pickle=True" in path.read_text(encoding="utf-8")] == []


def test_the_arrows_between_rooms_point_one_way():
    """The contracts in pyproject.toml, checked by import-linter."""
    ended = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
