"""The port to a cluster's scheduler."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from gaitway.compute.jobs import Job
from gaitway.contracts.cluster import SubmitOrder


class OrderRefusedError(Exception):
    """The scheduler will never accept this job: the message is its reason."""


class SchedulerError(Exception):
    """The scheduler does not answer, or answers with an error: the order is carried out later."""


class Scheduler(Protocol):
    """What the agent does with the scheduler of its cluster.

    A job is found again by its id (`SubmitOrder.job_id`), which the adapter writes where the scheduler keeps it: a
    comment, a label. `Job` has the id and the name that the order has.
    """

    @property
    def backend(self) -> str:
        """The name with which the ids of its jobs begin."""
        ...

    @property
    def service(self) -> str:
        """What it is, as people call it."""
        ...

    def submit(self, order: SubmitOrder) -> None:
        """Submit a job that the scheduler does not have.

        Raises:
            OrderRefusedError: It will never be accepted.
            SchedulerError: It was not accepted now.
        """
        ...

    def find(self, job_id: str) -> Job | None:
        """Find a job, whatever its state; None if the scheduler does not know it, or not any more.

        Raises:
            SchedulerError: There is no answer.
        """
        ...

    def states(self) -> Collection[Job]:
        """Describe all jobs of Gaitway that the scheduler knows, also those that ended.

        Raises:
            SchedulerError: There is no answer.
        """
        ...

    def stop(self, job_id: str, reason: str) -> None:
        """End a job without another attempt; one that has ended, or is not known, is left alone.

        Raises:
            SchedulerError: It was not ended.
        """
        ...
