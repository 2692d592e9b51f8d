"""The charts of one run."""

from __future__ import annotations

from dataclasses import dataclass

from gaitway.report.charts import TONES, Chart, Line, histogram, line_chart
from gaitway.report.gpu_usage import GpuUsage
from gaitway.report.subject import Subject

_MOST_SMALL = 48
"""Of the scalars besides losses."""
_LOSS = "loss"


@dataclass(frozen=True)
class LearningCharts:
    """How the training went."""

    main: list[Chart]
    """Reward and episode length."""
    losses: list[Chart]
    others: list[Chart]
    """Everything else that was logged."""
    left_out: int
    """Scalars of which there is no chart any more, since there are too many."""


def learning_charts(run: Subject) -> LearningCharts:
    """Draw what a training logged."""
    curves = run.curves
    if curves is None:
        return LearningCharts([], [], [], 0)
    marks = [(float(at), f"resumed at iteration {at}") for at in run.resumed_at] if curves.counts_iterations else []
    main = [
        line_chart(title, curves.axis, [Line(title, curves.at, series, tone, is_smoothed=True)], marks=marks)
        for title, series, tone in (("Mean reward", curves.reward, 1), ("Episode length", curves.length, 2))
    ]
    small = [
        (tag, line_chart(tag, curves.axis, [Line(tag, curves.at, series, tone=3)], marks=marks, is_small=True))
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


def speed_chart(run: Subject) -> Chart | None:
    """Draw how fast a training simulated; None where nobody logged it."""
    if run.curves is None:
        return None
    line = Line("Steps a second", run.curves.minutes, run.curves.steps_per_second, tone=4, is_smoothed=True)
    return line_chart("Environment steps a second", "minutes since the first iteration", [line], y_range=(0, 0))


def gpu_charts(gpus: list[GpuUsage]) -> list[Chart]:
    """Draw how busy the GPUs were, and how full their memory."""
    x_label = "minutes since the first sample"
    shown = gpus[:TONES]
    if not shown:
        return []
    total = max(gpu.memory_total_gib for gpu in shown)
    busy = [Line(gpu.name, gpu.minutes, gpu.utilization_percent, tone) for tone, gpu in enumerate(shown, start=1)]
    full = [Line(gpu.name, gpu.minutes, gpu.memory_gib, tone) for tone, gpu in enumerate(shown, start=1)]
    charts = (
        line_chart("GPU utilisation, per cent of the time", x_label, busy, y_range=(0, 100)),
        line_chart("GPU memory, GiB", x_label, full, y_range=(0, total)),
    )
    return [chart for chart in charts if chart]


def episode_charts(run: Subject) -> list[Chart]:
    """Draw how an evaluation's episodes are distributed; not what is the same in all of them."""
    episodes = run.episodes
    if episodes is None:
        return []
    charts = (
        histogram("Return of an episode", "return", episodes.returns, episodes.successes),
        histogram("Length of an episode", "environment steps", episodes.lengths, episodes.successes),
    )
    return [chart for chart in charts if chart]
