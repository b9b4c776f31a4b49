"""The story: set validation questions apart, pre-train, play, choose fusion and mode, export both stages."""

from __future__ import annotations

from typing import Any

from app.bundle import LexicalIndex
from training.data import TextSplit
from training.loop import Run
from training.ranker import TrainedSearch
from training.recipes.irgan_qa.bodies import make_body
from training.recipes.irgan_qa.config import Config
from training.recipes.irgan_qa.learn import Lesson, play, pretrain
from training.recipes.irgan_qa.validation import choose_mode, set_apart


def train(data: TextSplit, config: Config, run: Run) -> TrainedSearch:
    """Learn from questions whose right answers are known.

    The variant `pretrained` is the same before the game, with its own fusion and mode: the baseline to beat. Where it is better on the
    validation questions it is what is kept, and the variant is `played`.

    Raises:
        DataError: too few questions have a right answer.
        MissingExtra: `body=minilm`, and its weights are not here.
    """
    config = config.resolved()
    collection = data.collection
    fit, valid = set_apart(data, config, run.numpy_rng(1))
    body = make_body(data, config, run)
    lesson = Lesson(body, fit, valid, config, run)
    pretrained: list[Any] = []
    players: list[Any] = []
    assert config.num_members is not None
    for member in range(config.num_members):
        pretrained.append(pretrain(lesson, member))
        if config.num_rounds:
            players.append(play(lesson, pretrained[-1], member))
    lexical = LexicalIndex.build(collection.texts(), language=collection.language, k1=config.k1, b=config.b)
    baseline, of_baseline = choose_mode(data, valid, lexical, *body.export(pretrained))
    if not players:
        return TrainedSearch(baseline, {"validation": of_baseline})
    played, of_played = choose_mode(data, valid, lexical, *body.export(players))
    summary: dict[str, Any] = {"validation": of_played, "pretrained": of_baseline, "kept": "played"}
    if config.kept == "validation" and of_baseline[baseline.mode] > of_played[played.mode]:
        summary |= {"validation": of_baseline, "played": of_played, "kept": "pretrained"}
        return TrainedSearch(baseline, summary, {"played": played})
    return TrainedSearch(played, summary, {"pretrained": baseline})
