"""`acceptance.html`: the same for a person; it looks as the reports of runs do."""

from __future__ import annotations

from jinja2 import ChoiceLoader, PackageLoader

from gaitway.acceptance.record import AcceptanceRecord, Status
from gaitway.formatting import dollars, duration
from gaitway.report.key_figures import Figure
from gaitway.report.template import ENVIRONMENT


def render_acceptance(record: AcceptanceRecord) -> str:
    """Write the page about checks: HTML that needs no other file and no network."""
    assert ENVIRONMENT.loader is not None
    loader = ChoiceLoader([PackageLoader("gaitway.acceptance"), ENVIRONMENT.loader])
    page = ENVIRONMENT.overlay(loader=loader).get_template("acceptance.html.jinja")
    return page.render(record=record, verdict=verdict(record), figures=_figures(record), link=_link, spoken=_spoken)


def verdict(record: AcceptanceRecord) -> str:
    """Return the outcome in a word."""
    if record.count(Status.FAILED):
        return "failed"
    if record.ended_at is None or not record.has_passed:
        return "incomplete"
    return "passed"


def _figures(record: AcceptanceRecord) -> list[Figure]:
    figures = [Figure(status.value, str(record.count(status))) for status in Status if record.count(status)]
    if record.ended_at is not None:
        figures.append(Figure("took", duration((record.ended_at - record.began_at).total_seconds())))
    budget = f"of {dollars(record.budget_usd)}" if record.budget_usd is not None else None
    estimate = f"estimated {dollars(record.estimated_usd)}"
    figures.append(Figure("cost", dollars(record.cost_usd), f"{budget}, {estimate}" if budget else estimate))
    return figures


def _link(name: str) -> str:
    """Name a check's place on the page."""
    return f"check-{name}"


def _spoken(status: Status) -> str:
    """Return the style of a status."""
    return {Status.PASSED: "succeeded", Status.FAILED: "failed"}.get(status, "open")
