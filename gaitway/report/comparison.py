"""The page about several runs, and the same for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gaitway.report.charts import Chart, Line, line_chart
from gaitway.report.curves import Curves
from gaitway.report.differences import Difference, differences
from gaitway.report.key_figures import Figure, figures
from gaitway.report.reported_run import ReportedRun
from gaitway.report.template import fill
from gaitway.report.videos import MOST_BYTES, videos

_SHORT_ID = len("run-") + 8
_MOST_SMALL = 24


@dataclass(frozen=True)
class ComparedRun:
    """A run that is compared with others."""

    subject: ReportedRun
    link: str | None = None
    """Where its own page is, relative to this one; None where it has none."""


def render_comparison(runs: Sequence[ComparedRun]) -> str:
    """Write the page about several runs: HTML that needs no other file and no network.

    Args:
        runs: Two or more, in the order of the page.
    """
    subjects = [run.subject for run in runs]
    names = _names(subjects)
    trained = [(number, name, run.curves) for number, (name, run) in enumerate(zip(names, subjects, strict=True), 1)]
    curves = [(number, name, found) for number, name, found in trained if found is not None]
    return fill(
        "comparison.html.jinja",
        runs=[(number, name, run) for number, (name, run) in enumerate(zip(names, runs, strict=True), 1)],
        figures=_side_by_side(subjects),
        curves=_overlaid(curves),
        others=_others(curves),
        returns=_returns(subjects, names),
        differences=differences(subjects),
        videos=[
            (name, video)
            for name, run in zip(names, subjects, strict=True)
            for video in videos(run, MOST_BYTES // len(runs))
        ],
    )


def comparison_document(runs: Sequence[ComparedRun]) -> dict[str, Any]:
    """Describe runs side by side for a program."""
    subjects = [run.subject for run in runs]
    return {
        "runs": [_document(run) for run in subjects],
        "differences": [_by_run(difference, subjects) for difference in differences(subjects)],
    }


def _names(runs: Sequence[ReportedRun]) -> list[str]:
    """Name the runs; add the ids of those with the same name."""
    counts = Counter(run.title for run in runs)
    return [run.title if counts[run.title] == 1 else f"{run.title} {_short(run)}" for run in runs]


def _short(run: ReportedRun) -> str:
    return run.results.run_id[:_SHORT_ID]


def _side_by_side(runs: Sequence[ReportedRun]) -> list[tuple[str, list[Figure | None]]]:
    columns = [{figure.label: figure for figure in figures(run)} for run in runs]
    labels = dict.fromkeys(label for column in columns for label in column)
    return [(label, [column.get(label) for column in columns]) for label in labels]


def _overlaid(runs: list[tuple[int, str, Curves]]) -> list[Chart]:
    """Draw the curves that every training has; by what the first one counts."""
    series: tuple[tuple[str, Callable[[Curves], Sequence[float]]], ...] = (
        ("Mean reward", lambda curves: curves.reward),
        ("Episode length", lambda curves: curves.length),
        ("Environment steps a second", lambda curves: curves.steps_per_second),
    )
    return _present(
        line_chart(
            title,
            _axis(runs),
            [Line(name, curves.at, of(curves), tone, is_smoothed=True) for tone, name, curves in runs],
        )
        for title, of in series
    )


def _others(runs: list[tuple[int, str, Curves]]) -> list[Chart]:
    """Draw the scalars that more than one training logged under the same name."""
    counts = Counter(tag for _, _, curves in runs for tag in curves.others)
    return _present(
        line_chart(
            tag,
            _axis(runs),
            [Line(name, curves.at, curves.others[tag], tone) for tone, name, curves in runs if tag in curves.others],
            is_small=True,
        )
        for tag, count in counts.items()
        if count > 1
    )[:_MOST_SMALL]


def _returns(runs: Sequence[ReportedRun], names: Sequence[str]) -> Chart | None:
    """Draw how the evaluations' returns are distributed: for each return, how many episodes had at most that."""
    lines = []
    for tone, (name, run) in enumerate(zip(names, runs, strict=True), 1):
        if run.episodes is not None:
            returns = sorted(run.episodes.returns)
            shares = [100 * (index + 1) / len(returns) for index in range(len(returns))]
            lines.append(Line(name, returns, shares, tone))
    return line_chart("Episodes with at most this return, per cent", "return", lines, y_range=(0, 100))


def _axis(runs: list[tuple[int, str, Curves]]) -> str:
    return " or ".join(dict.fromkeys(curves.axis for _, _, curves in runs))


def _present(charts: Iterable[Chart | None]) -> list[Chart]:
    return [chart for chart in charts if chart]


def _document(run: ReportedRun) -> dict[str, Any]:
    results, episodes = run.results, run.episodes
    fields = {"run_id", "status", "mode", "task", "rl_library", "attempts", "training", "evaluation", "failure", "cost"}
    return {
        **results.model_dump(mode="json", include=fields),
        "name": run.config.name if run.config else None,
        "seconds": run.seconds,
        "usd_per_million_steps": run.usd_per_million_steps,
        "success_interval": list(episodes.success_interval) if episodes else None,
        "return_interval": list(episodes.return_interval) if episodes and episodes.return_interval else None,
    }


def _by_run(difference: Difference, runs: Sequence[ReportedRun]) -> dict[str, Any]:
    values = zip((run.results.run_id for run in runs), difference.values, strict=True)
    return {"key": difference.key, "values": dict(values)}
