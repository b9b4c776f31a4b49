"""Adversarial variational Bayes on histories: the settings, the two turns of a round, and the story."""

from training.recipes.avb.config import Config
from training.recipes.avb.recipe import train

__all__ = ["Config", "train"]
