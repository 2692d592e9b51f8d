"""Publish how the run goes to CloudWatch: looked at each minute, sent every few, since each request costs money."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gaitway.aws.metrics import datum, publish
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

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

    from container.runner.gpus import Load

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""CloudWatch's own resolution."""
LOOKS_PER_REQUEST = 5
_CLOSE_SECONDS = 2.0
"""A request that hangs must not use up the time in which an interrupted run reports."""


class PublishedMetrics:
    """Publishes from a thread of its own while it is entered. What fails is logged, and never fails the run.

    Args:
        run_id: The run.
        cloudwatch: A CloudWatch client that gives up early.
        cost: Tells what this attempt has cost so far.
        gpu_load: Tells how the GPUs were used since the last time; None where nothing was measured.
        now: Tells the time.
    """

    def __init__(
        self,
        run_id: str,
        cloudwatch: CloudWatchClient,
        cost: Callable[[], Cost | None],
        gpu_load: Callable[[], Load | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._run_id = run_id
        self._cloudwatch = cloudwatch
        self._cost = cost
        self._gpu_load = gpu_load
        self._now = now
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._told_usd = 0.0
        self._pending: list[MetricDatumTypeDef] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._publish_until_closed, name="metrics", daemon=True)

    def note_progress(self, progress: Progress) -> None:
        """Note how far the run is; the latest counts when it is looked at."""
        self._progress = progress

    def note_first_iteration(self, accepted_at: datetime) -> None:
        """Note the run's very first iteration or episode.

        Args:
            accepted_at: When the run was asked for.
        """
        self._add(TIME_TO_FIRST_ITERATION, (self._now() - accepted_at).total_seconds())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join(_CLOSE_SECONDS)

    def look(self) -> None:
        """Take the values of this moment. A simulation that stands still has no speed and no reward to tell of."""
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
        """Send what was taken."""
        with self._lock:
            data, self._pending = self._pending, []
        try:
            publish(self._cloudwatch, data)
        except Exception as error:
            # Of whatever kind: nobody would hear of it in this thread, and no run depends on it.
            logger.warning("metrics could not be published: %s", error)

    def _add(self, metric: Metric, value: float | None) -> None:
        # CloudWatch takes no other numbers.
        if value is None or not math.isfinite(value):
            return
        described = datum(metric, value, self._now(), self._run_id if metric.dimension else None)
        with self._lock:
            self._pending.append(described)

    def _publish_until_closed(self) -> None:
        looks = 0
        while not self._closed.wait(LOOK_SECONDS):
            self.look()
            looks += 1
            if looks % LOOKS_PER_REQUEST == 0:
                self.send()
        self.look()
        self.send()
