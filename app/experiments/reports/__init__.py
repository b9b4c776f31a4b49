"""What came of an experiment, for people and for programs. See `docs/reports.md`.

Light: what needs the extra `experiments` is imported when a report is made.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import ExtraMissing, ServiceError

if TYPE_CHECKING:
    from app.experiments.reports.figures import Report
    from app.store import Database

__all__ = ["last_words", "report_html", "report_of"]

logger = logging.getLogger(__name__)


def report_of(database: Database, name: str) -> Report:
    """The report on an experiment as it stands.

    Raises:
        UnknownExperiment: there is none by that name.
        WrongState: it has never been started.
        StoreUnusable: the store cannot be read.
        ExtraMissing: SciPy or tea-tasting is not installed.
    """
    try:
        from app.experiments.reports.making import make_report  # noqa: PLC0415 - the service does without, until asked
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return make_report(database, name)


def last_words(database: Database, name: str) -> dict[str, Any] | None:
    """What is kept of the report when an experiment is concluded: everything but what changes over time.

    None where there is no report, whatever the reason: it must not keep anybody from concluding.
    """
    from app.experiments.reports.apart import whole_report  # noqa: PLC0415 - it needs this module

    try:
        found = orjson.loads(whole_report(database, name)[0])
    except ServiceError as error:
        logger.info("experiment %s is concluded without a report: %s", name, error)
        return None
    except Exception:
        logger.exception("experiment %s is concluded without a report", name)
        return None
    for metric in found["metrics"]:
        for comparison in metric["comparisons"]:
            del comparison["points"]
    return {key: found[key] for key in ("as_of", "decision", "variants", "metrics", "sample_ratio", "checks")}


def report_html(report: Report) -> str:
    """The same as a page that needs nothing but a browser.

    Raises:
        ExtraMissing: jinja2 is not installed.
    """
    try:
        from app.experiments.reports.page import render_page  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return render_page(report)


def _missing(error: ModuleNotFoundError) -> Exception:
    package = (error.name or "").partition(".")[0]
    if package in {"app", "training"}:
        return error
    return ExtraMissing(f"reports on experiments need the package {package}; pip install 'irgan[experiments]'")
