"""Offer the metrics of a run on a cluster to Prometheus: computed when they are read, and never in the run's way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from gaitway.contracts.history import Cost
from gaitway.contracts.metrics import (
    SCRAPED_ATTEMPTS,
    SCRAPED_BUDGET,
    SCRAPED_CHECKPOINT_AT,
    SCRAPED_COST,
    SCRAPED_DONE,
    SCRAPED_GOAL,
    SCRAPED_GPU_MEMORY,
    SCRAPED_GPU_MEMORY_USED,
    SCRAPED_GPU_UTILIZATION,
    SCRAPED_MEAN_REWARD,
    SCRAPED_PROGRESS_AT,
    SCRAPED_STEPS_PER_SECOND,
    Scraped,
)
from gaitway.contracts.run import Progress, RunSpec
from gaitway.runner.reporting.heartbeat import Activity

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.metrics_core import Metric as Family

    from gaitway.runner.reporting.gpus import Sample

logger = logging.getLogger(__name__)

_ALL = "0.0.0.0"  # noqa: S104 - Prometheus is on another machine
_MIB = 1024**2


class Reading(NamedTuple):
    """The value that a metric has now."""

    metric: Scraped
    labels: tuple[str, ...]
    """Values of the metric's labels."""
    value: float
    """In the unit of Prometheus."""


@dataclass(frozen=True)
class Place:
    """Where metrics are offered."""

    port: int
    address: str
    """Of the network interface; empty for all."""


class Offer:
    """Answers Prometheus at /metrics while it is entered; a port that is taken is only a warning.

    Args:
        place: Where; None: nowhere.
        sources: Each returns readings, and is called for each answer.
    """

    def __init__(self, place: Place | None, *sources: Callable[[], Iterable[Reading]]) -> None:
        self._place = place
        self._sources = sources
        self._server: tuple[WSGIServer, threading.Thread] | None = None

    def __enter__(self) -> Self:
        if self._place is None:
            return self
        try:
            # Only where it is used: elsewhere it need not be installed.
            from prometheus_client import CollectorRegistry, start_http_server

            registry = CollectorRegistry(auto_describe=False)
            registry.register(self)
            self._server = start_http_server(self._place.port, self._place.address or _ALL, registry)
        except (ImportError, OSError) as error:
            logger.warning("no metrics for Prometheus at port %d, the run goes on: %s", self._place.port, error)
        else:
            logger.info("metrics for Prometheus: port %d, /metrics", self._place.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()

    def collect(self) -> Iterator[Family]:
        """Collect the readings, as prometheus-client's registry asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        readings = [reading for source in self._sources for reading in source()]
        for metric, group in groupby(readings, key=lambda reading: reading.metric):
            kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
            family = kind(metric.name, metric.description, labels=metric.labels)
            for reading in group:
                family.add_metric(reading.labels, reading.value)
            yield family


class RunReadings:
    """What the main node offers of its run.

    Args:
        spec: The run.
        simulator: Name of the simulator.
        attempt: Number of this attempt, over all jobs.
        activity: When the run last made progress.
        cost: Returns what the run has cost so far.
        now: Returns the seconds since the epoch.
    """

    def __init__(
        self,
        spec: RunSpec,
        simulator: str,
        attempt: int,
        activity: Activity,
        cost: Callable[[], Cost | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._labels = (spec.run_id, spec.training.task, spec.training.library or "", simulator)
        self._budget = spec.compute.max_cost_usd
        self._attempt = attempt
        self._activity = activity
        self._cost = cost
        self._now = now
        self._progress: Progress | None = None
        self._checkpoint_at: float | None = None

    def note_progress(self, progress: Progress) -> None:
        """Note the run's progress."""
        self._progress = progress

    def note_checkpoint(self, saved_at: float) -> None:
        """Note when the newest checkpoint that is in S3 was saved, in seconds since the epoch."""
        self._checkpoint_at = saved_at

    def read(self) -> Iterator[Reading]:
        """Return what is known now."""
        for metric, value in self._values():
            if value is not None:
                yield Reading(metric, self._labels, metric.value(value))

    def _values(self) -> Iterator[tuple[Scraped, float | None]]:
        progress, cost = self._progress, self._cost()
        if progress is not None:
            yield SCRAPED_MEAN_REWARD, progress.mean_reward
            yield SCRAPED_DONE, progress.done
            yield SCRAPED_GOAL, progress.total
            yield SCRAPED_STEPS_PER_SECOND, progress.steps_per_second
        # A start takes long, and is no standstill.
        if self._activity.simulation_began:
            yield SCRAPED_PROGRESS_AT, self._now() - self._activity.idle_seconds
        yield SCRAPED_CHECKPOINT_AT, self._checkpoint_at
        yield SCRAPED_ATTEMPTS, self._attempt
        yield SCRAPED_COST, cost.usd if cost else None
        yield SCRAPED_BUDGET, self._budget


def gpu_readings(run_id: str, node: int, samples: Callable[[], Sequence[Sample]]) -> Callable[[], list[Reading]]:
    """Return what a node offers of its GPUs.

    Args:
        run_id: The run.
        node: Index of the node.
        samples: Returns the latest sample of each GPU.
    """
    columns: tuple[tuple[Scraped, Callable[[Sample], float | None]], ...] = (
        (SCRAPED_GPU_UTILIZATION, lambda sample: sample.utilization_percent),
        (SCRAPED_GPU_MEMORY_USED, lambda sample: sample.memory_used_mib * _MIB),
        (SCRAPED_GPU_MEMORY, lambda sample: sample.memory_total_mib * _MIB),
    )

    def read() -> list[Reading]:
        latest = samples()
        return [
            Reading(metric, (run_id, str(node), str(sample.gpu)), metric.value(value))
            for metric, column in columns
            for sample in latest
            if (value := column(sample)) is not None
        ]

    return read
