"""The interface of a workload."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.limits import CLOSING_SECONDS, CallerLimits
from gaitway.contracts.model import S3Uri, Stored
from gaitway.contracts.workload import WorkloadConfig
from gaitway.workloads.checkpoints import Checkpoint
from gaitway.workloads.progress import Lines

C = TypeVar("C", bound=WorkloadConfig)


class Rows(Enum):
    """What a row of metrics.csv is."""

    ITERATIONS = auto()
    """An iteration with its logged scalars, which are drawn as curves."""
    EPISODES = auto()
    """A counted episode; episodes are shown as a distribution."""


@dataclass(frozen=True)
class Standing:
    """How far a run came that is ended before its work is done, and how to continue."""

    done: str
    """`5 of 80 iterations`."""
    next_step: str
    """A sentence."""
    checkpoint: Checkpoint | None = None
    """The checkpoint that must be in S3 for that."""


class Workload(ABC, Generic[C]):
    """One kind of work. `directory` is the run's directory on EFS, `config` the config from the request."""

    config: ClassVar[type[WorkloadConfig]]
    noun: ClassVar[str]
    """`training`."""
    config_file: ClassVar[str]
    """Document among the outputs, with the request."""
    required: ClassVar[tuple[str, ...]] = (METRICS,)
    """Outputs without which a run has not succeeded, besides its results."""
    summary_field: ClassVar[str]
    """Field of `Results` with the figures."""
    rows: ClassVar[Rows]
    limits: ClassVar[CallerLimits]
    """How long a caller waits for it."""
    saves_when_asked: ClassVar[bool] = False
    """Whether its simulator can be asked to save a checkpoint and exit: see `STOP_FILE`."""
    needs_policy: ClassVar[bool] = False
    """Whether it needs a policy, which the request names or construct_run searches for."""

    @property
    def mode(self) -> str:
        """Its name in a request."""
        return str(self.config.model_fields["mode"].default)

    @property
    def job_seconds(self) -> int:
        """How long an attempt of its job may run: its caller still waits for the steps after the job."""
        return self.limits.timeout_seconds - CLOSING_SECONDS

    # Progress

    @abstractmethod
    def total(self, config: C) -> int:
        """Return the total that progress counts up to: iterations, or episodes."""

    @abstractmethod
    def lines(self, config: C) -> Lines:
        """Make the reader that finds progress in the lines of a simulator."""

    def preflight(self, config: C, num_processes: int) -> C | None:
        """Return the pre-flight, which runs in one process; None if it is not worth a second start.

        Args:
            config: The requested work.
            num_processes: Over all nodes.
        """
        del config, num_processes
        return None

    def checkpoints(self, directory: Path, config: C) -> list[Checkpoint]:
        """List the checkpoints to upload to S3 during the work."""
        del directory, config
        return []

    def newest(self, directory: Path, config: C, below: int | None = None) -> Checkpoint | None:
        """Choose the checkpoint to resume from; None if there is none, or if the work cannot be resumed.

        Args:
            directory: The run's directory.
            config: The requested work.
            below: Consider only those of fewer iterations than this.
        """
        del directory, config, below
        return None

    @abstractmethod
    def standing(self, directory: Path, config: C, done: int, output_files: S3Uri) -> Standing:
        """Describe how far a run came.

        Args:
            directory: The run's directory.
            config: The requested work.
            done: The count that the simulator reported last.
            output_files: Prefix of the run's outputs.
        """

    # Verdict

    @abstractmethod
    def is_complete(self, directory: Path, config: C) -> bool:
        """Return whether all requested results exist; the simulator may still run."""

    def is_finished(self, directory: Path, config: C) -> bool:
        """Return whether a simulator has nothing more to do, such as to export a policy after the last iteration."""
        return self.is_complete(directory, config)

    @abstractmethod
    def judge(self, directory: Path, config: C, num_processes: int) -> Stored:
        """Check a simulator's files, and write the outputs that are made from them.

        Args:
            directory: The run's directory.
            config: The requested work.
            num_processes: Over all nodes.

        Returns:
            The figures, for `summary_field` of the results.

        Raises:
            SimulationError: Says what is missing.
        """

    # Outputs

    @abstractmethod
    def outputs(self, directory: Path, config: C) -> Iterator[tuple[str, Path]]:
        """Yield the workload's own outputs that exist: the place below the run's prefix, and the file."""

    def write_metrics(self, directory: Path, config: C) -> bool:
        """Write metrics.csv of a run that failed, if there is data for it; return whether there was.

        A workload whose simulator writes it does nothing here.
        """
        del directory, config
        return False
