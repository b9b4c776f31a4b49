"""Variational autoencoder with multinomial likelihood: the settings and the story."""

from training.recipes.vae.config import Config
from training.recipes.vae.recipe import train

__all__ = ["Config", "train"]
