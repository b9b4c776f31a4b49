"""IRGAN's web-search task: generator and discriminator are small networks over the features of a query's candidates.

The generator is pre-trained on relevant documents, then plays: it chooses documents that the discriminator takes for relevant ones, and the
discriminator learns to tell them apart.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from training.data import FeatureSplit
from training.data.candidates import CandidateBatch
from training.evaluation.committees import learn_committee, prepare
from training.export import export_features
from training.loop import Run
from training.models.features import FeatureCommittee, FeatureScorer
from training.ranker import TrainedReranker
from training.recipes.irgan_ltr.config import Config
from training.recipes.irgan_ltr.game import supervised_loss
from training.recipes.irgan_ltr.learn import play


def train(data: FeatureSplit, config: Config, run: Run) -> TrainedReranker:
    """Pre-train a committee of generators, play, and export who ranks.

    Variants: `pretrained`, the generators before the game, and the player that does not rank.
    """
    standardiser, candidates, valid = prepare(data, gains=config.gains, device=run.device)

    def loss(scores_MN: Tensor, batch: CandidateBatch) -> Tensor:
        return supervised_loss(scores_MN, batch, config)

    pretrained, summary_before = learn_committee(candidates, valid, config, run, name="pretraining", loss=loss)
    summary: dict[str, Any] = {"pretraining": summary_before}
    committees: dict[str, FeatureCommittee] = {"pretrained": pretrained}
    player = "pretrained"
    if config.num_rounds:
        generator, discriminator, summary["game"] = play(pretrained, candidates, valid, config, run)
        committees["generator"] = generator
        if discriminator is not None:
            committees["discriminator"] = discriminator
        player = config.player
    models = {
        name: export_features(FeatureScorer(standardiser, [committee]), num_features=data.train.num_features)
        for name, committee in committees.items()
    }
    return TrainedReranker(models.pop(player), summary, models)
