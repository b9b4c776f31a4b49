"""Learning from pairs of a question and its document: batch after batch, turn after turn.

Shapes: N pairs in all, B pairs in the batch, U candidates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from training.data.batches import shuffled
from training.loop import Best, Phase, Run
from training.objectives import irgan as objectives
from training.recipes.irgan_text.config import Config
from training.recipes.irgan_text.game import Batch, discriminator_step, generator_step
from training.recipes.irgan_text.players import Pairs, Player, Shortlists

Watch = Callable[[Phase, int, Player], None]
"""Told of every epoch's end; it may stop the phase."""


def learn(
    generator: Player,
    discriminator: Player | None,
    pairs: Pairs,
    *,
    shortlists: Shortlists,
    num_texts: tuple[int, int],
    config: Config,
    run: Run,
    name: str,
    schedule_epochs: int,
    num_epochs: int,
    watch: Watch | None = None,
    **stateful: Best,
) -> None:
    """The game, or likelihood alone: every batch the discriminator takes its turn, and then the generator.

    Args:
        generator: learns.
        discriminator: learns; None for likelihood alone.
        pairs: what answers what.
        shortlists: of the pairs' questions.
        num_texts: how many questions have shortlists, and how many documents there are.
        config: of both players.
        run: seed, device and checkpoints.
        name: of the phase.
        schedule_epochs: length of the cosine on which learning rates fall.
        num_epochs: how far on it.
        watch: looks at the end of every epoch.
        stateful: what the phase keeps beside the players.
    """
    # The discriminator has random numbers of its own, so that the twin without it sees the same batches.
    random, jury_random = run.generator(), run.generator(1)
    optimizer = _optimizer(generator, config.learning_rate, config)
    num_steps = max(1, schedule_epochs * -(-len(pairs.question_rows) // config.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    kept: dict[str, object] = {"generator": generator, "optimizer": optimizer, "schedule": schedule}
    kept |= {"random": random, "jury_random": jury_random, "shortlists": shortlists, **stateful}
    if discriminator is not None:
        jury_optimizer = _optimizer(discriminator, config.discriminator_learning_rate, config)
        kept |= {"discriminator": discriminator, "discriminator_optimizer": jury_optimizer}
    known = torch.from_numpy(pairs.question_rows * num_texts[1] + pairs.document_rows).to(run.device)
    with run.phase(name, num_epochs, **kept) as phase:  # type: ignore[arg-type]
        for epoch in phase:
            if epoch % config.refresh_every == 0 and not shortlists.is_empty:
                shortlists.refresh(*generator.vectors(*num_texts))
            figures = []
            for places in shuffled(np.arange(len(pairs.question_rows)), config.batch_size, random):
                batch = make_batch(
                    pairs,
                    places,
                    shortlists=shortlists,
                    known=known,
                    num_documents=num_texts[1],
                    config=config,
                    random=random,
                    device=run.device,
                )
                logits_BU = generator.logits(batch.questions_B, batch.candidates_U, random)
                log_probs_BU = objectives.policy_log_probs(logits_BU, excluded_BI=batch.excluded_BU)
                told: dict[str, float] = {}
                if discriminator is not None:
                    told |= discriminator_step(
                        discriminator, jury_optimizer, batch, log_probs_BU=log_probs_BU, config=config, random=jury_random
                    )
                told |= generator_step(optimizer, log_probs_BU, discriminator, batch, config)
                schedule.step()
                figures.append(told)
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, generator)


def make_batch(
    pairs: Pairs,
    places: np.ndarray,
    *,
    shortlists: Shortlists,
    known: torch.Tensor,
    num_documents: int,
    config: Config,
    random: torch.Generator,
    device: torch.device,
) -> Batch:
    """Some pairs, with what the generator picks for each; all documents of the batch are candidates of every question.

    Args:
        pairs: all.
        places: of those in the batch.
        shortlists: where picks come from.
        known: question · I + document of all pairs: no document that answers a question is its negative.
        num_documents: I.
        config: how many picks.
        random: of the picks.
        device: of the result.
    """
    questions, documents = pairs.question_rows[places], pairs.document_rows[places]
    # Titles have no shortlist, and a batch of them is negatives enough.
    picks = shortlists.draw(questions, 0 if shortlists.is_empty else config.num_negatives, random)
    documents_B = torch.from_numpy(documents)
    candidates_U = torch.unique(torch.cat([documents_B, picks]))
    places_B = torch.searchsorted(candidates_U, documents_B)
    questions_B = torch.from_numpy(questions).to(device)
    codes_BU = questions_B[:, None] * num_documents + candidates_U.to(device)
    excluded_BU = torch.isin(codes_BU, known)
    excluded_BU[torch.arange(len(places), device=device), places_B.to(device)] = False
    weights_B = torch.from_numpy(pairs.weights[places]).to(device)
    return Batch(questions_B, candidates_U.to(device), places_B.to(device), excluded_BU, weights_B / weights_B.sum())


def _optimizer(player: Player, learning_rate: float, config: Config) -> torch.optim.AdamW:
    """AdamW over a player's heads, and at a pace of its own over its body, where that learns."""
    usual = 2e-3 if config.body == "cnn" else 2e-5
    bodies = [weights for weights in player.reader.parameters() if weights.requires_grad]
    of_body = {id(weights) for weights in bodies}
    groups = [
        {"params": [weights for weights in player.parameters() if id(weights) not in of_body], "lr": learning_rate},
        *([{"params": bodies, "lr": config.body_learning_rate or usual}] if bodies else []),
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
