"""How committees over features learn from lists, for any recipe: epochs on a cosine, with looks at the validation queries.

Shapes: N candidates, F features, M members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from training.data import FeatureSplit, JudgedFeatures
from training.data.candidates import CandidateBatch, Candidates, Gains
from training.evaluation.rerank import evaluate_scores
from training.evaluation.selection import EarlyStopping
from training.loop import Phase, Run
from training.models.features import Activation, FeatureCommittee, Standardiser

EpochChoice = Literal["last", "validation"]
METRIC = "mean of AP and nDCG@10"

Loss = Callable[[Tensor, CandidateBatch], Tensor]
"""Of all members' scores [M, N] in a batch."""


class Watched(NamedTuple):
    """Validation queries with their standardised features."""

    judged: JudgedFeatures
    features_NF: Tensor


def prepare(data: FeatureSplit, *, gains: Gains, device: torch.device) -> tuple[Standardiser, Candidates, Watched]:
    """Standardise by the training part: what the exported graph will do, what there is to learn, and what is looked at.

    Raises:
        DataError: no training query has an order to learn.
    """
    standardiser = Standardiser(torch.from_numpy(data.train.features_NF))

    def standardised(judged: JudgedFeatures) -> Tensor:
        features_NF: Tensor = standardiser(torch.from_numpy(judged.features_NF))
        return features_NF.to(device)

    candidates = Candidates(data.train, standardised(data.train), gains=gains)
    return standardiser, candidates, Watched(data.valid, standardised(data.valid))


class Looks:
    """Looks of one phase at the validation queries.

    Args:
        valid: the queries; without any there are no looks.
        choice: `validation` goes back to the best look at the end and stops where it lies too far back; `last` only watches.
        every: epochs between looks; the last epoch is always looked at.
        patience: looks without a better value after which the phase ends.

    Attributes:
        stopping: name `stopping.best` among the phase's states.
    """

    def __init__(
        self,
        valid: Watched,
        *,
        choice: EpochChoice,
        every: int,
        patience: int,
    ) -> None:
        self._valid = valid
        self._choice = choice
        self._every = every
        self.stopping = EarlyStopping(METRIC, every=every, patience=patience)

    @torch.no_grad()
    def figure(self, committee: FeatureCommittee) -> float:
        """The metric now, of the members' mean score."""
        scores_N = committee(self._valid.features_NF).mean(dim=0).double().cpu().numpy()
        means = evaluate_scores(scores_N, self._valid.judged).means()
        return 0.5 * (means["AP"] + means["nDCG@10"])

    def look(self, phase: Phase, epoch: int, committee: FeatureCommittee, **others: FeatureCommittee) -> None:
        """Look if it is time to.

        Args:
            phase: its curves get the value.
            epoch: the running one.
            committee: it decides.
            others: committees whose figures are logged beside it, and who go back to the same epoch.
        """
        if not self._valid.judged.num_queries:
            return
        if self._choice == "validation":
            states = {name: module.state_dict() for name, module in {"": committee, **others}.items()}
            self.stopping.look(phase, epoch, lambda: self.figure(committee), states)
        elif (epoch + 1) % self._every == 0 or phase.is_last:
            phase.log(**{METRIC: self.figure(committee)})
        else:
            return
        if (epoch + 1) % self._every == 0 or phase.is_last:
            phase.log(**{f"{name}: {METRIC}": self.figure(module) for name, module in others.items()})

    def settle(self, run: Run, phase: str, committee: FeatureCommittee, **others: FeatureCommittee) -> dict[str, Any]:
        """Go back to the best look if that is what was wanted; says what there is to tell."""
        curve = run.curves.get(f"{phase}/{METRIC}", [])
        if not curve:
            return {}
        if self._choice == "validation":
            for name, module in {"": committee, **others}.items():
                module.load_state_dict(self.stopping.best.state[name])
            return self.stopping.summary(curve)
        return {"metric": METRIC, "final": {"after": curve[-1][0] + 1, "value": curve[-1][1]}}


class Learning(Protocol):
    """Settings of a committee that learns by itself."""

    @property
    def num_members(self) -> int:
        """M."""
        ...

    @property
    def hidden_size(self) -> int:
        """0 for linear scores."""
        ...

    @property
    def activation(self) -> Activation:
        """Of hidden units."""
        ...

    @property
    def dropout(self) -> float:
        """Share of hidden units switched off in training."""
        ...

    @property
    def num_epochs(self) -> int:
        """Passes over the training queries, the length of the cosine."""
        ...

    @property
    def batch_size(self) -> int:
        """Queries."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of AdamW at the start of the cosine."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        ...

    @property
    def epoch(self) -> EpochChoice:
        """Which one ranks in the end."""
        ...

    @property
    def validate_every(self) -> int:
        """Epochs between looks."""
        ...

    @property
    def patience(self) -> int:
        """Looks without a better value after which learning stops."""
        ...


def learn_committee(
    candidates: Candidates,
    valid: Watched,
    config: Learning,
    run: Run,
    *,
    name: str,
    loss: Loss,
) -> tuple[FeatureCommittee, dict[str, Any]]:
    """Learn a committee by one loss.

    Args:
        candidates: of the training queries.
        valid: the queries that are looked at.
        config: how.
        run: its random numbers, device and phases.
        name: of the phase.
        loss: to go down.

    Returns:
        The committee, and what to tell of it.
    """
    random = run.generator()
    committee = FeatureCommittee(
        num_features=valid.judged.num_features,
        num_members=config.num_members,
        hidden_size=config.hidden_size,
        activation=config.activation,
        dropout=config.dropout,
        generator=random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(committee.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    num_steps = config.num_epochs * -(-len(candidates.queries) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    looks = Looks(valid, choice=config.epoch, every=config.validate_every, patience=config.patience)
    with run.phase(
        name,
        config.num_epochs,
        committee=committee,
        optimizer=optimizer,
        schedule=schedule,
        random=random,
        best=looks.stopping.best,
    ) as phase:
        for epoch in phase:
            losses = []
            for batch in candidates.batches(config.batch_size, random):
                batch_loss = loss(committee(batch.features_NF, random), batch)
                optimizer.zero_grad()
                batch_loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(batch_loss.item() / config.num_members)
            phase.log(loss=sum(losses) / len(losses))
            looks.look(phase, epoch, committee)
    summary = looks.settle(run, name, committee)
    return committee, summary
