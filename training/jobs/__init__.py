"""Whole tasks, as the command line offers them and as other programs may call them."""

from training.jobs.outcome import Outcome
from training.jobs.rerank import RerankOutcome, train_reranker
from training.jobs.search import SearchOutcome, train_search
from training.jobs.train import train_ranker

__all__ = ["Outcome", "RerankOutcome", "SearchOutcome", "train_ranker", "train_reranker", "train_search"]
