"""`irgan experiment`: create, start, watch and conclude a comparison of rankers on live traffic."""

from __future__ import annotations

import typer

experiment = typer.Typer(no_args_is_help=True, help="Compare rankers on live traffic: plan, create, start, report, conclude.")

from app.commands.experiment import lifecycle as _lifecycle  # noqa: E402, F401 - it registers itself
from app.commands.experiment import plan as _plan  # noqa: E402, F401 - likewise
from app.commands.experiment import report as _report  # noqa: E402, F401 - likewise
