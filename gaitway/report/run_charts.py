"""The charts of one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gaitway.report.charts import TONES, Chart, Line, histogram, line_chart
from gaitway.report.gpu_usage import GpuUsage
from gaitway.report.reported_run import ReportedRun

_MOST_SMALL = 48
"""Number of charts of scalars other than losses."""
_LOSS = "loss"
_TIME_UNITS = (("hours", 3600), ("minutes", 60))


@dataclass(frozen=True)
class LearningCharts:
    """How the training went."""

    main: list[Chart]
    """Reward and episode length."""
    losses: list[Chart]
    others: list[Chart]
    """Everything else that was logged."""
    left_out: int
    """Scalars without a chart, because there are too many."""


def learning_charts(run: ReportedRun) -> LearningCharts:
    """Draw what a training logged."""
    curves = run.curves
    if curves is None:
        return LearningCharts([], [], [], 0)
    marks = [(float(at), f"resumed at iteration {at}") for at in run.resumed_at] if curves.counts_iterations else []
    breaks = [at for at, _ in marks]
    main = [
        line_chart(
            title, curves.axis, [Line(title, curves.at, series, tone, is_smoothed=True, breaks=breaks)], marks=marks
        )
        for title, series, tone in (("Mean reward", curves.reward, 1), ("Episode length", curves.length, 2))
    ]
    small = [
        (
            tag,
            line_chart(tag, curves.axis, [Line(tag, curves.at, series, 3, breaks=breaks)], marks=marks, is_small=True),
        )
        for tag, series in curves.others.items()
    ]
    losses = [chart for tag, chart in small if chart and tag.lower().startswith(_LOSS)]
    others = [chart for tag, chart in small if chart and not tag.lower().startswith(_LOSS)]
    return LearningCharts(
        main=[chart for chart in main if chart],
        losses=losses,
        others=others[:_MOST_SMALL],
        left_out=max(0, len(others) - _MOST_SMALL),
    )


def speed_chart(run: ReportedRun) -> Chart | None:
    """Draw the speed of a training; None if it was not logged."""
    if run.curves is None:
        return None
    unit, seconds = _time_unit(run.curves.seconds)
    at = [moment / seconds for moment in run.curves.seconds]
    breaks = [pause / seconds for pause in run.curves.pauses]
    line = Line("Steps a second", at, run.curves.steps_per_second, 4, is_smoothed=True, breaks=breaks)
    return line_chart("Environment steps a second", f"{unit} since the first iteration", [line], y_range=(0, 0))


def gpu_charts(gpus: list[GpuUsage]) -> list[Chart]:
    """Draw how busy the GPUs were, and how full their memory."""
    shown = gpus[:TONES]
    if not shown:
        return []
    unit, seconds = _time_unit([moment for gpu in shown for moment in gpu.seconds])
    at = [[moment / seconds for moment in gpu.seconds] for gpu in shown]
    x_label = f"{unit} since the first sample"
    numbered = list(enumerate(zip(shown, at, strict=True), start=1))
    total = max(gpu.memory_total_gib for gpu in shown)
    busy = [Line(gpu.name, x, gpu.utilization_percent, tone) for tone, (gpu, x) in numbered]
    full = [Line(gpu.name, x, gpu.memory_gib, tone) for tone, (gpu, x) in numbered]
    charts = (
        line_chart("GPU utilisation, per cent of the time", x_label, busy, y_range=(0, 100)),
        line_chart("GPU memory, GiB", x_label, full, y_range=(0, total)),
    )
    return [chart for chart in charts if chart]


def episode_charts(run: ReportedRun) -> list[Chart]:
    """Draw how an evaluation's episodes are distributed; not what is the same in all of them."""
    episodes = run.episodes
    if episodes is None:
        return []
    charts = (
        histogram("Return of an episode", "return", episodes.returns, episodes.successes),
        histogram("Length of an episode", "environment steps", episodes.lengths, episodes.successes),
    )
    return [chart for chart in charts if chart]


def _time_unit(moments: Sequence[float]) -> tuple[str, int]:
    """Choose a unit for times in seconds, and say how many of them it has."""
    longest = max(filter(math.isfinite, moments), default=0.0)
    return next(((unit, size) for unit, size in _TIME_UNITS if longest >= 3 * size), ("seconds", 1))
