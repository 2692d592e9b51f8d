"""Publish the run's metrics to CloudWatch: measured each minute, sent less often, since each request costs money."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gaitway.aws.metrics import Metrics, datum
from gaitway.contracts.history import Cost
from gaitway.contracts.metrics import (
    COST,
    GPU_MEMORY_UTILIZATION,
    GPU_UTILIZATION,
    MEAN_REWARD,
    STEPS_PER_SECOND,
    TIME_TO_FIRST_ITERATION,
    Metric,
)
from gaitway.contracts.run import Progress
from gaitway.runner.background import Background

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

    from gaitway.runner.reporting.gpus import Load

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""CloudWatch's own resolution."""
LOOKS_PER_REQUEST = 5
_CLOSE_SECONDS = 2.0
"""A request that hangs must not use up the time in which an interrupted run reports."""


class PublishedMetrics:
    """Publishes from its own thread while it is entered. Errors are logged, and never fail the run.

    Args:
        run_id: The run.
        metrics: The deployment's metrics, with a client that has short timeouts.
        cost: Returns what this attempt has cost so far.
        gpu_load: Returns the use of the GPUs since the last call; None if nothing was measured.
        now: Returns the time.
    """

    def __init__(
        self,
        run_id: str,
        metrics: Metrics,
        cost: Callable[[], Cost | None],
        gpu_load: Callable[[], Load | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._run_id = run_id
        self._metrics = metrics
        self._cost = cost
        self._gpu_load = gpu_load
        self._now = now
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._told_usd = 0.0
        self._pending: list[MetricDatumTypeDef] = []
        self._looks = 0
        self._background = Background("metrics", self._publish, LOOK_SECONDS, last_step=self._publish_rest)

    def note_progress(self, progress: Progress) -> None:
        """Note the run's progress; each measurement takes the latest."""
        self._progress = progress

    def note_first_iteration(self, accepted_at: datetime) -> None:
        """Note the run's very first iteration or episode.

        Args:
            accepted_at: When the run was requested.
        """
        self._add(TIME_TO_FIRST_ITERATION, (self._now() - accepted_at).total_seconds())

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.close(_CLOSE_SECONDS)

    def look(self) -> None:
        """Measure now. A simulation that makes no progress has no speed and no reward to report."""
        progress, self._progress = self._progress, None
        if progress is not None:
            self._add(STEPS_PER_SECOND, progress.steps_per_second)
            self._add(MEAN_REWARD, progress.mean_reward)
        load = self._gpu_load()
        if load is not None:
            self._add(GPU_UTILIZATION, load.utilization_percent)
            self._add(GPU_MEMORY_UTILIZATION, load.memory_percent)
        cost = self._cost()
        if cost is not None and cost.usd > self._told_usd:
            self._add(COST, cost.usd - self._told_usd)
            self._told_usd = cost.usd

    def send(self) -> None:
        """Send what was measured."""
        with self._lock:
            data, self._pending = self._pending, []
        try:
            self._metrics.publish(data)
        except Exception as error:
            # Any error: in this thread it would go unnoticed otherwise, and no run depends on it.
            logger.warning("metrics could not be published: %s", error)

    def _add(self, metric: Metric, value: float | None) -> None:
        # CloudWatch accepts no other numbers.
        if value is None or not math.isfinite(value):
            return
        described = datum(metric, value, self._now(), self._run_id if metric.dimension else None)
        with self._lock:
            self._pending.append(described)

    def _publish(self) -> None:
        self._looks += 1
        try:
            self.look()
        finally:
            if self._looks % LOOKS_PER_REQUEST == 0:
                self.send()

    def _publish_rest(self) -> None:
        try:
            self.look()
        finally:
            self.send()
