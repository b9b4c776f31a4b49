"""Goodfellow's game on preference vectors: the settings, the two turns of a batch, and the story."""

from training.recipes.gan.config import Config
from training.recipes.gan.recipe import train

__all__ = ["Config", "train"]
