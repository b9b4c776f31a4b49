"""Autoencoders of bags: members know nothing of each other, scores are inner products, and probabilities add up to one.

Shapes: B bags, I entries, M members, Z latent dimensions, Q points of the quadrature, D dimensions of the index.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.models.layers import by_length
from training.models.vae import Vae, VaeQuery
from training.objectives.elbo import bernoulli_log_likelihood

I = 9  # noqa: E741 - the legend's letter
SHAPES = pytest.mark.parametrize(("encoder_hidden", "decoder_hidden"), [(0, 0), (5, 0), (0, 6), (5, 6)])


def vae(encoder_hidden: int = 5, decoder_hidden: int = 6, **settings: Any) -> Vae:
    random = torch.Generator().manual_seed(0)
    made = Vae(
        **{
            "num_entries": I,
            "num_members": 3,
            "encoder_hidden_size": encoder_hidden,
            "embedding_size": 4,
            "decoder_hidden_size": decoder_hidden,
            "dropout": 0.5,
            "initial_log_variance": -1.0,
            "initial_bias_I": torch.linspace(-3.0, -1.0, settings.get("num_entries", I)),
            "generator": random,
            **settings,
        }
    )
    with torch.no_grad():
        for weights in made.parameters():  # larger than at the start, so that tanh is far from a straight line
            weights.add_(0.5 * torch.randn(weights.shape, generator=random))
    return made


def bags_BI() -> Tensor:
    """Counts: an empty bag, a single entry, words that come several times."""
    counts_BI = np.random.default_rng(0).integers(0, 4, size=(6, I))
    counts_BI[0], counts_BI[1] = 0, 0
    counts_BI[1, 4] = 1
    return torch.from_numpy(counts_BI).float()


@SHAPES
def test_members_answer_as_they_would_alone(encoder_hidden: int, decoder_hidden: int) -> None:
    """μ, log σ² and logits of each, written out as products of its own weights."""
    model, x_BI = vae(encoder_hidden, decoder_hidden), by_length(bags_BI())
    encoder, decoder = model.encoder, model.decoder
    with torch.no_grad():
        mean_MBZ, log_variance_MBZ = encoder(x_BI)
        logits_MBI = model(x_BI)
        for m in range(3):
            hidden = x_BI
            if encoder.hidden is not None:
                hidden = torch.tanh(x_BI @ encoder.hidden.weight_MXY[m] + encoder.hidden.bias_MY[m])
            mean_BZ = hidden @ encoder.mean.weight_MXY[m] + encoder.mean.bias_MY[m]
            torch.testing.assert_close(mean_MBZ[m], mean_BZ)
            log_variance_BZ = hidden @ encoder.log_variance.weight_MXY[m] + encoder.log_variance.bias_MY[m]
            torch.testing.assert_close(log_variance_MBZ[m], log_variance_BZ)
            last = mean_BZ
            if decoder.hidden is not None:
                last = torch.tanh(mean_BZ @ decoder.hidden.weight_MXY[m] + decoder.hidden.bias_MY[m])
            torch.testing.assert_close(logits_MBI[m], last @ decoder.logits.weight_MXY[m] + decoder.logits.bias_MY[m])


@SHAPES
def test_a_query_s_inner_products_are_the_members_mean_logits(encoder_hidden: int, decoder_hidden: int) -> None:
    """From sums of table rows and lengths alone, as a service has them; an entry that comes twice counts twice."""
    model, x_BI = vae(encoder_hidden, decoder_hidden), bags_BI()
    query = VaeQuery(model)
    with torch.no_grad():
        queries_BD = query(x_BI @ query.table_IW, x_BI.sum(dim=1, keepdim=True))
        torch.testing.assert_close(queries_BD @ query.item_vectors_ID.T, model(by_length(x_BI)).mean(0))
    assert query.item_vectors_ID.shape == (I, 3 * (decoder_hidden or 4) + 1)


def test_it_starts_at_the_given_bias_and_variance() -> None:
    """A fresh model of an empty bag says what is popular, and its codes have the wanted spread."""
    fresh = Vae(
        num_entries=I,
        num_members=2,
        encoder_hidden_size=5,
        embedding_size=4,
        decoder_hidden_size=0,
        dropout=0.0,
        initial_log_variance=-4.0,
        initial_bias_I=torch.linspace(-3.0, -1.0, I),
        generator=torch.Generator().manual_seed(0),
    )
    mean_MBZ, log_variance_MBZ = fresh.encoder(torch.zeros(1, I))
    torch.testing.assert_close(mean_MBZ, torch.zeros(2, 1, 4))
    torch.testing.assert_close(log_variance_MBZ, torch.full((2, 1, 4), -4.0))
    torch.testing.assert_close(fresh(torch.zeros(1, I)), torch.linspace(-3.0, -1.0, I).expand(2, 1, I))


def test_bags_are_divided_by_their_length() -> None:
    """Twice the same bag is the same input; an empty one stays empty."""
    x_BI = bags_BI()
    torch.testing.assert_close(by_length(2 * x_BI), by_length(x_BI))
    assert by_length(x_BI)[0].abs().sum() == 0
    torch.testing.assert_close(by_length(x_BI)[1:].sum(dim=1), torch.ones(5))


def test_dropout_is_the_given_generators() -> None:
    """Without a generator nothing is switched off; with one, the same seed switches off the same units, in both halves."""
    model, x_BI = vae(), by_length(bags_BI())
    with torch.no_grad():
        whole_MBZ, _ = model.encoder(x_BI)
        torch.testing.assert_close(model.encoder(x_BI)[0], whole_MBZ)
        first_MBZ, second_MBZ = (model.encoder(x_BI, torch.Generator().manual_seed(7))[0] for _ in range(2))
        torch.testing.assert_close(first_MBZ, second_MBZ)
        assert not torch.allclose(first_MBZ, whole_MBZ)
        drawn = [model.decoder(whole_MBZ, torch.Generator().manual_seed(7)) for _ in range(2)]
        torch.testing.assert_close(drawn[0], drawn[1])
        assert not torch.allclose(drawn[0], model.decoder(whole_MBZ))


def test_probabilities_of_all_binary_rows_add_up_to_one() -> None:
    """Σ_x p(x) over the 64 rows of six dimensions, with p(x) = ∫ p(x|z) p(z) dz by Gauss–Hermite quadrature over both of z's."""
    model = vae(num_entries=6, num_members=1, embedding_size=2)
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    grid_QZ = torch.tensor(list(itertools.product(points, points)), dtype=torch.float32)
    log_weights_Q = torch.log(torch.from_numpy(np.outer(weights, weights).flatten() / (2 * math.pi)))
    rows_BI = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    with torch.no_grad():
        logits_QI = model.decoder(grid_QZ[None])[0].double()
    log_p_B = torch.logsumexp(bernoulli_log_likelihood(logits_QI[:, None, :], rows_BI.double()) + log_weights_Q[:, None], dim=0)
    assert float(log_p_B.exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(log_p_B.exp().max()) < 0.9, "no single row holds it all"
