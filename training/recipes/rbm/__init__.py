"""A binary RBM over what people liked: the settings, the steps, and the story."""

from training.recipes.rbm.config import Config
from training.recipes.rbm.recipe import train

__all__ = ["Config", "train"]
