"""The commands that training adds to `irgan`; each imports what it needs when it runs."""

from __future__ import annotations

import typer

from training.cli.ablate import ablate
from training.cli.compare import compare
from training.cli.data import data
from training.cli.density import density
from training.cli.evaluate import evaluate
from training.cli.rankers import rankers
from training.cli.related import related
from training.cli.retrain import retrain
from training.cli.train import train


def commands(app: typer.Typer) -> None:
    """Register them; the entry point of the group `irgan.commands`."""
    app.add_typer(data)
    app.command()(train)
    app.command()(retrain)
    app.command()(evaluate)
    app.command()(compare)
    app.command()(ablate)
    app.command()(density)
    app.command()(related)
    app.command()(rankers)
