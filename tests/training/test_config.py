"""Settings: every mistake at once, nothing guessed, the last word wins."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pydantic
import pytest
from pydantic import Field

from training.config import RankerConfig, parse_config
from training.errors import ConfigError


class Config(RankerConfig):
    """Of a ranker that does not exist."""

    embedding_size: int = Field(default=8, ge=1)
    """Dimensions."""
    learning_rate: float = Field(default=0.1, gt=0)
    """Of the optimiser."""
    signal: Literal["positives", "all"] = "positives"
    """What counts."""
    mask: bool = True
    """Whether to."""


def test_without_anything_there_are_the_defaults() -> None:
    """No file and no assignment."""
    assert parse_config(Config) == Config()


def test_assignments_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    """And a later assignment over an earlier one."""
    file = tmp_path / "mine.toml"
    file.write_text('embedding_size = 16\nlearning_rate = 0.5\nsignal = "all"\n')
    config = parse_config(Config, file=file, assignments=["learning_rate=1e-3", "embedding_size=4", "embedding_size = 32"])
    assert config == Config(embedding_size=32, learning_rate=0.001, signal="all")


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("signal=all", "signal", "all"),
        ('signal="all"', "signal", "all"),
        ("mask=false", "mask", False),
        (" embedding_size = 5 ", "embedding_size", 5),
        ("learning_rate=2", "learning_rate", 2.0),
    ],
)
def test_values_are_read_as_toml_and_bare_words_are_strings(assignment: str, key: str, value: object) -> None:
    """As a person types them."""
    assert getattr(parse_config(Config, assignments=[assignment]), key) == value


def test_all_mistakes_are_told_at_once() -> None:
    """Each in a line of its own, with what was found; unknown keys with those that are known."""
    with pytest.raises(ConfigError) as caught:
        parse_config(Config, assignments=["embeding_size=4", "learning_rate=0", "signal=both", "embedding_size=four"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "embeding_size: unknown setting; known are embedding_size, learning_rate, signal, mask" in lines
    assert "learning_rate = 0: Input should be greater than 0" in lines
    assert any(line.startswith("signal = 'both'") and "'positives' or 'all'" in line for line in lines)
    assert any(line.startswith("embedding_size = 'four'") for line in lines)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("assignment", ["embedding_size", "=4", " = 4", ""])
def test_what_is_no_assignment_is_refused(assignment: str) -> None:
    """A key and a value, with = between."""
    with pytest.raises(ConfigError, match="is no assignment; expected key=value"):
        parse_config(Config, assignments=[assignment])


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"a = = b", "is not TOML"), (b"\xff\xfe", "cannot be read"), ("folder", "cannot be read")],
)
def test_a_file_that_cannot_be_used_is_one_message(content: bytes | str | None, message: str, tmp_path: Path) -> None:
    """Missing, not TOML, not text, a folder: the message begins with its name."""
    file = tmp_path / "mine.toml"
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(Config, file=file)
    assert str(caught.value).startswith(str(file))


def test_settings_cannot_be_changed_afterwards() -> None:
    """They are the identity of a model."""
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Config().embedding_size = 3  # type: ignore[misc]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_number_must_be_finite(value: str) -> None:
    """TOML can write both; a training with either would end in a ranker of nothing."""
    with pytest.raises(ConfigError, match=r"learning_rate = .*finite number"):
        parse_config(Config, assignments=[f"learning_rate={value}"])
