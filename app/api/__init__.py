"""HTTP: routes, what they read and answer, and how errors leave. See `docs/http.md`."""

from app.api.access import Guard, allow_origins
from app.api.description import describe
from app.api.direct import Shortcut
from app.api.events import router as events
from app.api.experiments import router as experiments
from app.api.gathering import Gathering
from app.api.items import router as items
from app.api.keys import LiveKeys
from app.api.limits import RateLimit
from app.api.metrics import Metrics
from app.api.middleware import Observed
from app.api.operations import router as operations
from app.api.participation import Participation
from app.api.problems import add_problem_handlers
from app.api.rankings import router as rankings
from app.api.reports import Reports
from app.api.reports import router as reports
from app.api.reranks import router as reranks
from app.api.searches import router as searches
from app.api.slots import Slots
from app.api.slots import router as slots

__all__ = [
    "Gathering",
    "Guard",
    "LiveKeys",
    "Metrics",
    "Observed",
    "Participation",
    "RateLimit",
    "Reports",
    "Shortcut",
    "Slots",
    "add_problem_handlers",
    "allow_origins",
    "describe",
    "events",
    "experiments",
    "items",
    "operations",
    "rankings",
    "reports",
    "reranks",
    "searches",
    "slots",
]
