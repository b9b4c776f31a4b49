"""Reward models: what they learn, and that no row is judged by a model that saw it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluation.counterfactual.bandits import RATES_XA, TRUTH, draw, target_for
from training.data import LoggedActions
from training.evaluation.counterfactual import TargetPolicy, study_logged
from training.evaluation.counterfactual import rewards as rewards_module
from training.evaluation.counterfactual.rewards import FITS, Features, Fit, ModelName, cross_fitted, fit_linear, fit_trees


def additive(rng: np.random.Generator, num_rows: int) -> LoggedActions:
    """Rates whose log-odds are a sum of context and action, which is what the linear model can say."""
    log = draw(rng, num_rows)
    contexts = (log.context["kind"] == "y").astype(int)
    odds = np.array([-1.0, 1.0])[contexts] + np.array([-1.0, 0.0, 1.5])[log.action_rows_N]
    return replace(log, rewards_N=(rng.random(num_rows) < 1 / (1 + np.exp(-odds))).astype(float))


def test_a_linear_model_finds_additive_odds():
    log = additive(np.random.default_rng(0), 20_000)
    features = Features.of(log)
    model = fit_linear(features, log, np.arange(len(log)))
    expected = 1 / (1 + np.exp(-(np.array([[-1.0], [1.0]]) + np.array([-1.0, 0.0, 1.5]))))
    first = [int(np.flatnonzero(log.context["kind"] == kind)[0]) for kind in "xy"]
    found = model.of_all(features.context_rows_N[first])
    assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("fit", [fit_linear, fit_trees])
def test_either_model_finds_rates_that_hang_on_context_and_action_together(fit: Fit):
    log = draw(np.random.default_rng(1), 20_000)
    features = Features.of(log)
    model = fit(features, log, np.arange(len(log)))
    first = [int(np.flatnonzero(log.context["kind"] == kind)[0]) for kind in "xy"]
    assert model.of_all(features.context_rows_N[first]) == pytest.approx(RATES_XA, abs=0.04)
    assert model.of(features.context_rows_N[:50], log.action_rows_N[:50]) == pytest.approx(
        model.of_all(features.context_rows_N[:50])[np.arange(50), log.action_rows_N[:50]]
    )


def test_with_very_many_actions_and_contexts_their_effects_just_add_up(monkeypatch: pytest.MonkeyPatch):
    """The model then misses what the two do together, and says additive odds as well as ever."""
    log = draw(np.random.default_rng(1), 20_000)
    features = Features.of(log)
    monkeypatch.setattr(rewards_module, "_MOST_TOGETHER", 5)
    model = fit_linear(features, log, np.arange(len(log)))
    odds = np.log(model.of_all(features.context_rows_N[:50]) / (1 - model.of_all(features.context_rows_N[:50])))
    assert odds - odds[:, :1] == pytest.approx(np.tile(odds[0] - odds[0, 0], (50, 1)))


def test_rewards_of_any_size_are_learned_in_their_own_unit():
    """The same log in another currency has the same estimates in it; folds without any reward are no trouble."""
    rng = np.random.default_rng(2)
    log = draw(rng, 400)
    spent = replace(log, rewards_N=log.rewards_N * rng.gamma(2.0, 10.0, 400))
    cents = replace(spent, rewards_N=100 * spent.rewards_N)
    euros, hundredths = (study_logged(found, target_for(found), seed=1) for found in (spent, cents))
    for name, estimate in euros.estimates.items():
        assert hundredths.estimates[name].value == pytest.approx(100 * estimate.value, rel=1e-6)
        assert hundredths.estimates[name].interval.high == pytest.approx(100 * estimate.interval.high, rel=1e-6)
    nothing = study_logged(replace(log, rewards_N=np.zeros(400)), target_for(log))
    assert {estimate.value for estimate in nothing.estimates.values()} == {0.0}


@pytest.mark.parametrize("name", FITS)
def test_no_row_is_judged_by_a_model_that_saw_it(name: ModelName):
    """Turning a fold's rewards round changes none of that fold's own predictions, and all of the other folds'."""
    log = replace(draw(np.random.default_rng(3), 600), clusters_N=np.arange(600) // 3)
    target = target_for(log)
    before = cross_fitted(log, target, fit=FITS[name], seed=0)
    assert all(len(set(before.folds_N[log.clusters_N == cluster])) == 1 for cluster in range(200)), "clusters are not torn"
    assert np.bincount(before.folds_N).tolist() == [60] * 10
    held = before.folds_N == 4
    turned = replace(log, rewards_N=np.where(held, 1 - log.rewards_N, log.rewards_N))
    after = cross_fitted(turned, target, fit=FITS[name], seed=0)
    assert after.logged[held].tolist() == before.logged[held].tolist()
    assert after.direct[held].tolist() == before.direct[held].tolist()
    assert np.all(after.direct[~held] != before.direct[~held])


def test_the_direct_values_are_sums_over_actions():
    """Σₐ π q̂ of every row, put together one action at a time."""
    log = draw(np.random.default_rng(4), 200)
    target = target_for(log)
    found = cross_fitted(log, target, fit=fit_linear, seed=0)
    for action in range(3):
        only = TargetPolicy(name="one", probs_GA=np.eye(3)[[action]], groups_N=np.zeros(200, dtype=np.int64))
        part = cross_fitted(log, only, fit=fit_linear, seed=0).direct
        found = replace(found, direct_KN=found.direct_KN - target.probs_GA[target.groups_N, action] * part)
    assert found.direct == pytest.approx(0.0, abs=1e-12)


def test_features_are_standardised_and_missing_ones_are_nothing():
    log = draw(np.random.default_rng(5), 100)
    age = np.where(np.arange(100) % 4 == 0, np.nan, 50.0 + np.arange(100) % 2)
    log = replace(log, context={"age": age}, action_features={"price": np.array([1.0, 3.0, np.nan])})
    features = Features.of(log)
    dense = features.contexts.toarray()[features.context_rows_N]
    assert dense.shape == (100, 2), "one position, one number"
    assert dense[0].tolist() == [1.0, 0.0]
    assert sorted(set(np.round(dense[1:, 1], 6).tolist())) == [-1.0, 0.0, 1.0] or len(set(dense[:, 1])) == 3
    assert features.actions.toarray()[:, 3].tolist() == [-1.0, 1.0, 0.0]


def test_the_study_comes_close_to_the_truth_and_repeats():
    """20,000 rows: every unbiased estimate is within three of its standard errors; the same seed gives the same figures."""
    log = draw(np.random.default_rng(6), 20_000)
    study = study_logged(log, target_for(log), model="trees", seed=3)
    for name in ("ips", "snips", "dr"):
        estimate = study.estimates[name]
        assert abs(estimate.value - TRUTH) < 3 * estimate.standard_error
    assert study.estimates["dr"].standard_error < study.estimates["ips"].standard_error
    assert study_logged(log, target_for(log), model="trees", seed=3).as_json() == study.as_json()
