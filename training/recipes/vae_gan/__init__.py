"""VAE/GAN on preference vectors: the settings, the three losses, and the story."""

from training.recipes.vae_gan.config import Config
from training.recipes.vae_gan.recipe import train

__all__ = ["Config", "train"]
