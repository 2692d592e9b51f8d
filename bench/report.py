"""The page: docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bench.measurement import FailedMeasurement, Goal, Measurement

COMPARED = (
    "Everything is compared with the same work done without the pipeline, or by a peer, in the same run on the same "
    "machine: the ratios say something elsewhere, the absolute figures only here."
)


@dataclass(frozen=True)
class Conditions:
    """The conditions of all measurements."""

    began_at: datetime
    minutes: float
    command: str
    commit: str
    seed: int
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    load_before: float
    """The load average of the minute before."""
    is_quiet: bool
    """Whether nothing else used the machine."""


def write_page(
    conditions: Conditions,
    results: Sequence[Measurement | FailedMeasurement],
    *,
    title: str = "Benchmarks",
    introduction: str = COMPARED,
) -> str:
    """Write the page as Markdown.

    Args:
        conditions: Conditions of the measurement.
        results: What was measured.
        title: Title of the page.
        introduction: What the figures mean, and where they were measured.
    """
    sections = [_introduction(conditions, results, title, introduction)]
    sections += [_failed(one) if isinstance(one, FailedMeasurement) else _section(one) for one in results]
    return "\n\n".join(sections) + "\n"


def missed_goals(results: Sequence[Measurement | FailedMeasurement]) -> list[Goal]:
    """List the goals that were not reached."""
    return [goal for one in results if isinstance(one, Measurement) for goal in one.goals if not goal.met]


def _introduction(
    conditions: Conditions, results: Sequence[Measurement | FailedMeasurement], title: str, introduction: str
) -> str:
    missed = len(missed_goals(results))
    failed = sum(isinstance(one, FailedMeasurement) for one in results)
    total = sum(len(one.goals) for one in results if isinstance(one, Measurement))
    verdict = f"{total - missed} of {total} goals were reached."
    if failed:
        verdict += f" {failed} of {len(results)} measurements failed and say nothing."
    facts = {
        "date": conditions.began_at.strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"`{conditions.command}`, {conditions.minutes:.0f} minutes",
        "commit": conditions.commit,
        "seed": str(conditions.seed),
        **conditions.machine,
        "versions": ", ".join(f"{name} {version}" for name, version in conditions.versions.items()),
        "load before": f"{conditions.load_before:.2f}",
    }
    parts = [
        f"# {title}",
        f"Written by `{conditions.command}`: do not edit. {introduction}",
        verdict,
    ]
    if not conditions.is_quiet:
        parts.append("**Provisional:** the machine was at work on something else when this began, which spoils speeds.")
    parts.append(_table(("", ""), tuple(facts.items())))
    return "\n\n".join(parts)


def _section(measurement: Measurement) -> str:
    parts = [f"## {measurement.title}", measurement.method, _table(measurement.columns, measurement.rows)]
    if measurement.goals:
        parts.append("\n".join(_judged(goal) for goal in measurement.goals))
    if measurement.notes:
        parts.append("\n".join(f"- {note}" for note in measurement.notes))
    return "\n\n".join(parts)


def _judged(goal: Goal) -> str:
    if goal.met:
        return f"- Reached: {goal.words}."
    return f"- **Missed:** {goal.words}. Likely reason: {goal.likely_reason}."


def _failed(measurement: FailedMeasurement) -> str:
    return f"## {measurement.title}\n\n**Not measured:** it failed.\n\n```\n{measurement.cause}\n```"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
