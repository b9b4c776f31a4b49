"""irgan-text: what is set apart, what is remembered, what is picked, and the story as a whole.

Shapes: Q queries, I documents, E width, U candidates, B pairs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from app.bundle import LexicalIndex, Vocabulary
from app.bundle.search import Fusion, SearchModel
from training.data import Collection, Judgements, TextSplit
from training.errors import ConfigError, Interrupted
from training.loop import Run
from training.objectives import irgan as objectives
from training.ranker import TrainedSearch
from training.recipes.irgan_text import Config, train
from training.recipes.irgan_text.game import Batch, generator_step, judged
from training.recipes.irgan_text.learn import make_batch
from training.recipes.irgan_text.memory import remember
from training.recipes.irgan_text.pairs import hold_out, judged_pairs
from training.recipes.irgan_text.players import Pairs, Player, Shortlists
from training.recipes.irgan_text.readers import FrozenReader, Library
from training.recipes.irgan_text.recipe import Texts, play, start_players
from training.recipes.irgan_text.remembering import choose_amount
from training.recipes.irgan_text.validation import Jury, choose

SMALL: dict[str, Any] = {
    "body": "cnn",
    "num_tokens": 400,
    "embedding_size": 12,
    "widths": (1, 2),
    "num_filters": 8,
    "head_rank": 4,
    "num_epochs": 3,
    "num_pseudo_epochs": 2,
    "learning_rate": 3e-3,
    "batch_size": 16,
    "shortlist_size": 10,
}


@cache
def split() -> TextSplit:
    """60 documents on six subjects of ten words each, 48 queries of which every sixth is for the test; two documents answer each."""
    rng = np.random.default_rng(0)
    subjects = rng.permutation([f"{a}{b}{c}o" for a in "bdfgkl" for b in "aei" for c in "mnrt"])[:60].reshape(6, 10)
    texts = [" ".join(rng.choice(subjects[row % 6], 12)) for row in range(60)]
    titles = [" ".join(rng.choice(subjects[row % 6], 3)) if row % 10 else None for row in range(60)]
    queries = [" ".join(rng.choice(subjects[row % 6], 3)) for row in range(48)]
    documents = np.stack([rng.choice(10, size=2, replace=False) * 6 + row % 6 for row in range(48)])
    everything = Judgements(np.repeat(np.arange(48), 2), documents.ravel(), rng.integers(1, 3, 96))
    is_test = everything.query_rows % 6 == 5
    collection = Collection(
        name="made-up",
        documents=Vocabulary("document", [f"d{row}" for row in range(60)]),
        item_table=pd.DataFrame({"title": titles, "text": texts}),
        queries=Vocabulary("query", [f"q{row}" for row in range(48)]),
        query_texts=tuple(queries),
    )
    return TextSplit(collection, "given", {}, everything.where(~is_test), everything.where(is_test))


def learned(run: Run | None = None, data: TextSplit | None = None, **settings: Any) -> TrainedSearch:
    return train(data or split().without_test(), Config(**SMALL | settings), run or Run(seed=3))


@cache
def trained() -> TrainedSearch:
    return learned(memory_weight=0.5, memory_threshold=0.2, memory_neighbour_share=0.5)


def vectors_of(model: SearchModel) -> np.ndarray:
    assert model.document_vectors_ID is not None
    return model.document_vectors_ID


def test_half_of_what_is_set_apart_shares_no_document_with_what_is_learned_from() -> None:
    """The half by document is all unseen; the other half is seen or not, as it comes; nobody learns from a query set apart."""
    judged_ = split().train
    held = hold_out(judged_, 0.4, np.random.default_rng(0))
    assert held is not None
    assert len(held.queries) == round(0.4 * 40)
    assert not np.isin(held.fit.query_rows, held.queries).any()
    learned_from = set(held.fit.positives.document_rows.tolist())
    for query, is_unseen in zip(held.queries, held.is_unseen, strict=True):
        documents = set(held.held.of_queries(np.array([query])).positives.document_rows.tolist())
        assert is_unseen == (not documents & learned_from)
    assert len(held.queries) // 2 <= held.is_unseen.sum() < len(held.queries)


def test_queries_that_the_data_set_gives_choose_and_too_few_do_not() -> None:
    """A part `dev` is taken as it is, and nothing is taken out of the rest for it."""
    judged_ = split().train
    held = hold_out(judged_, 0.4, np.random.default_rng(0), given=np.array([0, 1, 2]))
    assert held is not None
    assert held.queries.tolist() == [0, 1, 2]
    assert len(held.fit) == len(judged_) - 6
    assert hold_out(judged_.of_queries(np.arange(10)), 0.4, np.random.default_rng(0)) is None


def test_grades_weigh_the_documents_of_a_query() -> None:
    """Grades 3 and 1 of one query are 3/4 and 1/4; grade 0 is no pair."""
    pairs = judged_pairs(Judgements(np.array([0, 0, 0, 2]), np.array([5, 6, 7, 5]), np.array([3, 1, 0, 2])))
    assert pairs.document_rows.tolist() == [5, 6, 5]
    assert pairs.weights.tolist() == [0.75, 0.25, 1.0]


def test_the_memory_moves_documents_that_were_answers_and_no_others() -> None:
    """A training query gains at its own document, one that is like none of them gains nothing, and a threshold costs its share."""
    rng = np.random.default_rng(0)
    queries_QE, documents_IE = rng.normal(size=(10, 8)).astype(np.float32), rng.normal(size=(20, 8)).astype(np.float32)
    pairs = Pairs(np.arange(10), np.arange(10), np.ones(10, dtype=np.float32))
    memory = remember(queries_QE, documents_IE, pairs, neighbour_share=0.0)
    vectors_ID = memory.vectors(documents_IE, 0.7, 0.2)
    np.testing.assert_array_equal(vectors_ID[10:], np.concatenate([documents_IE[10:], np.zeros((10, 1))], axis=1))

    def gains(query_E: np.ndarray, threshold: float) -> np.ndarray:
        moved = memory.vectors(documents_IE, 0.7, threshold)[:10] @ np.append(query_E, 1.0)
        gained: np.ndarray = moved - documents_IE[:10] @ query_E
        return gained

    mean_E = queries_QE.mean(axis=0)
    np.testing.assert_allclose(gains(mean_E, 0.0), 0.0, atol=1e-5)
    np.testing.assert_allclose(gains(mean_E, 0.2), -0.7 * 0.2, atol=1e-5)
    gains_QI = np.stack([gains(query_E, 0.0) for query_E in queries_QE])
    assert np.diag(gains_QI).mean() == pytest.approx(0.7, rel=1e-4)
    np.testing.assert_allclose(gains_QI.sum(axis=1), 0.0, atol=1e-4)  # what is centred adds up to nothing


def test_a_document_of_many_queries_is_divided_by_the_root_of_their_number() -> None:
    """Four equal queries move it twice as far as one, and its threshold is twice as high."""
    rng = np.random.default_rng(1)
    queries_QE = np.concatenate([np.repeat(rng.normal(size=(1, 4)), 5, axis=0), rng.normal(size=(6, 4))])
    pairs = Pairs(np.arange(11), np.array([0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]), np.ones(11))
    memory = remember(queries_QE.astype(np.float32), rng.normal(size=(9, 4)), pairs, neighbour_share=0.0)
    np.testing.assert_allclose(memory.moves_IE[0], 2 * memory.moves_IE[1], rtol=1e-5)
    assert memory.sizes_I[:2].tolist() == [2.0, 1.0]


def test_what_a_query_shares_with_the_neighbourhood_is_not_remembered() -> None:
    """A query that says of document 0 what its ten nearest neighbours say does not move it; what it says beyond that does."""
    rng = np.random.default_rng(2)
    documents_IE = np.concatenate([rng.normal(size=(11, 4)) + 8.0, rng.normal(size=(30, 4)) - 2.0])
    subject_E = documents_IE[1:11].mean(axis=0) - documents_IE.mean(axis=0)
    for beyond, is_moved in ((np.zeros(4), False), (np.array([0.0, 1.0, 0.0, 0.0]), True)):
        query_E = 0.5 * subject_E + beyond
        queries_QE = np.stack([query_E, -query_E])  # their mean is 0
        memory = remember(queries_QE, documents_IE, Pairs(np.arange(2), np.array([0, 20]), np.ones(2)), neighbour_share=0.5)
        assert bool(np.abs(memory.moves_IE[0]).max() > 1e-3) == is_moved


def test_memories_of_too_little_are_empty() -> None:
    """Without queries, or with one, there is nothing to compare with; no vector is moved and nothing is NaN."""
    documents_IE = np.eye(3, dtype=np.float32)
    for rows in ([], [0]):
        pairs = Pairs(np.array(rows, dtype=np.int64), np.array(rows, dtype=np.int64), np.ones(len(rows), dtype=np.float32))
        vectors_ID = remember(np.ones((1, 3), dtype=np.float32), documents_IE, pairs, neighbour_share=0.5).vectors(
            documents_IE, 1.0, 0.0
        )
        np.testing.assert_array_equal(vectors_ID[:, :3], documents_IE)
        np.testing.assert_array_equal(vectors_ID[:, 3], 0.0)


def shortlists(**settings: Any) -> tuple[Shortlists, np.ndarray, np.ndarray]:
    """Over eight documents: BM25 finds 0 and 1 for the query, its vector likes 1 and 2 best."""
    lexical = LexicalIndex.build(["apple pie", "apple", "pear", "plum", "fig", "nut", "oat", "rye"])
    questions_QE = np.array([[1.0, 0.0]], dtype=np.float32)
    documents_IE = np.array([[0.1, 0], [0.3, 0], [0.2, 0], *([[-1.0, 0]] * 5)], dtype=np.float32)
    made = Shortlists(lexical, ["apple pie"], np.array([0]), Config(shortlist_size=4, temperature=0.1, **settings))
    made.refresh(questions_QE, documents_IE)
    return made, questions_QE, documents_IE


def test_picks_follow_the_generators_softmax_over_what_was_retrieved() -> None:
    """Frequencies against e^1, e^3, e^2, document 1 being listed twice and counted once; everything else is never picked."""
    made, *_ = shortlists(uniform_share=0.0)
    picks_N = made.draw(np.array([0]), 20_000, torch.Generator().manual_seed(0)).numpy()
    wanted = np.exp([1.0, 3.0, 2.0])
    found = np.bincount(picks_N, minlength=8) / len(picks_N)
    np.testing.assert_allclose(found[:3], wanted / wanted.sum(), atol=0.015)
    assert found[3:].sum() == 0.0


def test_picks_come_from_the_whole_collection_as_often_as_is_said() -> None:
    """Half of them uniform: five documents that nothing retrieves get 1/16 each."""
    made, *_ = shortlists(uniform_share=0.5)
    found = np.bincount(made.draw(np.array([0]), 20_000, torch.Generator().manual_seed(0)).numpy(), minlength=8) / 20_000
    np.testing.assert_allclose(found[3:], 0.5 / 8, atol=0.01)


def test_documents_that_answer_a_question_are_not_its_negatives() -> None:
    """Question 0 has documents 1 and 2, question 1 has 2: each pair's own document stays, the other one is out, for that question only."""
    made, *_ = shortlists(uniform_share=1.0)
    pairs = Pairs(np.array([0, 0, 0]), np.array([1, 2, 4]), np.array([0.5, 0.25, 0.25], dtype=np.float32))
    known = torch.from_numpy(pairs.question_rows * 8 + pairs.document_rows)
    batch = make_batch(
        pairs,
        np.array([0, 1]),
        shortlists=made,
        known=known,
        num_documents=8,
        config=Config(num_negatives=30),
        random=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )
    candidates = batch.candidates_U.tolist()
    assert candidates == list(range(8))
    assert [candidates[place] for place in batch.places_B] == [1, 2]
    assert batch.excluded_BU.nonzero().tolist() == [[0, 2], [0, 4], [1, 1], [1, 4]]
    torch.testing.assert_close(batch.weights_B, torch.tensor([2 / 3, 1 / 3]))


def player(seed: int = 0, **settings: Any) -> Player:
    rng = np.random.default_rng(seed)
    reader = FrozenReader(rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(9, 6)).astype(np.float32))
    made = Player(reader, Config(**settings), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed)))
    return made


def a_batch() -> Batch:
    excluded_BU = torch.zeros(2, 5, dtype=torch.bool)
    excluded_BU[0, 3] = True
    return Batch(
        torch.tensor([0, 2]), torch.tensor([1, 3, 4, 6, 8]), torch.tensor([0, 2]), excluded_BU, torch.tensor([0.5, 0.5])
    )


def test_the_generators_gradient_is_that_of_its_two_expectations() -> None:
    """−Σ w (log p(d⁺) + ρ Σ_d p(d) (2σ(f(d) − f(d⁺)) − 1)) written out; no gradient flows into the discriminator."""
    generator, discriminator, batch = player(0, temperature=3.0), player(1, temperature=3.0), a_batch()
    config = Config(reward_weight=0.7)
    logits_BU = generator.logits(batch.questions_B, batch.candidates_U).masked_fill(batch.excluded_BU, -1e30)
    probs_BU = torch.softmax(logits_BU, dim=1)
    with torch.no_grad():
        f_BU = discriminator.logits(batch.questions_B, batch.candidates_U)
        rewards_BU = 2 * torch.sigmoid(f_BU - f_BU[[0, 1], batch.places_B][:, None]) - 1
    wanted = -(0.5 * (torch.log(probs_BU[[0, 1], batch.places_B]) + 0.7 * (probs_BU * rewards_BU).sum(1))).sum()
    gradients = torch.autograd.grad(wanted, list(generator.query_head.parameters()))
    optimizer = torch.optim.SGD(generator.parameters(), lr=1.0)
    before = [weights.detach().clone() for weights in generator.query_head.parameters()]
    log_probs_BU = objectives.policy_log_probs(
        generator.logits(batch.questions_B, batch.candidates_U), excluded_BI=batch.excluded_BU
    )
    generator_step(optimizer, log_probs_BU, discriminator, batch, config)
    for weights, old, gradient in zip(generator.query_head.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(old - weights, gradient, rtol=1e-3, atol=1e-5)
    assert all(weights.grad is None for weights in discriminator.parameters())


def test_the_pair_wise_verdict_does_not_know_the_border() -> None:
    """Point-wise it is f; pair-wise f(d) − f(d⁺), in which an offset cancels and the relevant document itself has 0."""
    batch, logits_BU = a_batch(), torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(judged(logits_BU, batch, "pointwise"), logits_BU)
    pairs_BU = judged(logits_BU, batch, "pairwise")
    torch.testing.assert_close(judged(logits_BU + 3.0, batch, "pairwise"), pairs_BU)
    assert pairs_BU[[0, 1], batch.places_B].tolist() == [0.0, 0.0]


def test_validation_takes_what_is_best_on_both_kinds_of_queries() -> None:
    """Vectors that find everything: dense is chosen. Vectors that say nothing: whatever is chosen is no worse than BM25."""
    data = split()
    held = hold_out(data.train, 0.5, np.random.default_rng(0))
    assert held is not None
    texts = data.collection.query_texts
    jury = Jury(held, texts, LexicalIndex.build(data.collection.texts()))
    answers_QI = np.zeros((48, 60), dtype=np.float32)
    answers_QI[data.train.query_rows, data.train.document_rows] = data.train.grades
    documents_ID = np.eye(60, 61, dtype=np.float32)
    perfect = choose(jury, answers_QI, documents_ID)
    assert perfect.figures["dense"] == pytest.approx({"seen": 1.0, "unseen": 1.0})
    assert perfect.mode == "dense" or perfect.figures["hybrid"] == pytest.approx(perfect.figures["dense"])
    nothing = choose(jury, 0 * answers_QI, documents_ID)
    assert sum(nothing.figures[nothing.mode].values()) >= sum(nothing.figures["lexical"].values())


def test_as_much_is_remembered_as_helps_and_costs_others_nothing() -> None:
    """Where every query is asked twice, a memory is chosen; where queries of one document have nothing in common, none."""
    rng = np.random.default_rng(0)

    def unit(vectors: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return scaled

    documents_IE, once_QE = unit(rng.normal(size=(200, 16))), rng.normal(size=(40, 16))
    asked = Judgements(np.arange(80), np.tile(np.arange(40), 2), np.ones(80, dtype=np.int64))
    twice_QE = unit(np.concatenate([once_QE, once_QE + 0.1 * rng.normal(size=once_QE.shape)]))
    amount, figures = choose_amount(twice_QE, documents_IE, asked, np.random.default_rng(1))
    assert amount.weight > 0
    assert figures["mixed"]["with"] > figures["mixed"]["without"] + 0.5
    assert figures["unseen"]["with"] >= figures["unseen"]["without"]
    clear_QE = documents_IE[np.tile(np.arange(40), 2)]  # nothing can be better than this, so nothing is to be remembered
    assert choose_amount(clear_QE, documents_IE, asked, np.random.default_rng(1))[0].weight == 0.0


@pytest.mark.parametrize("fusion", [Fusion("standardised", 1.5), Fusion("reciprocal-ranks", 0.5)])
def test_validation_fuses_as_the_service_does(fusion: Fusion) -> None:
    """The jury's matrix against `SearchModel.scores`, query by query."""
    model, data = trained().model, split()
    held = hold_out(data.train, 0.3, np.random.default_rng(0))
    assert held is not None and model.encoder is not None
    jury = Jury(held, data.collection.query_texts, model.lexical)
    texts = [data.collection.query_texts[row] for row in held.queries]
    dense_VI = model.encoder.encode_queries(texts) @ vectors_of(model).T
    wanted_VI = np.stack([model.scores(text, "hybrid", fusion) for text in texts])
    found_VI = jury.fused(dense_VI, fusion)
    finite_VI = np.isfinite(wanted_VI)
    if fusion.method == "standardised":
        np.testing.assert_allclose(found_VI, wanted_VI, atol=1e-3)
    else:  # the last bits decide between equals
        assert np.mean(np.isclose(found_VI[finite_VI], wanted_VI[finite_VI])) > 0.9


def test_the_graph_says_what_the_bundle_has_of_documents_without_training_queries() -> None:
    """Documents that are added later are encoded alike; those that answered something in training have moved."""
    model, data = trained().model, split()
    assert model.encoder is not None
    encoded_ID = model.encoder.encode_documents(data.collection.texts())
    is_seen_I = np.isin(np.arange(60), data.train.positives.document_rows)
    assert 0 < is_seen_I.sum() < 60
    np.testing.assert_allclose(encoded_ID[~is_seen_I], vectors_of(model)[~is_seen_I], atol=1e-4)
    assert (np.abs(encoded_ID - vectors_of(model)).max(axis=1)[is_seen_I] > 1e-3).all()
    plain = trained().variants["generator"]
    np.testing.assert_allclose(encoded_ID, vectors_of(plain), atol=1e-4)


def test_what_is_learned_is_better_than_chance_and_says_how_it_came_about() -> None:
    """Titles of a subject's words ask for documents of that subject; a random order would find one in thirty."""
    model, data = trained().variants["generator"], split()
    hits = []
    for query in np.unique(data.test.query_rows):
        best = np.argsort(-model.scores(data.collection.query_texts[query], "dense"))[:5]
        hits.append(np.mean(best % 6 == query % 6))
    assert np.mean(hits) > 0.5  # 1/6 by chance
    summary = trained().summary
    assert (summary["memory"]["weight"], summary["memory"]["threshold"]) == (0.5, 0.2)
    assert {"dense", "hybrid", "lexical"} == set(summary["validation"]["groups"])


def played(run: Run | None = None, **settings: Any) -> np.ndarray:
    """The generator's document vectors after the game, without the costs of an export."""
    run, config, data = run or Run(seed=3), Config(**SMALL | settings), split()
    rows = data.train.queries
    texts = Texts(
        [data.collection.query_texts[row] for row in rows],
        LexicalIndex.build(data.collection.texts()),
        Library([data.collection.query_texts[row] for row in rows], data.collection.texts(), config, run),
    )
    judged_ = Judgements(np.searchsorted(rows, data.train.query_rows), data.train.document_rows, data.train.grades)
    start = start_players(texts, {}, config, run)
    return play(texts, start, judged_, config, run, name="fit", num_epochs=3).generator.vectors(*texts.counts)[1]


def test_a_discriminator_without_a_say_changes_nothing() -> None:
    """With reward_weight=0 the generator is its twin's, bit by bit: both see the same batches and picks."""
    twin, silent, heard = played(adversary="none"), played(reward_weight=0.0), played(reward_weight=3.0)
    np.testing.assert_array_equal(twin, silent)
    assert not np.array_equal(heard, silent)


def test_a_run_that_was_interrupted_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the second epoch of the game, between two refreshes of the shortlists."""
    from training.recipes.irgan_text import learn as module  # noqa: PLC0415 - only here

    whole = played(refresh_every=3)
    step, count = module.generator_step, [0]

    def interrupted(*arguments: Any) -> dict[str, float]:
        count[0] += 1
        if count[0] == 8:  # five batches an epoch
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(module, "generator_step", interrupted)
    with pytest.raises(Interrupted):
        played(Run(seed=3, folder=tmp_path), refresh_every=3)
    monkeypatch.undo()
    resumed = played(Run(seed=3, folder=tmp_path, resume=True), refresh_every=3)
    np.testing.assert_array_equal(resumed, whole)


def test_a_collection_without_judgements_is_searchable() -> None:
    """Titles alone teach the body; nothing is remembered, and the hybrid is the default."""
    data = replace(split().without_test(), train=Judgements.none())
    made = learned(data=data, num_pseudo_epochs=1)
    assert made.model.mode == "hybrid"
    assert set(made.variants) == {"generator"}
    assert len(made.model.scores("anything at all")) == 60


def test_fine_tuning_without_a_gpu_is_refused() -> None:
    """One clear message, before anything is read or computed."""
    with pytest.raises(ConfigError, match=r"unfrozen=true .* --device cuda"):
        train(split().without_test(), Config(unfrozen=True), Run())
