"""Committees over features: members are independent, and standardisation is that of the training part.

Shapes: N candidates, F features, M members.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.models.features import Activation, FeatureCommittee, FeatureScorer, Standardiser


def committee(*, hidden_size: int = 5, activation: Activation = "tanh", num_members: int = 3) -> FeatureCommittee:
    return FeatureCommittee(
        num_features=4,
        num_members=num_members,
        hidden_size=hidden_size,
        activation=activation,
        dropout=0.5,
        generator=torch.Generator().manual_seed(0),
    )


def features() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_each_member_is_a_network_of_its_own(activation: Activation) -> None:
    """v_m · a(b_m + x W_m), member by member."""
    model = committee(activation=activation)
    with torch.no_grad():
        model.input_bias_M1H.normal_(generator=torch.Generator().manual_seed(1))
    bend = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    for member, scores_N in enumerate(model(features())):
        hidden_NH = bend(features() @ model.input_MFH[member] + model.input_bias_M1H[member])
        torch.testing.assert_close(scores_N, hidden_NH @ model.output_MH1[member, :, 0])


def test_without_hidden_units_scores_are_linear() -> None:
    model = committee(hidden_size=0)
    torch.testing.assert_close(model(features()), torch.einsum("nf,mf->mn", features(), model.output_MH1[:, :, 0]))


def test_dropout_is_of_training_alone() -> None:
    """With a generator hidden units are switched off; without one the answer is always the same."""
    model = committee()
    assert torch.equal(model(features()), model(features()))
    assert not torch.equal(model(features(), torch.Generator().manual_seed(0)), model(features()))


def test_standardised_features_have_mean_0_and_deviation_1_and_constant_ones_are_0() -> None:
    features_NF = features() * 7 + 100
    features_NF[:, 2] = 5.0
    standardiser = Standardiser(features_NF)
    standardised_NF = standardiser(features_NF)
    torch.testing.assert_close(standardised_NF.mean(dim=0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(standardised_NF.std(dim=0, correction=0), torch.tensor([1.0, 1.0, 0.0, 1.0]), atol=1e-4, rtol=0)
    assert standardiser(features_NF + 1.0)[:, 2].abs().max() == 0.0, "what never varied in training says nothing later either"


def test_the_service_gets_the_mean_of_all_members_of_features_as_they_are_read() -> None:
    """In double precision, so that near ties stay apart."""
    standardiser, model = Standardiser(features()), committee()
    scores_N = FeatureScorer(standardiser, [model])(features())
    assert scores_N.dtype == torch.float64
    torch.testing.assert_close(scores_N, model(standardiser(features())).double().mean(dim=0))
