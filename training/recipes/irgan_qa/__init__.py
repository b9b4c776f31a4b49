"""IRGAN for answer selection: the settings, the turns of the game, and the story."""

from training.recipes.irgan_qa.config import Config
from training.recipes.irgan_qa.recipe import train

__all__ = ["Config", "train"]
