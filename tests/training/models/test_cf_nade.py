"""CF-NADE: a distribution over ratings whatever the order, shared and factored weights, and a prior for what nobody rated.

Shapes: B histories, C columns, K levels, M members, H hidden units.
"""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch
from torch import Tensor

from training.models.cf_nade import CFNADE, Events, level_steps

C, K = 7, 3


def model(*, members: int = 1, layers: int = 1, rank: int = 0, offset: bool = True, dropout: float = 0.0) -> CFNADE:
    """Double precision and large weights, so that tanh is far from a straight line."""
    generator = torch.Generator().manual_seed(0)
    made = CFNADE(
        num_columns=C,
        num_levels=K,
        num_members=members,
        hidden_sizes=[5, 4][:layers],
        rank=rank,
        history_exponent=0.5,
        offset_shrinkage=2.0 if offset else None,
        dropout=dropout,
        log_frequencies_KC=torch.log(torch.full((K, C), 1 / K)),
        mean_levels_C=torch.linspace(1.5, 2.5, C),
        generator=generator,
    )
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(0.7 * torch.randn(weights.shape, generator=generator))
    return made.double()


SHAPES = pytest.mark.parametrize("shape", [{}, {"layers": 2}, {"rank": 2}, {"layers": 2, "rank": 2}, {"offset": False}])


@SHAPES
@pytest.mark.parametrize("order", [[0], [4, 1], [6, 0, 3, 5], [2, 5, 1, 0, 4, 6]])
def test_the_chances_of_all_ratings_add_up_to_one(shape: dict[str, int], order: list[int]) -> None:
    """Every combination of K levels in up to six rated columns, by the chain rule in the given order."""
    rated = list(product(range(1, K + 1), repeat=len(order)))
    levels_BC = torch.zeros(len(rated), C)
    levels_BC[:, order] = torch.tensor(rated, dtype=torch.float32)
    with torch.no_grad():
        total = model(**shape).log_likelihood(levels_BC, torch.tensor(order)).exp().sum().item()
    assert total == pytest.approx(1.0, abs=1e-9)


def test_each_rating_is_conditioned_on_those_before_it_and_on_no_other() -> None:
    """Three conditionals looked up one by one, the first given nothing."""
    made, total = model(), 0.0
    order, levels = [4, 1, 6], [3.0, 1.0, 2.0]
    seen_C, whole_C = torch.zeros(C), torch.tensor([9.0, 1.0, 9.0, 9.0, 3.0, 9.0, 2.0])
    with torch.no_grad():
        for column, level in zip(order, levels, strict=True):
            total += made(seen_C.expand(1, 1, -1))[0, 0, :, column].log_softmax(dim=0)[int(level) - 1].item()
            seen_C[column] = level
        assert made.log_likelihood(whole_C[None], torch.tensor(order)).item() == pytest.approx(total)


def test_the_order_matters_to_a_model_that_is_not_trained() -> None:
    """Otherwise the test before would say nothing about orders."""
    levels_BC = torch.tensor([[1, 2, 3, 0, 0, 0, 0]]).float()
    with torch.no_grad():
        found = [model().log_likelihood(levels_BC, torch.tensor(order)).item() for order in permutations(range(3))]
    assert max(found) - min(found) > 0.01


def histories_BC() -> Tensor:
    """Empty, one rating, all of them, some."""
    generator = torch.Generator().manual_seed(1)
    levels_BC = torch.randint(0, K + 1, (6, C), generator=generator)
    levels_BC[0], levels_BC[1] = 0, 0
    levels_BC[1, 3] = 2
    return levels_BC.float()


@SHAPES
def test_scores_are_those_of_the_equations_written_out(shape: dict[str, int]) -> None:
    """s^k_m = Σ_{j≤k} (b^j + V^j · h + (α^j + β^j) d) by loops over histories, columns and levels, from the two tables."""
    made, levels_BC = model(members=2, **shape), histories_BC()
    with torch.no_grad():
        scores_MBKC = made(levels_BC.expand(2, -1, -1))
        inputs_MKCH, outputs_MKCX = made.input_table(), made.output_table()
        for member, row in product(range(2), range(len(levels_BC))):
            rated = [(column, int(level)) for column, level in enumerate(levels_BC[row].tolist()) if level]
            sums_H = sum((inputs_MKCH[member, level - 1, column] for column, level in rated), torch.zeros(5).double())
            hidden_G = torch.tanh(sums_H / max(1, len(rated)) ** 0.5 + made.hidden_bias_MH[member])
            if made.second_MHG is not None:
                hidden_G = torch.tanh(hidden_G @ made.second_MHG[member] + made.second_bias_MG[member])
            above = sum(level - made.mean_levels_C[column].item() for column, level in rated)
            offset = above / (len(rated) + 2.0) if made.offset_MK is not None else 0.0
            for level, column in product(range(K), range(C)):
                table_X = outputs_MKCX[member, level, column]
                expected = table_X[0] + table_X[1] * offset + table_X[2:] @ hidden_G
                assert scores_MBKC[member, row, level, column].item() == pytest.approx(expected.item())


@SHAPES
def test_scores_of_hidden_events_are_those_of_whole_rows(shape: dict[str, int]) -> None:
    """Event by event against dense levels of what each member sees."""
    made, levels_BC = model(members=2, **shape), histories_BC()
    rows_N, columns_N = levels_BC.nonzero(as_tuple=True)
    events = Events(rows_N, columns_N, levels_BC[rows_N, columns_N].long(), len(levels_BC))
    is_visible_MN = torch.rand(2, len(rows_N), generator=torch.Generator().manual_seed(4)) < 0.5
    visible_MBC = torch.zeros(2, *levels_BC.shape)
    for member in range(2):
        seen_N = is_visible_MN[member]
        visible_MBC[member, rows_N[seen_N], columns_N[seen_N]] = levels_BC[rows_N[seen_N], columns_N[seen_N]]
    with torch.no_grad():
        scores_MBKC = made(visible_MBC)
        wanted_PK = torch.cat([scores_MBKC[m, rows_N[~seen], :, columns_N[~seen]] for m, seen in enumerate(is_visible_MN)])
        assert len(wanted_PK) > 10
        torch.testing.assert_close(made.scores_of_hidden(events, is_visible_MN), wanted_PK)


def test_weights_are_shared_by_levels() -> None:
    """What a rating of k adds, less what k − 1 adds, is the k-th step's own weight; likewise for scores."""
    made = model()
    torch.testing.assert_close(made.input_table().diff(dim=1), made.input_MKCH[:, 1:])
    torch.testing.assert_close(made.output_table()[..., 2:].diff(dim=1), made.output_MCKG.transpose(1, 2)[:, 1:])
    assert level_steps(torch.tensor([[0.0, 1.0, 3.0]]), 3)[0].T.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("layers", [1, 2])
def test_factored_weights_are_the_products_of_their_factors(layers: int) -> None:
    """A model without factors whose weights are A B and P Q gives the same scores."""
    factored, whole = model(members=2, layers=layers, rank=2), model(members=2, layers=layers)
    with torch.no_grad():
        for name, weights in whole.named_parameters():
            if name not in {"input_MKCH", "output_MCKG"}:
                weights.copy_(factored.get_parameter(name))
        whole.input_MKCH.copy_(torch.einsum("mkcj,mjh->mkch", factored.input_MKCH, factored.input_basis_MJH))
        whole.output_MCKG.copy_(torch.einsum("mgj,mckj->mckg", factored.output_basis_MGJ, factored.output_MCKG))
        levels_MBC = histories_BC().expand(2, -1, -1)
        torch.testing.assert_close(factored(levels_MBC), whole(levels_MBC))


def test_members_are_models_of_their_own() -> None:
    """Another history in front of the second member leaves the first one's scores alone."""
    made, levels_MBC = model(members=2), histories_BC().expand(2, -1, -1).clone()
    with torch.no_grad():
        before = made(levels_MBC)
        levels_MBC[1, 1, 3] = 3.0
        after = made(levels_MBC)
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1, 1], before[1, 1])


def test_a_fresh_model_answers_with_the_frequencies_that_it_was_given() -> None:
    """Whatever the history: outputs start at zero, so a column that nobody rated keeps its prior. Only the offset moves it."""
    frequencies_KC = torch.tensor([[0.2], [0.3], [0.5]]).repeat(1, C)
    fresh = CFNADE(
        num_columns=C,
        num_levels=K,
        num_members=2,
        hidden_sizes=[5],
        rank=0,
        history_exponent=0.5,
        offset_shrinkage=5.0,
        dropout=0.0,
        log_frequencies_KC=frequencies_KC.log(),
        mean_levels_C=torch.full((C,), 2.0),
        generator=torch.Generator().manual_seed(0),
    )
    levels_BC = torch.zeros(3, C)
    levels_BC[1, :2] = torch.tensor([1.0, 3.0])  # at the mean, altogether
    levels_BC[2, :2] = 3.0  # above it
    with torch.no_grad():
        probs_BKC = fresh(levels_BC.expand(2, -1, -1)).softmax(dim=2)[0]
    torch.testing.assert_close(probs_BKC[0], frequencies_KC)
    torch.testing.assert_close(probs_BKC[1], frequencies_KC)
    assert (probs_BKC[2, 2] > frequencies_KC[2]).all(), "who rates high is expected to rate high"


def test_dropout_needs_a_generator_and_repeats_with_its_seed() -> None:
    made, levels_MBC = model(layers=2, dropout=0.5), histories_BC()[None]
    with torch.no_grad():
        torch.testing.assert_close(made(levels_MBC), made(levels_MBC))
        one, same, other = (made(levels_MBC, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(one, same)
    assert not torch.allclose(one, other)
