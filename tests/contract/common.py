"""What the conformity suites of all kinds of ranker share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from training.config import RankerConfig, parse_config
from training.errors import ConfigError
from training.loop import Run


@contextmanager
def interrupted_after(points: float) -> Iterator[None]:
    """Ctrl-C in the epoch in which the curves come to have so many points, those of resumed epochs included."""
    add = Run.scalar

    def scalar(run: Run, name: str, value: float, step: int) -> None:
        add(run, name, value, step)
        if sum(map(len, run.curves.values())) >= points:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "scalar", scalar)
        yield


@contextmanager
def nothing_global_takes_part(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Global generators are in an odd state, which stays as it is; nothing is printed."""
    np.random.seed(99)  # noqa: NPY002 - the global state is what is tested
    torch.manual_seed(99)
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002 - likewise
    yield
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002 - likewise
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert capsys.readouterr() == ("", "")


def check_settings(kind: type[RankerConfig]) -> None:
    """A typo is refused, every setting says what it is, and what a bundle records of them makes them again."""
    with pytest.raises(ConfigError, match="num_epochz: unknown setting"):
        parse_config(kind, assignments=["num_epochz=3"])
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["frozen"]
    assert [key for key, field in kind.model_fields.items() if not field.description] == []
    config = kind()
    assert kind.model_validate(json.loads(json.dumps(config.model_dump(mode="json")))) == config


def check_summary(summary: Mapping[str, Any]) -> None:
    """It goes into the manifest, where no infinity and no array has a place."""
    assert json.loads(json.dumps(dict(summary), allow_nan=False)) == dict(summary)
