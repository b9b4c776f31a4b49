"""Round after round: the adversary takes some steps, then the inference network and the decoder take one."""

from __future__ import annotations

from typing import NamedTuple

import torch

from training.data import Interactions
from training.data.batches import log_popularity, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import Watch
from training.loop import Best, Run
from training.models.avb import Adversary, BasisPosterior, Decoder
from training.recipes.avb.config import Config
from training.recipes.avb.rounds import adversary_step, hide, model_step

_INPUT_SCALE = 0.1
_OUTPUT_SCALE = 0.05
"""Standard deviations of first weights: inputs are averages over a history, so they may be larger."""
_NOISE_SCALE = 0.1
"""Where the posterior's width starts."""


class Model(NamedTuple):
    """What was learned, without the adversary."""

    posterior: BasisPosterior
    decoder: Decoder


def learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    num_epochs: int,
    watch: Watch[Model] | None = None,
    **stateful: Best,
) -> Model:
    """Algorithm 1 of the paper, on histories of which a part is hidden.

    Raises:
        DataError: no user has two liked events.
    """
    random, adversary_random = run.generator(), run.generator(1)
    posterior = BasisPosterior(
        num_inputs=data.num_items,
        hidden_size=config.hidden_size,
        latent_size=config.embedding_size,
        num_noises=config.num_noises,
        noise_hidden_size=config.noise_hidden_size,
        noise_scale=_NOISE_SCALE,
        input_scale=_INPUT_SCALE,
        generator=random,
    ).to(run.device)
    decoder = Decoder(
        latent_size=config.embedding_size,
        hidden_size=config.hidden_size,
        output_bias_J=log_popularity(data),
        output_scale=_OUTPUT_SCALE,
        generator=random,
    ).to(run.device)
    adversary = Adversary(
        num_inputs=data.num_items,
        latent_size=config.embedding_size,
        hidden_size=config.adversary_hidden_size,
        input_scale=_INPUT_SCALE,
        generator=adversary_random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(
        [*posterior.parameters(), *decoder.parameters()], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    adversary_optimizer = torch.optim.Adam(
        adversary.parameters(), lr=config.adversary_learning_rate, betas=(0.5, 0.999), fused=True
    )
    liked = data.positives().histories()
    users = users_to_hide_from(liked, "avb")
    num_steps = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    model = Model(posterior, decoder)
    with run.phase(
        name,
        num_epochs,
        posterior=posterior,
        decoder=decoder,
        adversary=adversary,
        optimizer=optimizer,
        adversary_optimizer=adversary_optimizer,
        schedule=schedule,
        random=random,
        adversary_random=adversary_random,
        **stateful,
    ) as phase:
        for epoch in phase:
            kl_weight = config.kl_weight * min(1.0, (epoch + 1) / max(1.0, config.kl_annealing * config.num_epochs))
            figures: list[dict[str, float]] = []
            for users_B in shuffled(users, config.batch_size, random):
                batch = hide(multi_hot(liked.take(users_B), data.num_items, run.device), config.hidden_fraction, random)
                told: dict[str, float] = {}
                for _ in range(config.num_adversary_steps):
                    told |= adversary_step(
                        adversary, adversary_optimizer, posterior, batch.inputs(), config=config, random=adversary_random
                    )
                told |= model_step(
                    posterior, decoder, adversary, optimizer, batch, config=config, kl_weight=kl_weight, random=random
                )
                schedule.step()
                figures.append(told)
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, model)
    return model
