"""Retraining: from data to a published release without anybody watching, and never half of it. See docs/retraining.md."""

from training.jobs.retrain.config import RetrainConfig
from training.jobs.retrain.folder import RunsFolder
from training.jobs.retrain.job import retrain
from training.jobs.retrain.outcome import EXIT_CODES, RetrainOutcome
from training.jobs.retrain.places import Places
from training.jobs.retrain.plan import plan_of
from training.jobs.retrain.reading import read_retrain_config

__all__ = ["EXIT_CODES", "Places", "RetrainConfig", "RetrainOutcome", "RunsFolder", "plan_of", "read_retrain_config", "retrain"]
