"""The release that is live: which it is, whether it has seen what it is judged on, and how it is asked in the rows of other data.

Shapes: B users in the batch, U users, I items, J items of the release.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.bundle import Bundle, Histories, RecommenderManifest, Vocabulary
from app.releases import KeptReleases
from training.data import Split
from training.errors import ConfigError
from training.jobs.retrain.config import Gate, Ranker
from training.jobs.retrain.steps import Result

LEARNED_UNTIL = "learned_until"
"""In the manifest's `training.retraining`: the time of the latest event that was learned from, seconds since 1970."""
SETTINGS = "settings"
"""There, of a ranker that may begin with earlier weights: its settings where it begins with nothing."""
_SHOWN = "%Y-%m-%d %H:%M UTC"

TWIN = "live"
"""What the live release's recipe is called where it is trained anew."""


def live_release(store: KeptReleases, split: Split, gate: Gate) -> Result:
    """What is live in the slot that a run compares with; all None where there is nothing.

    Returns:
        `release`, NAME/VERSION; `ranker`; `seen` and `why`, see `seen_of_test`; `twin`, what is trained in its place, as `Ranker` takes it.

    Raises:
        BundleError: its manifest cannot be read.
        ConfigError: it is no ranker of items for people.
    """
    release = store.current(gate.against)
    if release is None:
        return dict.fromkeys(("release", "ranker", "seen", "why", "twin"))
    manifest = store.manifest(release)
    if not isinstance(manifest, RecommenderManifest):
        raise ConfigError(f"{release} in slot {gate.against} is no ranker of items for people; choose another gate.against")
    told = seen_of_test(manifest, split)
    trained_anew = gate.live == "retrained" or (gate.live == "retrained-if-seen" and told["seen"] != "no")
    # Of one that began with weights, the manifest's own settings are those of going on with them.
    retraining = manifest.training.get("retraining")
    settings = retraining.get(SETTINGS, manifest.config) if isinstance(retraining, dict) else manifest.config
    twin = {"name": TWIN, "ranker": manifest.ranker, "seed": manifest.seed, "settings": settings} if trained_anew else None
    return {"release": release, "ranker": manifest.ranker, **told, "twin": twin}


def twin_of(live: Result) -> Ranker | None:
    """What is trained in the live release's place, if anything is."""
    return None if live["twin"] is None else Ranker.model_validate(live["twin"])


class Translated:
    """A bundle as a ranker of other users and items: what it does not know, it ranks last, all alike.

    Everybody is asked about with the history that is given, not with the one that the bundle remembers of them; where the model learned a
    vector for each user, those it knows are answered by theirs.
    """

    predicts_ratings = False

    def __init__(self, bundle: Bundle, users: Vocabulary, items: Vocabulary) -> None:
        self._model = bundle.model
        self._rows_I = _rows(items, bundle.items)
        self._rows_U = _rows(users, bundle.users)
        self.knows_items = bool((self._rows_I >= 0).any())

    def scores(self, histories: Histories, users_B: np.ndarray | None = None, /) -> np.ndarray:
        """Scores of all items, float64 [B, I]; −∞ for those that the bundle does not hold."""
        rows = self._rows_I[histories.items]
        known = histories.where(rows >= 0)
        own = Histories(known.offsets, rows[rows >= 0], known.ratings)
        scores_BJ = np.empty((len(own), self._model.num_items))
        users = np.full(len(own), -1) if users_B is None else self._rows_U[users_B]
        for places, their_rows in ((np.flatnonzero(users >= 0), users[users >= 0]), (np.flatnonzero(users < 0), None)):
            if len(places):
                scores_BJ[places] = self._model.scores(own.take(places), their_rows)
        held_I = self._rows_I >= 0
        scores_BI = np.full((len(own), len(held_I)), -np.inf)
        scores_BI[:, held_I] = scores_BJ[:, self._rows_I[held_I]]
        return scores_BI

    def ratings(self, histories: Histories, users_B: np.ndarray | None = None, /) -> np.ndarray:
        """Nothing is known of the ratings of items that the bundle does not hold."""
        raise NotImplementedError


def _rows(wanted: Vocabulary, held: Vocabulary) -> np.ndarray:
    """The row in `held` of each id of `wanted`, int64; −1 where it is not there."""
    found = (held.find(one) for one in wanted.ids)
    return np.array([-1 if row is None else row for row in found], dtype=np.int64)


def seen_of_test(manifest: RecommenderManifest, split: Split) -> dict[str, Any]:
    """Whether a release learned from events of the test part, which favours it: `no`, `yes` or `perhaps`, and how that is known.

    Args:
        manifest: of the release.
        split: by time.
    """
    cutoff = int(split.parameters["cutoff"])
    told = manifest.training.get("retraining")
    until = told.get(LEARNED_UNTIL) if isinstance(told, dict) else None
    ended = manifest.data.split.parameters.get("cutoff") if manifest.data.split.name == "time" else None
    start = _shown(cutoff)
    if manifest.data.fingerprint == split.train.fingerprint():
        return {"seen": "no", "why": "it learned from the very training part"}
    if until is not None and until < cutoff:
        return {"seen": "no", "why": f"it learned from events up to {_shown(until)}, and the test part begins {start}"}
    if until is not None:
        return {"seen": "yes", "why": f"it learned from events up to {_shown(until)}, and the test part begins {start}"}
    if ended is not None and ended <= cutoff:
        return {"seen": "no", "why": f"it learned from events before {_shown(ended)}, and the test part begins {start}"}
    if manifest.created.timestamp() < cutoff:
        return {"seen": "no", "why": f"it was made {manifest.created:{_SHOWN}}, and the test part begins {start}"}
    return {
        "seen": "perhaps",
        "why": f"it was made {manifest.created:{_SHOWN}}, the test part begins {start}, and its manifest does not say up to when it learned",
    }


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_SHOWN)
