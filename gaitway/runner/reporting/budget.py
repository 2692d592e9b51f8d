"""A run's cost limit: the run is ended when it has reached it, and a training saves a checkpoint first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import ArtifactError, BudgetExceededError, RequestError
from gaitway.contracts.history import Cost
from gaitway.contracts.model import S3Uri
from gaitway.contracts.workload import WorkloadConfig
from gaitway.runner.results.upload import PatientUploader
from gaitway.workloads import workload_of

logger = logging.getLogger(__name__)

SAVE_SECONDS = 120.0
"""How long a training that was requested to stop may take to finish its iteration, save its checkpoint and end."""


class SpentError(Exception):
    """The run has reached its limit, and its simulator must end. The error for the caller is made at the run's end."""


class Budget:
    """The limit of what a run may cost, over all its attempts.

    Args:
        limit_usd: The limit; None if there is none.
        cost: Returns what the run has cost so far.
    """

    def __init__(self, limit_usd: float | None, cost: Callable[[], Cost | None]) -> None:
        self._limit_usd = limit_usd
        self._cost = cost

    def require_price(self) -> None:
        """Refuse a limit that cannot be enforced.

        Raises:
            RequestError: There is a limit, but no price is known.
        """
        if self._limit_usd is not None and self._cost() is None:
            raise RequestError(
                f"computeConfig.maxCostUsd is {self._limit_usd:g}, but what this machine costs is not known: leave it "
                "out, or have the setting instancePrices name the price of the instance type"
            )

    @property
    def is_spent(self) -> bool:
        """Whether the run has reached its limit."""
        cost = self._cost()
        return self._limit_usd is not None and cost is not None and cost.usd >= self._limit_usd

    def exceeded(self, standing: str, next_step: str) -> BudgetExceededError:
        """Describe the end of a run that has reached its limit.

        Args:
            standing: How far the run came.
            next_step: How to continue the run.
        """
        cost = self._cost()
        spent = "an unknown amount" if cost is None else f"{cost.usd:.2f} USD"
        return BudgetExceededError(
            f"the run has cost {spent}, and may cost {self._limit_usd:g} USD (computeConfig.maxCostUsd): it was ended "
            f"after {standing}. {next_step}"
        )


class BudgetWatch:
    """Checks repeatedly, while a simulator runs, whether it must end. A training is requested to end, and gets time.

    Args:
        budget: The run's budget.
        stop_file: The file that requests the training to save a checkpoint and end; None if the simulator cannot.
    """

    def __init__(self, budget: Budget, stop_file: Path | None) -> None:
        self._budget = budget
        self._stop_file = stop_file
        self._asked_at: float | None = None

    @property
    def has_asked(self) -> bool:
        """Whether the simulator was requested to end."""
        return self._asked_at is not None

    def check(self) -> None:
        """Return if money is left. Else request the simulator to end, and raise when that takes too long.

        Raises:
            SpentError: The simulator must be ended.
        """
        if not self._budget.is_spent:
            return
        if self._stop_file is None:
            raise SpentError
        if self._asked_at is None:
            logger.warning("the run has come to what it may cost: the training is asked to save a checkpoint and end")
            self._asked_at = time.monotonic()
            try:
                self._stop_file.touch()
            except OSError as error:
                logger.warning("the training cannot be asked, and is ended soon: %s", error)
        if time.monotonic() - self._asked_at > SAVE_SECONDS:
            logger.warning("the training does not end: ending it")
            raise SpentError


def over_budget(
    budget: Budget, directory: Path, training: WorkloadConfig, uploader: PatientUploader, output_files: S3Uri, done: int
) -> BudgetExceededError:
    """Upload the newest checkpoint of a run to S3, and describe the run's end.

    Args:
        budget: The budget, which is used up.
        directory: The run's directory.
        training: The requested training.
        uploader: Uploads the checkpoint to S3.
        output_files: Prefix of the run's outputs.
        done: Iterations or episodes that the simulator reported.
    """
    standing = workload_of(training).standing(directory, training, done, output_files)
    if standing.checkpoint is not None:
        try:
            uploader.upload(f"{CHECKPOINTS}{standing.checkpoint.name}", standing.checkpoint.path)
        except (ArtifactError, OSError) as error:
            logger.warning("the newest checkpoint is not in S3 yet: %s", error)
    return budget.exceeded(standing.done, standing.next_step)
