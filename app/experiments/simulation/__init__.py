"""Made-up people who click on answers, and how many answers a comparison needs; for rehearsals and studies, never for requests."""

from app.experiments.simulation.clicks import CLICK_MODELS, ClickModel, click_chances, clicked
from app.experiments.simulation.crediting import differences
from app.experiments.simulation.sensitivity import needed, power, rejections

__all__ = ["CLICK_MODELS", "ClickModel", "click_chances", "clicked", "differences", "needed", "power", "rejections"]
