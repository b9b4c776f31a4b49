"""Classical rankers, by closed forms and by well-kept libraries: what an adversarial ranker has to beat."""

from training.baselines.ease import ease_weights, low_rank_ease
from training.baselines.factorization import ials
from training.baselines.memory import check_square
from training.baselines.neighbours import cosine_neighbours
from training.baselines.puresvd import item_factors

__all__ = ["check_square", "cosine_neighbours", "ease_weights", "ials", "item_factors", "low_rank_ease"]
