"""CF-NADE: the settings, the two forms, what somebody rates at all, and the story."""

from training.recipes.cf_nade.config import Config
from training.recipes.cf_nade.recipe import train

__all__ = ["Config", "train"]
