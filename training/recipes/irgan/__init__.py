"""IRGAN on matrix factorisations (Wang et al. 2017, arXiv 1705.10513): the settings, the two turns of the game, and the story."""

from training.recipes.irgan.config import Config
from training.recipes.irgan.recipe import train

__all__ = ["Config", "train"]
