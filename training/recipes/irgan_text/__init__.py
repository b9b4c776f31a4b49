"""IRGAN on texts: the settings, the two turns of the game, the memory of documents, and the story."""

from training.recipes.irgan_text.config import Config
from training.recipes.irgan_text.recipe import train

__all__ = ["Config", "train"]
