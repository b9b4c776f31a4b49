"""`irgan rankers`: what there is to train, and with which settings."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from training.cli.rankers import rankers
from training.errors import ConfigError
from training.registry import RANKERS

app = typer.Typer()
app.command()(rankers)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_every_ranker_is_listed_with_its_paper_and_what_it_answers() -> None:
    """For people and for machines."""
    text, found = run(), json.loads(run("--json"))
    assert [row["name"] for row in found["rankers"]] == list(RANKERS)
    for row, spec in zip(found["rankers"], RANKERS.values(), strict=True):
        wanted = {"name": spec.name, "paper": spec.paper, "queries": list(spec.queries), "needs": spec.needs}
        assert row == wanted | {"figures": spec.figures}
        assert spec.figures
        assert spec.figures in text
        assert spec.name in text
        assert spec.paper in text


@pytest.mark.parametrize("name", RANKERS)
def test_a_ranker_s_settings_are_shown_with_defaults_and_meaning(name: str) -> None:
    """Each of them, and that there are none where there are none."""
    fields = RANKERS[name].config().model_fields
    found = json.loads(run(name, "--json"))
    assert found["ranker"] == name
    assert [row["setting"] for row in found["settings"]] == list(fields)
    assert all(row["meaning"] for row in found["settings"])
    text = run(name)
    for key, field in fields.items():
        assert f"{key} = {field.default}\n" in text
    if not fields:
        assert text == f"{name} has no settings\n"


def test_an_unknown_ranker_is_one_message() -> None:
    """With those there are."""
    result = CliRunner().invoke(app, ["eaze"])
    assert type(result.exception) is ConfigError
    assert "no ranker 'eaze'; there are" in str(result.exception)
