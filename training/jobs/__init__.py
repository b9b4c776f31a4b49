"""Whole tasks, as the command line offers them and as other programs may call them."""

from training.jobs.train import Outcome, train_ranker

__all__ = ["Outcome", "train_ranker"]
