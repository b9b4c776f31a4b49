"""`irgan experiment plan` from the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.errors import ServiceError


def irgan(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["experiment", "plan", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_says_units_and_days():
    """Telling .1 from .12 takes (1.96 + .8416)² · 2 · (.1 · .9 + .12 · .88) / .02² = 7,676 units, and 16 days at 500 a day."""
    output = irgan("--baseline", "0.1", "--minimum-effect", "0.2", "--units-a-day", "1000", "--traffic", "0.5")
    lines = output.splitlines()
    assert "0.1 from 0.12 (a difference of 20%)" in lines[0]
    assert lines[2].split()[-2:] == ["7,678", "16"]
    assert "3,839, 3,839" in lines[-2]
    assert lines[-1].endswith("--planned-units 13198")


def test_json_has_the_plans_fields():
    found = json.loads(irgan("--baseline", "3", "--sd", "2", "--minimum-effect", "0.05", "--weights", "2,1,1", "--json"))
    assert found["variants"] == 3 and found["days"] is None
    assert sum(found["units_by_variant"]) == found["units"] < found["always_valid_units"]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ServiceError, match=r"baseline of 3.*--sd.*power is 2") as caught:
        irgan("--baseline", "3", "--minimum-effect", "0.05", "--power", "2")
    assert caught.value.exit_code == 2
    with pytest.raises(ServiceError, match="expected numbers with commas between them"):
        irgan("--baseline", "0.3", "--minimum-effect", "0.05", "--weights", "much,little")
