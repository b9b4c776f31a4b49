"""Choosing on events held out of the training data.

Shapes: U users looked at, I items, C channels, X = C · I, R rank.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from training.data import Interactions, holdout
from training.data.batches import multi_hot
from training.errors import DataError
from training.evaluation import validation_metrics
from training.loop import Best, Run
from training.models.history import HistoryCommittee
from training.recipes.irgan_history.config import Config
from training.recipes.irgan_history.learn import learn
from training.recipes.irgan_history.linear import linear_path

SELECTED = "nDCG@10"
"""The metric that chooses."""

_MOST_USERS = 1_000
_LINEAR_WEIGHTS = (0.0, 2.5, 5.0, 10.0, 20.0)


def choose(data: Interactions, config: Config, run: Run) -> tuple[Best, HistoryCommittee, dict[str, Any]]:
    """The best epoch, and with it the best weight of the linear path, on events held out of the training data.

    Returns:
        The best look (its state is the weight), the committee as it was at the end, and what to tell of both.

    Raises:
        DataError: too few events to hold any out.
    """
    rng = run.numpy_rng(1)
    fit, held_out = holdout(data, fraction=config.validation_fraction, rng=rng)
    relevant = held_out.positives().histories()
    users = np.flatnonzero(relevant.lengths)
    if not len(users):
        raise DataError(
            f"no liked event is among the {len(held_out)} held out to choose the epoch; "
            "use more data, or --set validation_fraction=0 to take the last epoch"
        )
    users = np.sort(rng.permutation(users)[:_MOST_USERS])
    relevant, excluded = relevant.take(users), fit.histories().take(users)
    liked_UI = multi_hot(fit.positives().histories().take(users), fit.num_items, run.device)
    low_UI = multi_hot(fit.where(~fit.is_positive).histories().take(users), fit.num_items, run.device)
    history_UX = torch.cat([liked_UI, low_UI], dim=1) if config.signal == "all" else liked_UI
    linear = linear_path(fit, config, run)
    seen = excluded if config.signal == "all" else fit.positives().histories().take(users)
    events_UI = sp.csr_matrix((linear.scale.weights(seen.ratings), (seen.users, seen.items)), shape=liked_UI.shape)
    linear_UI = events_UI @ linear.table_IR.numpy() @ linear.vectors_IR.numpy().T
    weights = _LINEAR_WEIGHTS if config.linear_weight == "validation" else (config.linear_weight,)
    weights = weights if linear.table_IR.shape[1] else (0.0,)
    best = Best()

    def watch(epoch: int, is_last: bool, generator: HistoryCommittee) -> bool:
        if (epoch + 1) % config.validate_every and not is_last:
            return False
        with torch.no_grad():
            scores_UI = generator(history_UX).mean(0).cpu().numpy()
        values = [validation_metrics(scores_UI + w * linear_UI, relevant, excluded)[SELECTED] for w in weights]
        run.scalar(f"choose/{SELECTED}", max(values), epoch)
        best.update(max(values), epoch, weights[int(np.argmax(values))])
        return epoch - best.epoch >= config.patience * config.validate_every

    committee = learn(
        fit,
        config,
        run,
        name="choose",
        num_members=min(config.validation_members, config.num_members),
        num_epochs=config.num_epochs,
        watch=watch,
        best=best,
    )
    last_epoch, last_value = run.curves[f"choose/{SELECTED}"][-1]
    told = {
        "metric": SELECTED,
        "best": {"after": best.epoch + 1, "value": best.value},
        "final": {"after": last_epoch + 1, "value": last_value},
    }
    return best, committee, {"validation": told}
