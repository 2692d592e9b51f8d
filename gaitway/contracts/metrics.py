"""The metrics that the pipeline publishes to CloudWatch, and those that a run on a cluster offers to Prometheus.

Code that publishes or draws one takes its name from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric."""

    name: str
    unit: Literal["Count", "Seconds", "Percent", "Bytes", "Count/Second", "None"]
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


# What Prometheus reads. Names follow prometheus.io/docs/practices/naming: base units, and the unit at the end.


@dataclass(frozen=True)
class Scraped:
    """A metric that a run on a cluster offers to Prometheus."""

    metric: Metric
    """Gives it its name and unit; in CloudWatch it may not exist."""
    description: str
    labels: tuple[str, ...]
    is_counter: bool = False
    """Whether it only grows."""

    @property
    def name(self) -> str:
        """Its name, with its unit: percent is a ratio from 0 to 1 there."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.metric.name).lower()
        unit = _SUFFIXES.get(self.metric.unit, "")
        total = "_total" if self.is_counter else ""
        return f"{_PREFIX}_{words}{unit}{total}"

    def value(self, value: float) -> float:
        """Convert a value from the metric's unit."""
        return value / 100 if self.metric.unit == "Percent" else value


_PREFIX = "gaitway"
_SUFFIXES = {"Seconds": "_seconds", "Percent": "_ratio", "Bytes": "_bytes"}

RUN_LABELS = ("run", "task", "library", "simulator")
"""Of what the main node knows of its run; `library` is empty where the run needs none."""
GPU_LABELS = ("run", "node", "gpu")
"""Of what each node knows of its GPUs; `node` and `gpu` count from 0."""

SCRAPED_MEAN_REWARD = Scraped(MEAN_REWARD, "Mean return of the latest episodes, as the library reports it.", RUN_LABELS)
SCRAPED_DONE = Scraped(Metric("ProgressDone", "Count"), "Iterations trained, or episodes evaluated.", RUN_LABELS)
SCRAPED_GOAL = Scraped(Metric("ProgressGoal", "Count"), "Iterations or episodes of the whole run.", RUN_LABELS)
SCRAPED_STEPS_PER_SECOND = Scraped(
    STEPS_PER_SECOND, "Environment steps per second, over all environments and nodes.", RUN_LABELS
)
SCRAPED_PROGRESS_AT = Scraped(
    Metric("ProgressTimestamp", "Seconds"),
    "When the run last made progress: an iteration, an episode, an upload or a step of the runner.",
    RUN_LABELS,
)
SCRAPED_CHECKPOINT_AT = Scraped(
    Metric("CheckpointTimestamp", "Seconds"),
    "When the newest checkpoint that is in S3 was saved.",
    RUN_LABELS,
)
SCRAPED_ATTEMPTS = Scraped(
    Metric("Attempts", "Count"), "Attempts at the run, over all of its jobs.", RUN_LABELS, is_counter=True
)
SCRAPED_COST = Scraped(COST, "What the run has cost so far, over all attempts.", RUN_LABELS, is_counter=True)
SCRAPED_BUDGET = Scraped(Metric("BudgetUsd", "None"), "What the run may cost, if it has a limit.", RUN_LABELS)
SCRAPED_GPU_UTILIZATION = Scraped(
    GPU_UTILIZATION, "Share of the latest time in which the GPU had work; slices of GPUs do not report it.", GPU_LABELS
)
SCRAPED_GPU_MEMORY_USED = Scraped(Metric("GpuMemoryUsed", "Bytes"), "Memory in use on the GPU.", GPU_LABELS)
SCRAPED_GPU_MEMORY = Scraped(Metric("GpuMemory", "Bytes"), "Memory of the GPU.", GPU_LABELS)

SCRAPED_OF_RUNS = (
    SCRAPED_MEAN_REWARD,
    SCRAPED_DONE,
    SCRAPED_GOAL,
    SCRAPED_STEPS_PER_SECOND,
    SCRAPED_PROGRESS_AT,
    SCRAPED_CHECKPOINT_AT,
    SCRAPED_ATTEMPTS,
    SCRAPED_COST,
    SCRAPED_BUDGET,
)
"""What the main node of a run offers."""
SCRAPED_OF_GPUS = (SCRAPED_GPU_UTILIZATION, SCRAPED_GPU_MEMORY_USED, SCRAPED_GPU_MEMORY)
"""What each node offers."""
