"""The interface to what runs this job: which attempt this is, whether another one follows, and on what it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Machine
from gaitway.runner.stop import StopRequest


@dataclass(frozen=True)
class Nodes:
    """The nodes of a job, as one of them sees them."""

    count: int
    index: int
    """Index of this node."""
    main_index: int
    main_address: str
    """Address at which the others reach the main node."""
    port: int
    """Port on which the main node listens for them."""

    @property
    def is_main(self) -> bool:
        """Whether this node leads: it alone writes, uploads and reports."""
        return self.index == self.main_index


@dataclass(frozen=True)
class Image:
    """The container image of a job; None for what is unknown."""

    name: str | None = None
    """The image, with its digest."""
    pull_began_at: datetime | None = None
    pull_ended_at: datetime | None = None


class Notice(Protocol):
    """A notice that AWS will take the machine back."""

    @property
    def time(self) -> datetime:
        """Approximately when."""
        ...


class Notices(Protocol):
    """Checks, while it is entered, whether the machine is about to be taken back."""

    @property
    def notice(self) -> Notice | None:
        """The notice; None if there is none."""
        ...

    def wait_until_gone(self, stop: StopRequest) -> None:
        """If there is a notice, wait until the machine ends the job, so that no other attempt begins on it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Host(Protocol):
    """What runs this job."""

    @property
    def job_id(self) -> str:
        """The job's id, as in the run's record; the same on all nodes."""
        ...

    @property
    def attempt(self) -> int:
        """Attempt of the job, from 1."""
        ...

    @property
    def nodes(self) -> Nodes:
        """The nodes of the job."""
        ...

    @property
    def may_be_attempted_again(self) -> bool:
        """Whether another attempt follows if this one fails on its own."""
        ...

    def is_attempted_again_after_stop(self) -> bool:
        """Return, after a signal to stop, whether another attempt follows: not if a user ended the job."""
        ...

    def report_failure(self, failure: Failure) -> None:
        """Show why the run failed where the back end shows it; no further attempt shall follow."""
        ...

    def image(self) -> Image:
        """Describe the job's container image."""
        ...

    def machine(self, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
        """Describe the job's machine; None if it is unknown, which is not an error.

        Args:
            num_nodes: Nodes of the run; all their machines are taken to be like this one.
            prices: USD per hour by instance type, from the settings.
        """
        ...

    def notices(self, machine: Machine | None) -> Notices:
        """Return the watch for a notice that AWS takes the machine back."""
        ...
