"""Experiments from the command line, on the store that services follow."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.experiments.errors import DefinitionInvalid, ExperimentError, UnknownExperiment
from app.store import NameTaken
from tests.app.experiments.service import publish
from tests.app.process import irgan as process


@pytest.fixture
def irgan(tmp_path, monkeypatch):
    """What a command prints, in a folder of its own with releases and a store."""
    publish(tmp_path)
    monkeypatch.setenv("IRGAN_RELEASES", str(tmp_path / "releases"))
    monkeypatch.setenv("IRGAN_STORE", f"sqlite:///{tmp_path / 'irgan.db'}")
    monkeypatch.chdir(tmp_path)

    def irgan(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["experiment", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return irgan


TOML = """
name = "test"
traffic = 0.5
variants = [
    {name = "control", release = "champion"},
    {name = "treatment", release = "sample/v2", weight = 3},
]
"""


def test_a_life_from_a_file(irgan, tmp_path):
    (tmp_path / "test.toml").write_text(TOML)
    assert irgan("list") == "there are no experiments; create one: irgan experiment create FILE\n"
    assert irgan("create", "test.toml") == "experiment test is a draft; start it: irgan experiment start test\n"
    assert "test  draft, ab on recommendations: control champion · treatment sample/v2" in irgan("list")
    assert "weight 3" in irgan("show", "test")
    assert "test is running" in irgan("start", "test")
    assert "50% take part: control 25%, treatment 75%" in irgan("update", "test", "--override", "u=1=control")
    changed = irgan("update", "test", "--weight", "control=3", "--traffic", "0.8", "--override", "u=1=")
    assert "80% take part: control 50%" in changed
    assert "is stopped" in irgan("stop", "test")
    irgan("start", "test")
    done = irgan("conclude", "test", "--winner", "treatment", "--reason", "more clicks")
    assert done == "experiment test is concluded; treatment wins, which is sample/v2\n"
    shown = irgan("show", "test")
    assert "  treatment: sample/v2, 50%" in shown and "  winner: treatment; more clicks" in shown
    told = json.loads(irgan("show", "test", "--json"))
    assert [change["action"] for change in told["history"]] == [
        "create", "start", "update", "update", "stop", "start", "conclude",
    ]  # fmt: skip
    assert json.loads(irgan("list", "--json"))["experiments"][0]["outcome"]["winner"] == "treatment"


def test_options_define_an_experiment_and_take_the_place_of_a_files_fields(irgan, tmp_path):
    made = irgan(
        *("create", "--name", "mine", "--variant", "control=champion", "--variant", "new=sample/v2@2", "--unit", "session"),
        *("--primary", "conversion", "--secondary", "click-through", "--guardrail", "latency@0.1", "--traffic", "0.2"),
        *("--minimum-effect", "0.1", "--layer", "l", "--kind", "ab", "--surface", "recommendations", "--json"),
    )
    definition = json.loads(made)["definition"]
    assert definition["variants"][1] == {"name": "new", "release": "sample/v2", "weight": 2.0}
    assert (definition["unit"], definition["traffic"], definition["layer"]) == ("session", 0.2, "l")
    assert (definition["primary"]["name"], definition["guardrails"][0]["margin"]) == ("conversion", 0.1)
    (tmp_path / "test.json").write_text(json.dumps({**definition, "name": "other"}))
    again = json.loads(irgan("create", "test.json", "--name", "third", "--json"))["definition"]
    assert again == {**definition, "name": "third"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["create", "none.json"], DefinitionInvalid, "none.json is not there"),
        (["create", "bad.json"], DefinitionInvalid, "bad.json is not JSON"),
        (["create", "bad.toml"], DefinitionInvalid, "bad.toml is not TOML"),
        (["create", "list.json"], DefinitionInvalid, "holds list; expected an object"),
        (["create", "--name", "Ü"], DefinitionInvalid, r"(?s)name: String should match.*variants: Field required"),
        (["create", "--variant", "a"], DefinitionInvalid, "'a' has no '='"),
        (["create", "--variant", "a=b@c"], DefinitionInvalid, "'c' is no number"),
        (["update", "test"], DefinitionInvalid, "nothing is changed"),
        (["start", "test"], UnknownExperiment, "irgan experiment list names"),
        (["show", "test"], UnknownExperiment, "no experiment 'test'"),
    ],
)
def test_what_is_wrong_is_one_message(irgan, tmp_path, arguments, error, message):
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.toml").write_text("=")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(error, match=message) as caught:
        irgan(*arguments)
    assert isinstance(caught.value, ExperimentError) and caught.value.exit_code == 2
    assert not (tmp_path / "irgan.db").exists()


def test_a_name_that_is_taken_is_a_mistake_like_others(irgan, tmp_path):
    (tmp_path / "test.toml").write_text(TOML)
    irgan("create", "test.toml")
    with pytest.raises(NameTaken, match="choose another name") as caught:
        irgan("create", "test.toml")
    assert caught.value.exit_code == 2


def test_a_mistake_ends_without_a_traceback(tmp_path):
    ended = process("experiment", "stop", "none", IRGAN_STORE=f"sqlite:///{tmp_path / 'irgan.db'}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "irgan: there is no experiment 'none'; irgan experiment list names those there are\n"
