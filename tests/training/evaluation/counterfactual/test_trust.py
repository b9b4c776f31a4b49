"""How far estimates can be trusted: effective samples by hand, and every warning where it belongs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.bundle import Vocabulary
from tests.training.evaluation.counterfactual.bandits import draw, target_for
from training.data import LoggedActions, ShownActions, load_logged, load_shown
from training.errors import DataError
from training.evaluation.counterfactual import LoggedStudy, TargetPolicy, shown_policy, study_logged


def uniform(num_rows: int, num_actions: int, *, rate: float = 0.5, seed: int = 0) -> LoggedActions:
    """A log of chance, every action as often as every other."""
    rng = np.random.default_rng(seed)
    return LoggedActions(
        name="log",
        actions=Vocabulary("item", map(str, range(num_actions))),
        action_rows_N=np.arange(num_rows) % num_actions,
        positions_N=np.ones(num_rows, dtype=np.int64),
        rewards_N=(rng.random(num_rows) < rate).astype(float),
        propensities_N=np.full(num_rows, 1 / num_actions),
        clusters_N=np.arange(num_rows),
    )


def study(log: LoggedActions, probs_A: list[float], **options: ShownActions) -> LoggedStudy:
    target = TargetPolicy(name="target", probs_GA=np.array([probs_A]), groups_N=np.zeros(len(log), dtype=np.int64))
    return study_logged(log, target, **options)


def test_the_effective_sample_is_kishs():
    """The log's own policy counts every row; half of the actions half of the rows; weights 3 and 1 give (3 + 1)² / (3² + 1²) thousand."""
    log = uniform(4_000, 4)
    same, half, skewed = (study(log, probs).weights for probs in ([0.25] * 4, [0.5, 0.5, 0, 0], [0.75, 0.25, 0, 0]))
    assert (same.effective_rows, same.mean, same.largest) == pytest.approx((4_000, 1.0, 1.0))
    assert (half.effective_rows, half.mean, half.largest) == pytest.approx((2_000, 1.0, 2.0))
    assert skewed.effective_rows == pytest.approx((3 + 1) ** 2 * 1_000**2 / (1_000 * (9 + 1)))
    assert same.effective_rewards == pytest.approx(log.rewards_N.sum())
    assert same.largest_share == pytest.approx(1 / 4_000)


def test_the_logging_policy_itself_raises_no_warning_and_has_its_own_value():
    found = study(uniform(4_000, 4), [0.25] * 4)
    assert found.warnings == ()
    assert found.difference("ips").value == pytest.approx(0.0, abs=1e-15)
    assert found.difference("ips").interval.high == pytest.approx(0.0, abs=1e-12)
    assert found.sentence.startswith("No difference between target and log could be shown")


def test_a_small_effective_sample_is_told():
    found = study(uniform(400, 8), [1.0] + [0.0] * 7)
    assert found.weights.effective_rows == pytest.approx(50)
    assert "the effective sample is too small: 50 of 400 rows; do not decide" in found.warnings[0]


def test_heavy_weights_are_told():
    found = study(uniform(4_000, 20), [0.96, *[0.04 / 19] * 19])
    assert found.warnings[0].startswith("the weights are heavy: 4,000 rows count like 217")


def test_few_rewards_are_told():
    log = uniform(4_000, 4)
    found = study(replace(log, rewards_N=(np.arange(4_000) < 12).astype(float)), [0.25] * 4)
    (warning,) = found.warnings
    assert warning.startswith("rewards are too few: IPS rests on the equivalent of 12.0 rewarded rows")


def test_one_row_with_much_of_the_weight_is_told():
    log = uniform(1_000, 4)
    propensities_N = log.propensities_N.copy()
    propensities_N[0] = 1e-3
    found = study(replace(log, propensities_N=propensities_N), [0.25] * 4)
    assert any(warning.startswith("one row has 20% of all weight (its weight is 250.0)") for warning in found.warnings)


def test_what_the_log_never_shows_is_told():
    """An action of the vocabulary without a row, with an eighth of the target's probability; the weights' mean shows it, too."""
    log = uniform(4_000, 4).with_actions(["new"])
    found = study(log, [0.5, 0.125, 0.125, 0.125, 0.125])
    assert (found.weights.unsupported, found.weights.unsupported_actions) == (0.125, 1)
    assert any(warning.startswith("12.5% of what the target does the log never shows (1 pairs") for warning in found.warnings)
    assert any(warning.startswith("the weights' mean is 0.875") for warning in found.warnings)


def test_support_is_looked_at_position_by_position():
    log = replace(uniform(4_000, 4), positions_N=np.where(np.arange(4_000) % 4 < 2, 1, 2))
    found = study(log, [0.25] * 4)
    assert (found.weights.unsupported, found.weights.unsupported_actions) == (0.5, 4)


def test_a_target_without_any_row_is_told():
    log = uniform(400, 4).with_actions(["new"])
    found = study(log, [0, 0, 0, 0, 1.0])
    assert found.warnings[0].startswith("the target does nothing that log shows")
    assert found.estimates["ips"].value == 0.0
    assert found.estimates["dm"].value == pytest.approx(log.rewards_N.mean(), abs=0.05)


def test_wrong_propensities_are_told():
    log = draw(np.random.default_rng(0), 5_000)
    wrong = replace(log, propensities_N=np.full(5_000, 1 / 3))
    found = study_logged(wrong, target_for(log))
    assert any("the propensities are wrong" in warning for warning in found.warnings)
    assert study_logged(log, target_for(log), model="trees").warnings == ()


def test_a_reward_model_that_is_off_is_told():
    """Rates that depend on context and action together are beyond the linear model."""
    rng = np.random.default_rng(1)
    log = draw(rng, 20_000)
    is_first = log.context["kind"] == "x"
    log = replace(log, rewards_N=((log.action_rows_N == 1) == is_first).astype(float))
    found = study_logged(log, target_for(log))
    assert any(warning.startswith("the reward model is off by") for warning in found.warnings)


def test_few_clusters_and_other_positions_are_told():
    log = replace(uniform(4_000, 4), clusters_N=np.arange(4_000) % 7, cluster="shop")
    elsewhere = ShownActions(
        name="other",
        actions=log.actions,
        action_rows_N=log.action_rows_N,
        positions_N=1 + np.arange(4_000) // 3_000,
        clusters_N=log.clusters_N,
        rewards_N=log.rewards_N,
    )
    found = study(log, [0.25] * 4, shown=elsewhere)
    assert found.warnings[0].startswith("7 clusters say little")
    assert found.warnings[1].startswith("25% of the rows of other are at other positions")


def test_one_cluster_says_nothing():
    with pytest.raises(DataError, match="all its 40 rows belong together"):
        study(replace(uniform(40, 4), clusters_N=np.zeros(40, dtype=np.int64), cluster="shop"), [0.25] * 4)


def test_a_better_target_is_called_better():
    log = uniform(4_000, 4)
    log = replace(log, rewards_N=np.where(log.action_rows_N == 0, 1.0, log.rewards_N))
    assert study(log, [0.7, 0.1, 0.1, 0.1]).sentence.startswith("target would have earned more than log did: target − log is .")
    assert study(log, [0.1, 0.3, 0.3, 0.3]).sentence.startswith(
        "target would have earned less than log did: target − log is −."
    )


@pytest.mark.data
def test_thompson_sampling_is_estimated_from_the_log_of_chance(data_dir: Path):
    """Open Bandit: IPS by its definition with nothing of ours in it; every interval holds the click rate of the other log."""
    if not (data_dir / "open-bandit").is_dir():
        pytest.skip(f"no open-bandit in {data_dir}")
    shown = load_shown("open-bandit/bts")
    target, log = shown_policy(shown, load_logged("open-bandit/random"))
    found = study_logged(log, target, shown=shown)
    counts = np.zeros((4, 80))
    np.add.at(counts, (shown.positions_N, [int(shown.actions.id(row)) for row in shown.action_rows_N]), 1)
    frequencies = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    weights_N = 80 * frequencies[log.positions_N, [int(log.actions.id(row)) for row in log.action_rows_N]]
    assert found.estimates["ips"].value == pytest.approx((weights_N * log.rewards_N).mean(), rel=1e-12)
    assert found.estimates["snips"].value == pytest.approx(np.average(log.rewards_N, weights=weights_N), rel=1e-12)
    assert found.truth is not None
    assert found.truth.value == pytest.approx(0.0042)
    assert found.logging.value == pytest.approx(0.0038)
    for estimate in found.estimates.values():
        assert estimate.interval.low < found.truth.value < estimate.interval.high
    (warning,) = found.warnings
    assert warning.startswith("rewards are too few")
