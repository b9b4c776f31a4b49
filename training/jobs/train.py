"""From a split to a bundle: train, test once, export."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from app.bundle import VectorModel
from training.config import RankerConfig
from training.data import Split
from training.evaluation import PROTOCOLS, evaluate
from training.export import Stamp, export_bundle
from training.jobs.outcome import Outcome, check_place, own_folder, told
from training.loop import Run
from training.registry import RankerSpec

_log = logging.getLogger(__name__)


def train_ranker(
    spec: RankerSpec,
    split: Split,
    config: RankerConfig,
    run: Run,
    *,
    bundles: Path,
    name: str | None = None,
    stamp: Stamp | None = None,
) -> Outcome:
    """Train on the split's training part, measure on its test part under every protocol, and write a bundle.

    Args:
        spec: which ranker.
        split: data; the recipe gets the training part only.
        config: its hyper-parameters.
        run: where and how; its `folder` is locked meanwhile.
        bundles: the folder that gets `NAME/VERSION`.
        name: NAME; the ranker's by default. Variants are called `NAME-VARIANT`.
        stamp: where the bundle's bytes must not depend on the clock, the time it goes by; then it does not tell seconds either.

    Raises:
        ConfigError: NAME cannot be a bundle's name, or `bundles` is no folder; said before anything is trained.
        Interrupted: Ctrl-C; a checkpoint was kept where `run` has a folder.
        OSError: the bundle cannot be written; nothing of it is left behind.
    """
    name = spec.name if name is None else name
    check_place(bundles, name)
    values = config.model_dump(mode="json")
    with own_folder(spec, config, run, fingerprint=split.train.fingerprint(), split=split.name):
        started = time.perf_counter()
        trained = spec.recipe()(split.train, config, run)
        seconds = time.perf_counter() - started
        run.write_curves()
        _log.info("%s learned in %.1f s", spec.name, seconds)

        def export(model: VectorModel, name: str) -> tuple[Path, dict[str, dict[str, float]]]:
            metrics: dict[str, dict[str, float]] = {p: evaluate(model, split, p).means for p in PROTOCOLS}
            path = export_bundle(
                model,
                split,
                root=bundles,
                name=name,
                ranker=spec.name,
                paper=spec.paper,
                seed=run.seed,
                config=values,
                bias_folded=trained.bias_folded,
                metrics=metrics,
                training=told(trained.summary, run, seconds if stamp is None else None),
                stamp=stamp,
            )
            return path, metrics

        bundle, metrics = export(trained.model, name)
        variants = {variant: export(model, f"{name}-{variant}")[0] for variant, model in trained.variants.items()}
    return Outcome(spec.name, run.seed, seconds, bundle, metrics, variants)
