"""IRGAN on history encoders: the settings, the two turns of the game, and the story."""

from training.recipes.irgan_history.config import Config
from training.recipes.irgan_history.recipe import train

__all__ = ["Config", "train"]
