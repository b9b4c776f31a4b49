"""`irgan-qa`: right answers are nobody's wrong ones, who chooses has not been learned from, and the moment is chosen by what is exported.

Shapes: B questions, N answers.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from app.bundle import LexicalIndex
from tests.training.texts import make_split
from training.data import Judgements, TextSplit
from training.errors import DataError
from training.evaluation.search import evaluate_search
from training.loop import Run
from training.models.answer_heads import AnswerHeads
from training.recipes.irgan_qa import Config, train
from training.recipes.irgan_qa.bodies import CnnBody, make_body
from training.recipes.irgan_qa.game import discriminator_turn, generator_turn, picks, pretraining_turn, scores, uniform_picks
from training.recipes.irgan_qa.learn import Lesson, play, pretrain
from training.recipes.irgan_qa.questions import Batch, Questions
from training.recipes.irgan_qa.validation import choose_mode, mean_average_precision, set_apart

SMALL: dict[str, Any] = {
    "num_members": 1,
    "num_tokens": 400,
    "embedding_size": 8,
    "widths": (1, 2),
    "num_filters": 8,
    "query_tokens": 16,
    "document_tokens": 24,
    "batch_size": 16,
    "num_random": 6,
    "num_pretraining_epochs": 2,
    "num_rounds": 2,
    "dropout": 0.0,
}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings)).resolved()


def split() -> TextSplit:
    """Six topics; two answers and five other documents compete for each question."""
    whole = make_split()
    rng = np.random.default_rng(1)
    kept, listed = [], []
    for row in whole.train.queries:
        right = rng.permutation(whole.train.of_queries(np.array([row])).document_rows)
        others = rng.permutation(np.setdiff1d(np.arange(60), right))[:5]
        kept += [(row, document, 1) for document in right[:2]]
        listed += [(row, document, 1) for document in right[:2]] + [(row, document, 0) for document in others]

    def judgements(triples: list[tuple[int, int, int]]) -> Judgements:
        return Judgements(*(np.array(column, dtype=np.int64) for column in zip(*triples, strict=True)))

    return replace(whole, train=judgements(kept), train_candidates=judgements(listed), test=Judgements.none())


@cache
def lesson(**settings: Any) -> Lesson:
    config, run, data = small(**settings), Run(seed=1), split()
    fit, valid = set_apart(data, config, run.numpy_rng(1))
    return Lesson(make_body(data, config, run), fit, valid, config, run)


def a_batch(number: int = 8, seed: int = 3) -> Batch:
    random = torch.Generator().manual_seed(seed)
    return lesson().fit.batches(number, 6, random, torch.device("cpu"))[0]


def random_numbers() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_questions_have_their_candidates_and_those_without_a_right_answer_are_left_out() -> None:
    """Query 5 has no answer; query 9 has an answer that is not among its candidates, and gets it."""
    data = replace(
        split(),
        train=Judgements(np.array([2, 9, 5]), np.array([7, 3, 1]), np.array([1, 2, 0])),
        train_candidates=Judgements(np.array([2, 2, 9, 5, 5]), np.array([7, 4, 8, 1, 2]), np.array([1, 0, 0, 0, 0])),
    )
    questions = Questions.of(data)
    assert questions.rows.tolist() == [2, 9]
    assert questions.offsets.tolist() == [0, 2, 4]
    assert questions.documents.tolist() == [4, 7, 3, 8]
    assert questions.is_right.tolist() == [False, True, True, False]
    assert questions.whole
    alone = Questions.of(replace(data, train_candidates=None))
    assert (alone.documents.tolist(), alone.whole) == ([7, 3], False)


def test_a_batch_is_one_pool_in_which_no_right_answer_can_be_picked() -> None:
    """Random documents 7 and 4 are candidates of the first question, and only there they are left out."""
    questions = Questions(
        np.array([2, 9]), np.array([0, 2, 4]), np.array([4, 7, 3, 8]), np.array([False, True, True, False]), 60, True
    )
    batch = questions.batch(np.array([7, 30, 4]), torch.device("cpu"))
    assert batch.answers_N.tolist() == [4, 7, 3, 8, 7, 30, 4]
    assert batch.right_BN.int().tolist() == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0]]
    assert batch.own_BN.int().tolist() == [[1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0]]
    assert batch.wrong_BN.int().tolist() == [[1, 0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 1, 1, 1]]


def test_every_question_is_in_one_batch_of_a_pass() -> None:
    batches = lesson().fit.batches(7, 3, random_numbers(), torch.device("cpu"))
    assert sorted(np.concatenate([batch.questions_B for batch in batches])) == lesson().fit.rows.tolist()
    assert [len(batch.questions_B) for batch in batches[:-1]] == [7] * (len(batches) - 1)


def test_right_answers_are_in_no_pool_whatever_is_drawn() -> None:
    """Of all batches of a pass, by the keys of questions and documents."""
    judged = split().train.positives
    right = set(zip(judged.query_rows.tolist(), judged.document_rows.tolist(), strict=True))
    seen = 0
    for batch in lesson().fit.batches(8, 40, random_numbers(), torch.device("cpu")):
        for b, n in batch.wrong_BN.nonzero().tolist():
            seen += 1
            assert (batch.questions_B[b], batch.answers_N[n]) not in right
    assert seen > 1000


def test_the_data_sets_own_validation_questions_choose_and_are_not_learned_from() -> None:
    data = split()
    own = replace(data, valid_queries=data.train.queries[::4])
    fit, valid = set_apart(own, small(), np.random.default_rng(0))
    assert valid.rows.tolist() == data.train.queries[::4].tolist()
    assert not np.isin(fit.rows, valid.rows).any()
    assert len(fit) + len(valid) == len(data.train.queries)
    fit, valid = set_apart(data, small(validation_fraction=0.25), np.random.default_rng(0))
    assert len(valid) == 12 and len(fit) == 36 and not np.isin(fit.rows, valid.rows).any()


def test_without_questions_it_says_what_it_needs() -> None:
    data = split()
    with pytest.raises(DataError, match=r"irgan-qa learns from questions .* use bm25"):
        train(replace(data, train=Judgements.none(), train_candidates=None), small(), Run())
    with pytest.raises(DataError, match="of 48 training questions with one, 48 are for validation"):
        train(replace(data, valid_queries=data.train.queries), small(), Run())


def test_picks_are_distributions_over_the_pool() -> None:
    """Sharper with a lower temperature; a question without a pool has none."""
    batch = a_batch()
    empty = batch._replace(wrong_BN=batch.wrong_BN & (torch.arange(len(batch.wrong_BN)) > 0)[:, None])
    s_BN = scores(lesson().body, lesson().body.player(random_numbers()), empty)
    for found_BN in (uniform_picks(empty), picks(s_BN, empty, 1.0), picks(s_BN, empty, 0.05)):
        torch.testing.assert_close(found_BN.sum(dim=1), torch.tensor([0.0] + [1.0] * (len(found_BN) - 1)))
        assert not found_BN[~empty.wrong_BN].any()
    flat, sharp = (torch.special.entr(picks(s_BN, batch, t)).sum(dim=1) for t in (1.0, 0.05))
    assert (sharp < flat).all()


@pytest.mark.parametrize("settings", [{}, {"pretraining": "likelihood"}])
def test_pretraining_puts_right_answers_forward(settings: dict[str, Any]) -> None:
    """The same batch again and again: the loss falls."""
    told = lesson(**settings)
    player = told.player(told.body.player(random_numbers()), 1e-2, 30)
    losses = [
        pretraining_turn(player, a_batch(), body=told.body, config=told.config, random=random_numbers())["loss"]
        for _ in range(15)
    ]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_discriminator_learns_to_keep_right_answers_before_the_picks(loss: str) -> None:
    told = lesson(discriminator_loss=loss)
    player = told.player(told.body.player(random_numbers()), 1e-2, 30)
    chosen_BN = picks(scores(told.body, told.body.player(random_numbers()), a_batch()).detach(), a_batch(), 0.1)
    losses = [
        discriminator_turn(player, a_batch(), picks_BN=chosen_BN, body=told.body, config=told.config, random=random_numbers())[
            "discriminator_loss"
        ]
        for _ in range(15)
    ]
    assert losses[-1] < 0.7 * losses[0]


def test_the_generator_learns_to_pick_what_deceives_the_judge() -> None:
    """The judge stays as it is; the expected reward rises."""
    told = lesson()
    judge = told.body.player(torch.Generator().manual_seed(9))
    before = copy.deepcopy(judge.state_dict())
    player = told.player(told.body.player(random_numbers()), 1e-2, 60)
    rewards = [
        generator_turn(player, a_batch(), judge=judge, body=told.body, config=told.config, random=random_numbers())["reward"]
        for _ in range(30)
    ]
    assert rewards[-1] > rewards[0] + 0.05
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())


def test_the_game_begins_where_pretraining_ended_and_leaves_it_alone() -> None:
    """With learning rates near zero the game changes nothing, and the pre-trained model is never touched."""
    told = lesson(learning_rate=1e-12, generator_learning_rate=1e-12, weight_decay=0.0, num_rounds=1)
    pretrained = pretrain(told, 0)
    before = copy.deepcopy(pretrained.state_dict())
    after = play(told, pretrained, 0).state_dict()
    for name, value in pretrained.state_dict().items():
        assert torch.equal(value, before[name])
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("settings", [{"adversary": "none"}, {"adversary": "hard-negatives"}, {"player": "generator"}])
def test_every_kind_of_game_can_be_played(settings: dict[str, Any]) -> None:
    told = lesson(**settings)
    pretrained = pretrain(told, 0)
    played = play(told, pretrained, 0)
    assert any(not torch.equal(value, pretrained.state_dict()[name]) for name, value in played.state_dict().items())
    curves = set(told.run.curves)
    assert ("game-0/reward" in curves) == (told.config.adversary == "generator")


def test_the_generator_picks_among_own_candidates_unless_told_otherwise() -> None:
    """The share of picks that are a question's own: all without random documents, fewer with many; the same is logged as a curve."""
    shares = []
    for number in (0, 200):
        told = lesson(num_random_picked=number)
        play(told, pretrain(told, 0), 0)
        shares.append([value for _, value in told.run.curves["game-0/own_among_picks"]])
    assert shares[0] == pytest.approx([1.0] * len(shares[0]))
    assert max(shares[1]) < 0.5


def test_without_candidates_the_collection_is_the_pool() -> None:
    """Then every document competes, in the game and in the validation."""
    data, config, run = replace(split(), train_candidates=None), small(), Run(seed=1)
    fit, valid = set_apart(data, config, run.numpy_rng(1))
    told = Lesson(make_body(data, config, run), fit, valid, config, run)
    play(told, pretrain(told, 0), 0)
    assert [value for _, value in run.curves["game-0/own_among_picks"]] == [0.0, 0.0]
    assert all(0 < value < 1 for _, value in run.curves["game-0/AP"])


def test_average_precision_is_the_evaluators_own() -> None:
    """One player measured by its vectors, and its export measured by the evaluator on the same questions."""
    told, data = lesson(), split()
    model = told.body.player(random_numbers())
    mine = mean_average_precision(told.body, model, told.valid)
    lexical = LexicalIndex.build(data.collection.texts())
    chosen, values = choose_mode(data, told.valid, lexical, *told.body.export([model]))
    assert data.train_candidates is not None
    looked_at = replace(
        data,
        train=Judgements.none(),
        test=data.train.of_queries(told.valid.rows),
        test_candidates=data.train_candidates.of_queries(told.valid.rows),
    )
    for mode in chosen.modes:
        assert values[mode] == pytest.approx(evaluate_search(chosen, looked_at, mode).means()["AP"], abs=1e-6)
    assert mine == pytest.approx(values["dense"], abs=1e-6)
    assert values[chosen.mode] == max(values[mode] for mode in chosen.modes)


def test_members_answer_with_the_mean_of_their_scores() -> None:
    told = lesson()
    assert isinstance(told.body, CnnBody)
    members = [told.body.player(torch.Generator().manual_seed(seed)) for seed in (1, 2, 3)]
    rows = np.arange(5)
    alone = [told.body.queries(member, rows) @ told.body.documents(member, rows).T for member in members]
    encoder, documents_ID = told.body.export(members)
    together = encoder.encode_queries([split().collection.query_texts[row] for row in rows]) @ documents_ID[:5].T
    np.testing.assert_allclose(together, torch.stack(alone).mean(0).detach().numpy(), atol=1e-5)


def test_without_rounds_it_is_qa_cnn() -> None:
    """No game, no variant; with rounds the variant is the same pre-trained model."""
    alone = train(split(), small(num_rounds=0), Run(seed=2))
    played = train(split(), small(kept="played"), Run(seed=2))
    assert not alone.variants and set(played.variants) == {"pretrained"}
    assert alone.model.document_vectors_ID is not None
    np.testing.assert_array_equal(alone.model.document_vectors_ID, played.variants["pretrained"].document_vectors_ID)
    assert played.summary["pretrained"] == alone.summary["validation"]


def test_the_stage_that_is_better_on_validation_questions_is_kept() -> None:
    """A game that ruins what was learned: what is kept is the pre-trained stage, and the other one is there to look at."""
    ruin = {"learning_rate": 3.0, "num_rounds": 1, "num_pretraining_epochs": 6, "pretraining_learning_rate": 1e-2}
    trained = train(split(), small(**ruin), Run(seed=2))
    values = trained.summary["validation"], trained.summary["played"]
    assert trained.summary["kept"] == "pretrained" and set(trained.variants) == {"played"}
    assert values[0][values[0]["mode"]] > values[1][values[1]["mode"]]
    assert trained.model.mode == values[0]["mode"]


def test_heads_start_as_the_cosine_and_add_a_low_rank_product() -> None:
    """The score is ⟨u, v⟩ + ⟨A x + c, B y⟩ + b · y, written out."""
    heads = AnswerHeads(num_features=4, rank=2, dropout=0.0, generator=random_numbers())
    u, v, x, y = (torch.randn(3, size, generator=random_numbers()) for size in (5, 5, 4, 4))
    torch.testing.assert_close(heads.queries(u, x) @ heads.documents(v, y).T, u @ v.T)
    with torch.no_grad():
        for weights in (heads.answers_FR, heads.answers_F1, heads.questions_R):
            weights.normal_(generator=random_numbers())
    asked = x @ heads.questions_FR + heads.questions_R
    expected = u @ v.T + asked @ (y @ heads.answers_FR).T + (y @ heads.answers_F1).T
    torch.testing.assert_close(heads.queries(u, x) @ heads.documents(v, y).T, expected)
