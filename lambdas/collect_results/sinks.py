"""The systems that a successful run is published to, before its caller receives the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gaitway.contracts.artifacts import Results
from gaitway.contracts.run import RunSpec


@dataclass(frozen=True)
class PublishedRun:
    """A run whose outputs are complete."""

    spec: RunSpec
    results: Results
    is_current: Callable[[], bool]
    """Checks the record: returns whether these are still the run's results. A sink asks right before it writes: the run
    may have been cancelled or started again since."""


class Sink(Protocol):
    """A system that a run is published to. One that needs more than S3 is a separate function and step: decision 23."""

    def publish(self, run: PublishedRun) -> None:
        """Publish a run; repeating it changes nothing.

        It may raise anything: that is logged, and the run still succeeds.
        """
