"""A retraining that is killed, anywhere, and started again: the same release as if nothing had happened, published once.

A process is killed (SIGKILL) before one of its writes: anything that Python opens for writing, syncs, renames, makes or removes under the job's
folder. Runs take their time from SOURCE_DATE_EPOCH, so that an undisturbed run has the same clock. With IRGAN_KILL_EVERYWHERE=1 every write is
tried, which takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.training.jobs.killed_cases import Case, killer_process

STRIDE = 1 if os.environ.get("IRGAN_KILL_EVERYWHERE") else 41


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with killer_process() as killer:
        yield Case(killer, tmp_path_factory.mktemp("killed"))


def test_killed_at_every_boundary_between_steps_it_publishes_the_same_bytes_once(case: Case) -> None:
    """Just before a step's result is put in place: what the step did is there, and nobody knows."""
    steps = case.told["steps"]
    assert len(steps) == 10
    for write in steps:
        case.check(write)


def test_killed_around_the_publication_it_publishes_the_same_bytes_once(case: Case) -> None:
    """From the last step before it to the record: bundle copied, history written, pointer moved, result noted."""
    first, last = case.told["steps"][-2] + 1, case.told["writes"]
    kills = range(first, last + 1, 1 if STRIDE == 1 else 11)
    assert len(kills) >= 5
    for kill in kills:
        case.check(kill)


@pytest.mark.timeout(1200)
def test_killed_in_the_middle_of_steps_it_publishes_the_same_bytes_once(case: Case) -> None:
    """At another place in each of the folders and files that steps make."""
    kills = range(1, case.told["writes"] + 1, STRIDE)
    assert len(kills) >= 5
    for kill in kills:
        case.check(kill)


def test_killed_again_and_again_it_publishes_the_same_bytes_once(case: Case) -> None:
    """The process that goes on is killed too, and so is the next, each some writes further."""
    case.check(40, 40, 40, 40, 40)
