"""The metrics that the pipeline publishes to CloudWatch: code that publishes or draws one takes its name from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric."""

    name: str
    unit: Literal["Count", "Seconds", "Percent", "Count/Second", "None"]
    dimension: str | None = None
    """Name of its only dimension; None if it has none."""


QUEUED_RUNS = Metric("QueuedRuns", "Count")
"""Runs whose job waits for a machine."""
OLDEST_QUEUED_SECONDS = Metric("OldestQueuedSeconds", "Seconds")
"""Age of the oldest such job."""
RUNS = Metric("Runs", "Count", "State")
"""Runs in each state of an active run."""
SILENT_SECONDS = Metric("SilentSeconds", "Seconds")
"""The longest time for which a running run has not updated its record."""
SUCCEEDED_RUNS = Metric("SucceededRuns", "Count")
"""Runs whose success was reported to their caller."""
FAILED_RUNS = Metric("FailedRuns", "Count")
"""Runs whose failure was reported to their caller."""
FAILURES = Metric("Failures", "Count", "Error")
"""The same, by the name of the error."""
TIME_TO_FIRST_ITERATION = Metric("TimeToFirstIteration", "Seconds")
"""From the acceptance of a run to its first iteration or episode."""
STEPS_PER_SECOND = Metric("StepsPerSecond", "Count/Second", "RunId")
"""Environment steps per second of a run that trains."""
MEAN_REWARD = Metric("MeanReward", "None", "RunId")
"""Mean return of a run's latest episodes, as its library reports it."""
GPU_UTILIZATION = Metric("GpuUtilization", "Percent", "RunId")
"""Share of the time in which a run's GPUs were busy, over all its GPUs."""
GPU_MEMORY_UTILIZATION = Metric("GpuMemoryUtilization", "Percent", "RunId")
"""Share of the GPUs' memory that a run uses."""
COST = Metric("CostUsd", "None")
"""What runs have cost since the last publication, in USD: the sum over a day is the cost of that day."""

METRICS = (
    QUEUED_RUNS,
    OLDEST_QUEUED_SECONDS,
    RUNS,
    SILENT_SECONDS,
    SUCCEEDED_RUNS,
    FAILED_RUNS,
    FAILURES,
    TIME_TO_FIRST_ITERATION,
    STEPS_PER_SECOND,
    MEAN_REWARD,
    GPU_UTILIZATION,
    GPU_MEMORY_UTILIZATION,
    COST,
)
