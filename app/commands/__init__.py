"""Commands of `irgan` that are more than a few lines, and what they need; imported by the command line, so light."""

from app.commands.events import events
from app.commands.experiment import experiment
from app.commands.keys import keys

__all__ = ["events", "experiment", "keys"]
