"""The RBM for ratings: the settings, the steps, and the story."""

from training.recipes.rbm_cf.config import Config
from training.recipes.rbm_cf.recipe import train

__all__ = ["Config", "train"]
