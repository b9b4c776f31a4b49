"""IRGAN on texts: two dual encoders, one that picks documents for a query and one that tells relevant documents from the picks.

Heads are chosen by what they do for queries whose documents nobody asked for in training; what was learned about single documents is
kept apart from them, in a memory that moves these documents' vectors and no others.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from app.bundle import LexicalIndex, SearchModel, TextEncoder
from training.data import Judgements, TextSplit
from training.evaluation.selection import CHOOSE, FIT, EarlyStopping
from training.export import export_text_encoder
from training.loop import Phase, Run
from training.models.dual_encoder import DualEncoder, WithConstant
from training.ranker import TrainedSearch
from training.recipes.irgan_text.config import Config
from training.recipes.irgan_text.learn import Watch, learn
from training.recipes.irgan_text.memory import remember
from training.recipes.irgan_text.pairs import FEWEST_QUERIES, HeldOut, hold_out, judged_pairs
from training.recipes.irgan_text.players import Pairs, Player, Shortlists
from training.recipes.irgan_text.readers import Library
from training.recipes.irgan_text.remembering import (
    NOTHING,
    SHARES,
    THRESHOLDS,
    USUAL,
    WEIGHTS,
    Amount,
    choose_amount,
)
from training.recipes.irgan_text.validation import UNCHOSEN, Chosen, Jury, choose

PSEUDO = "pseudo"
"""Name of the phase in which titles ask for their documents."""


class Texts(NamedTuple):
    """What all chapters share.

    Attributes:
        queries: the texts of the judged queries; a query's row is its place here.
        lexical: of all documents.
        library: of the queries, then the titles that ask; and of all documents.
    """

    queries: list[str]
    lexical: LexicalIndex
    library: Library

    @property
    def counts(self) -> tuple[int, int]:
        """How many queries and documents."""
        return len(self.queries), self.lexical.num_documents


class Players(NamedTuple):
    """Both."""

    generator: Player
    discriminator: Player


def train(data: TextSplit, config: Config, run: Run) -> TrainedSearch:
    """Choose on a part of the training queries, then learn from all of them.

    `encoder.encode_documents` gives what `document_vectors_ID` has for every document that answers no training query; the others have
    been moved by the memory, and a document that is added later has none.

    Variants: `generator` is the ranker without its memory, `discriminator` the other player, which there is not where validation chose
    not to play.
    """
    documents = data.collection.texts()
    # Test queries are blank here, and unjudged ones teach nothing: neither is read.
    rows = data.train.positives.queries
    positives = data.train.positives
    judged = Judgements(np.searchsorted(rows, positives.query_rows), positives.document_rows, positives.grades)
    queries = [data.collection.query_texts[row] for row in rows]
    titles = _titles(data) if config.num_pseudo_epochs and (config.body == "cnn" or config.unfrozen) else {}
    texts = Texts(
        queries=queries,
        lexical=LexicalIndex.build(documents, language=data.collection.language, k1=config.k1, b=config.b),
        library=Library([*queries, *titles.values()], documents, config, run),
    )
    start = start_players(texts, titles, config, run)

    summary: dict[str, Any] = {}
    amount, summary["memory"] = _amount(texts, start, judged, config, run)
    num_epochs, chosen = config.num_epochs, UNCHOSEN
    given = None if data.valid_queries is None else np.searchsorted(rows, np.intersect1d(data.valid_queries, rows))
    held = hold_out(judged, config.validation_fraction, run.numpy_rng(1), given) if config.validation_fraction else None
    if held is not None:
        num_epochs, chosen, summary["validation"] = _choose(texts, start, held, amount, config=config, run=run)
    players = play(texts, start, judged, config, run, name=FIT, num_epochs=num_epochs)
    summary["num_epochs"] = num_epochs

    def encoder(player: Player) -> TextEncoder:
        heads = WithConstant(player.query_head, 1.0), WithConstant(player.document_head, 0.0)
        return export_text_encoder(
            DualEncoder(texts.library.body(player.reader), *heads),
            texts.library.tokenizer_json,
            num_tokens=texts.library.num_tokens,
            query_tokens=config.query_tokens,
            document_tokens=config.document_tokens,
        )

    def model(player: Player, encoder: TextEncoder, amount: Amount = NOTHING) -> SearchModel:
        vectors_ID = with_memory(player, texts, judged, amount)[1]
        return SearchModel(texts.lexical, vectors_ID, encoder, fusion=chosen.fusion, mode=chosen.mode)

    generator, discriminator = players
    learned = encoder(generator)
    variants = {"generator": model(generator, learned)}
    if config.adversary == "discriminator" and num_epochs and len(judged):
        variants["discriminator"] = model(discriminator, encoder(discriminator))
    return TrainedSearch(model(generator, learned, amount), summary=summary, variants=variants)


def start_players(texts: Texts, titles: dict[int, str], config: Config, run: Run) -> Players:
    """Both players before any judgement; a body that learns has been shown which title belongs to which document."""
    made = []
    for stream in (2, 3):
        random = run.generator(stream)
        made.append(Player(texts.library.reader(random), config, random).to(run.device))
    players = Players(*made)
    if titles:
        rows = np.fromiter(titles, dtype=np.int64)
        num_queries, num_documents = texts.counts
        learn(
            players.generator,
            None,
            Pairs(num_queries + np.arange(len(rows)), rows, np.ones(len(rows), dtype=np.float32)),
            shortlists=Shortlists(texts.lexical, [], np.zeros(0, dtype=np.int64), config),
            num_texts=(0, num_documents),
            config=config,
            run=run,
            name=PSEUDO,
            schedule_epochs=config.num_pseudo_epochs,
            num_epochs=config.num_pseudo_epochs,
        )
        players.discriminator.load_state_dict(players.generator.state_dict())
    return players


def play(
    texts: Texts,
    start: Players,
    judged: Judgements,
    config: Config,
    run: Run,
    *,
    name: str,
    num_epochs: int,
    watch: Watch | None = None,
    **stateful: Any,
) -> Players:
    """Copies of both players after some epochs of the game."""
    players = Players(*(copy.deepcopy(player) for player in start))
    pairs = judged_pairs(judged)
    if num_epochs and len(pairs.question_rows):
        learn(
            players.generator,
            players.discriminator if config.adversary == "discriminator" else None,
            pairs,
            shortlists=Shortlists(texts.lexical, texts.queries, np.unique(pairs.question_rows), config),
            num_texts=texts.counts,
            config=config,
            run=run,
            name=name,
            schedule_epochs=config.num_epochs,
            num_epochs=num_epochs,
            watch=watch,
            **stateful,
        )
    return players


def with_memory(player: Player, texts: Texts, judged: Judgements, amount: Amount) -> tuple[np.ndarray, np.ndarray]:
    """Query vectors [Q, E], and document vectors with what they remember of some judgements [I, E + 1]."""
    queries_QE, documents_IE = player.vectors(*texts.counts)
    memory = remember(queries_QE, documents_IE, judged_pairs(judged), neighbour_share=amount.share)
    return queries_QE, memory.vectors(documents_IE, amount.weight, amount.threshold)


def _amount(texts: Texts, start: Players, judged: Judgements, config: Config, run: Run) -> tuple[Amount, dict[str, Any]]:
    """How much to remember, as it is configured or as cross-validation says."""
    configured = (config.memory_neighbour_share, config.memory_weight, config.memory_threshold)
    grids = [
        tried if value == "validation" else (float(value),)
        for value, tried in zip(configured, (SHARES, WEIGHTS, THRESHOLDS), strict=True)
    ]
    told: dict[str, Any] = {}
    if "validation" not in configured or len(judged.queries) < FEWEST_QUERIES:
        usual = zip(configured, USUAL, strict=True)
        amount = Amount(*(other if value == "validation" else float(value) for value, other in usual))
    else:
        vectors = start.generator.vectors(*texts.counts)
        shares, weights, thresholds = grids
        amount, told["nDCG@10"] = choose_amount(
            *vectors, judged, run.numpy_rng(2), shares=shares, weights=weights, thresholds=thresholds
        )
    return amount, amount._asdict() | told


def _choose(
    texts: Texts, start: Players, held: HeldOut, amount: Amount, *, config: Config, run: Run
) -> tuple[int, Chosen, dict[str, Any]]:
    """Epochs, fusion and mode, by the queries set apart; no epoch at all where none is better than the start."""
    jury = Jury(held, texts.queries, texts.lexical)
    stopping = EarlyStopping("nDCG@10", every=config.validate_every, patience=config.patience)
    before = jury.unseen_value(start.generator, *texts.counts)
    stopping.best.update(before, -1, start.generator.state_dict())

    def watch(phase: Phase, epoch: int, generator: Player) -> None:
        stopping.look(phase, epoch, lambda: jury.unseen_value(generator, *texts.counts), generator.state_dict())

    play(texts, start, held.fit, config, run, name=CHOOSE, num_epochs=config.num_epochs, watch=watch, best=stopping.best)
    best = copy.deepcopy(start.generator)
    best.load_state_dict(stopping.best.state)
    chosen = choose(jury, *with_memory(best, texts, held.fit, amount))
    told = {
        "metric": "nDCG@10",
        "before": before,
        "best": {"after": stopping.best.epoch + 1, "value": stopping.best.value},
        "groups": chosen.figures,
    }
    return stopping.best.epoch + 1, chosen, told


def _titles(data: TextSplit) -> dict[int, str]:
    """The titles of documents that have a text beside them, by row."""
    table = data.collection.item_table
    if "title" not in table:
        return {}
    pairs = enumerate(zip(table["title"], table["text"], strict=True))
    return {row: title for row, (title, text) in pairs if isinstance(title, str) and title.strip() and str(text).strip()}
