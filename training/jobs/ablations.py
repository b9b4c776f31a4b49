"""What `irgan ablate` reruns: for each ranker, every choice that the literature leaves open, changed alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.errors import ConfigError

_LEARNING_RATES = {"generator_learning_rate": (0.02, 0.05)}
"""One sweep for whoever moves the generator, so that none has the better rate by luck."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of an ablation.

    Attributes:
        name: what the row is called.
        settings: hyper-parameters that differ from the ranker's defaults.
        model: which of the trained models ranks: a name among `TrainedRanker.variants`, or nothing for the ranker itself.
        sweep: settings of which the best value on validation data is taken, the others are tried and dropped.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    sweep: dict[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that answer one question, each compared with the first.

    Attributes:
        question: what the rows are to answer.
        variants: the reference first.
    """

    question: str
    variants: tuple[Variant, ...]


_DEFAULT = Variant("as by default")

_FIXED: dict[str, Any] = {"validation_fraction": 0.0}
"""Both twins take all steps: with epochs chosen for each, one might train longer."""
_TWIN = _FIXED | {"adversary": "none"}
_ALL = {"signal": "all"}

ABLATIONS: dict[str, tuple[Group, ...]] = {
    "irgan": (
        Group(
            "Does the adversary add anything beyond more likelihood training? Same start, same number of steps, same sweep of "
            "learning rates.",
            (
                Variant("likelihood steps", {"adversary": "likelihood"}, sweep=_LEARNING_RATES),
                Variant("discriminator, likelihood kept in the loss", {}, sweep=_LEARNING_RATES),
                Variant("discriminator alone (the paper's game)", {"likelihood_weight": 0.0}, sweep=_LEARNING_RATES),
                Variant("fixed hard-negative sampler", {"adversary": "hard-negatives"}, sweep=_LEARNING_RATES),
                Variant("nobody: pre-training alone", {"num_rounds": 0}),
            ),
        ),
        Group(
            "The same when every epoch and round is played, whatever validation says",
            (
                Variant("likelihood steps", _FIXED | {"adversary": "likelihood"}),
                Variant("discriminator, likelihood kept in the loss", _FIXED),
                Variant("discriminator alone (the paper's game)", _FIXED | {"likelihood_weight": 0.0}),
                Variant("negatives at temperature 0.2 (official code)", _FIXED | {"negatives_temperature": 0.2}),
                Variant("policy at temperature 0.2", _FIXED | {"policy_temperature": 0.2}),
            ),
        ),
        Group(
            "Is pre-training the source of the gain?",
            (
                _DEFAULT,
                Variant("no pre-training", {"pretraining": "none"}),
                Variant("likelihood pre-training", {"pretraining": "mle"}),
            ),
        ),
        Group(
            "Temperature",
            (
                _DEFAULT,
                Variant("negatives at 0.2 (official code)", {"negatives_temperature": 0.2}),
                Variant("policy at 0.2", {"policy_temperature": 0.2}),
            ),
        ),
        Group(
            "Expected reward: computed exactly or sampled, and with which baseline?",
            (
                _DEFAULT,
                Variant("sampled, no baseline", {"reward": "sampled", "baseline": "none"}),
                Variant("sampled, mean of the other draws", {"reward": "sampled", "baseline": "mean"}),
                Variant("sampled, expected reward as baseline (paper)", {"reward": "sampled", "baseline": "expected"}),
            ),
        ),
        Group(
            "The generator's objective",
            (
                _DEFAULT,
                Variant("minimax, log(1 + exp f)", {"generator_objective": "minimax"}),
                Variant("non-saturating, log σ(f)", {"generator_objective": "non-saturating"}),
            ),
        ),
        Group("Positives among the negatives", (_DEFAULT, Variant("not masked (paper)", {"mask_positives": False}))),
        Group("Who ranks?", (_DEFAULT, Variant("the discriminator", model="discriminator"))),
    ),
    "irgan-history": (
        Group(
            "Does the adversary add anything? Its twin takes the same steps on the same batches by likelihood alone. Liked items only.",
            (Variant("likelihood alone", _TWIN), Variant("with the discriminator", _FIXED)),
        ),
        Group(
            "The same committees without the linear path",
            (Variant("likelihood alone", _TWIN, "committee"), Variant("with the discriminator", _FIXED, "committee")),
        ),
        Group(
            "Low ratings as input",
            (Variant("likelihood alone", _TWIN | _ALL), Variant("with the discriminator", _FIXED | _ALL)),
        ),
        Group(
            "Low ratings as input, without the linear path",
            (
                Variant("likelihood alone", _TWIN | _ALL, "committee"),
                Variant("with the discriminator", _FIXED | _ALL, "committee"),
            ),
        ),
    ),
}


def ablation(ranker: str) -> tuple[Group, ...]:
    """The grid of a ranker.

    Raises:
        ConfigError: it has none; the message lists those that do.
    """
    if ranker not in ABLATIONS:
        raise ConfigError(f"no ablation is laid down for {ranker!r}; there is one for {', '.join(ABLATIONS)}")
    return ABLATIONS[ranker]
