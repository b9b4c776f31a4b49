"""IRGAN on features of candidates: the settings, the two turns of the game, and the story."""

from training.recipes.irgan_ltr.config import Config
from training.recipes.irgan_ltr.recipe import train

__all__ = ["Config", "train"]
