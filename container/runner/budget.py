"""What a run may cost: it is ended when it has come to that, and a training saves a checkpoint first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from container.runner.upload import PatientUploader
from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.errors import ArtifactError, BudgetExceededError, RequestError
from gaitway.contracts.history import Cost
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import TrainingConfig
from gaitway.outputs.checkpoints import newest

logger = logging.getLogger(__name__)

SAVE_SECONDS = 120.0
"""How long a training that was asked to stop has for its iteration, its checkpoint and its end."""


class SpentError(Exception):
    """The run has come to its limit, and its simulator has to end; what the caller is told is a matter of its end."""


class Budget:
    """The limit of what a run may cost, over all its attempts.

    Args:
        limit_usd: The limit; None where there is none.
        cost: Tells what the run has cost so far.
    """

    def __init__(self, limit_usd: float | None, cost: Callable[[], Cost | None]) -> None:
        self._limit_usd = limit_usd
        self._cost = cost

    def require_price(self) -> None:
        """Refuse a limit that nobody can keep.

        Raises:
            RequestError: There is a limit, and no price is known.
        """
        if self._limit_usd is not None and self._cost() is None:
            raise RequestError(
                f"computeConfig.maxCostUsd is {self._limit_usd:g}, but what this machine costs is not known: leave it "
                "out, or have the setting instancePrices name the price of the instance type"
            )

    @property
    def is_spent(self) -> bool:
        """Whether the run has come to its limit."""
        cost = self._cost()
        return self._limit_usd is not None and cost is not None and cost.usd >= self._limit_usd

    def exceeded(self, standing: str, next_step: str) -> BudgetExceededError:
        """Describe the end of a run that has come to its limit.

        Args:
            standing: How far it came.
            next_step: What to do to go on.
        """
        cost = self._cost()
        spent = "an unknown amount" if cost is None else f"{cost.usd:.2f} USD"
        return BudgetExceededError(
            f"the run has cost {spent}, and may cost {self._limit_usd:g} USD (computeConfig.maxCostUsd): it was ended "
            f"after {standing}. {next_step}"
        )


class BudgetWatch:
    """Looks, all the time while a simulator runs, whether it has to end; a training is asked to, and given time.

    Args:
        budget: The run's.
        stop_file: What asks the training to save a checkpoint and end; None for a simulator that nobody can ask.
    """

    def __init__(self, budget: Budget, stop_file: Path | None) -> None:
        self._budget = budget
        self._stop_file = stop_file
        self._asked_at: float | None = None

    @property
    def has_asked(self) -> bool:
        """Whether the simulator was asked to end."""
        return self._asked_at is not None

    def check(self) -> None:
        """Go on; or ask the simulator to end, and raise once that has taken too long.

        Raises:
            SpentError: It has to be ended.
        """
        if not self._budget.is_spent:
            return
        if self._stop_file is None:
            raise SpentError
        if self._asked_at is None:
            logger.warning("the run has come to what it may cost: the training is asked to save a checkpoint and end")
            self._stop_file.touch()
            self._asked_at = time.monotonic()
        if time.monotonic() - self._asked_at > SAVE_SECONDS:
            logger.warning("the training does not end: ending it")
            raise SpentError


def over_budget(
    budget: Budget, directory: Path, training: TrainingConfig, uploader: PatientUploader, output_files: S3Uri, done: int
) -> BudgetExceededError:
    """Bring the newest checkpoint of a run to S3, and describe its end.

    Args:
        budget: Which it has come to.
        directory: The run's directory.
        training: What was asked for.
        uploader: Brings the checkpoint to S3.
        output_files: Prefix of the run's outputs.
        done: Iterations or episodes that the simulator told of.
    """
    if training.mode == "evaluate":
        return budget.exceeded(
            f"{done} of {training.num_episodes} episodes",
            "Start a new run with fewer episodes (numEpisodes), or with a higher limit",
        )
    checkpoint = newest(directory, training.rl_library)
    if checkpoint is None:
        return budget.exceeded(
            f"{done} of {training.max_iterations} iterations, before its first checkpoint",
            "Start a new run with a smaller checkpointInterval, or with a higher limit",
        )
    name = f"{CHECKPOINTS}{checkpoint.name}"
    try:
        uploader.upload(name, checkpoint.path)
    except (ArtifactError, OSError) as error:
        logger.warning("the newest checkpoint is not in S3 yet: %s", error)
    return budget.exceeded(
        f"{max(done, checkpoint.iterations or 0)} of {training.max_iterations} iterations",
        f"Its newest checkpoint is {output_files / name}, after {checkpoint.iterations} iterations: give it as "
        "resumeCheckpoint of a new run, which has a limit of its own",
    )
