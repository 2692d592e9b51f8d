"""The exception tree. Each class says whether trying the same run again can help.

GaitwayError
├── RequestError              the request itself is wrong
│   ├── InputNotFoundError    something the request points at cannot be read
│   ├── CustomEnvironmentError  the package with the custom environment does not work
│   └── CamerasNeededError    the task has cameras, and they were not enabled
├── RunRefusedError           the run failed before for a reason that no retry can fix
├── CancelledError            somebody stopped the run
├── BudgetExceededError       the run reached the limit of its cost
├── SimulationError           the simulator ended without the requested results
│   ├── StalledError          the simulator makes no progress any more
│   └── NotANumberError       the training diverged
├── StorageError              a disk or file system is full, or does not answer
├── PlatformError             no simulator can run on this machine, or in this image
├── ArtifactError             results are missing, or differ from what was uploaded
└── InterruptedRunError       the job ended without a report, or was asked to stop
"""

from __future__ import annotations

from typing import ClassVar, Self

from gaitway.contracts.model import Stored

MAX_ERROR_CHARACTERS = 256
"""Limit of an error name: docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html."""

MAX_CAUSE_BYTES = 32_768
"""Limit of a cause, same page. That counts characters; bytes in UTF-8 keep a state's data within their limit, too."""


class GaitwayError(Exception):
    """Base of every error that a caller receives by name."""

    retryable: ClassVar[bool] = False
    """Whether the same run, tried again, can succeed."""


class RequestError(GaitwayError):
    """The request is wrong: the message names field, value and what is allowed."""


class InputNotFoundError(RequestError):
    """An object that the request points at does not exist, or cannot be read."""


class CustomEnvironmentError(RequestError):
    """The package with the custom environment is refused, cannot be installed or imported, or fails in its own code."""


class CamerasNeededError(RequestError):
    """The task has cameras, but the simulator was started without them, as the request says."""


class RunRefusedError(GaitwayError):
    """The same run failed before, for a reason that no retry can fix."""


class CancelledError(GaitwayError):
    """Somebody stopped the run."""


class BudgetExceededError(GaitwayError):
    """The run reached the limit of its cost, and was ended after its newest checkpoint was saved."""


class SimulationError(GaitwayError):
    """The simulator ended without the requested results."""

    retryable = True


class StalledError(SimulationError):
    """The simulator makes no progress any more."""


class NotANumberError(SimulationError):
    """The training diverged: losses or weights are NaN or infinite, and would be again."""

    retryable = False


class StorageError(GaitwayError):
    """A disk or file system refuses a write or a read of the run: it is full, over a limit, or does not answer."""

    retryable = True


class PlatformError(GaitwayError):
    """The machine or the image cannot run the simulator, until the operator of the deployment fixes it."""


class ArtifactError(GaitwayError):
    """Results are missing, or what is in S3 differs from what was uploaded."""

    retryable = True


class InterruptedRunError(GaitwayError):
    """The job ended without a report, or was asked to stop: the run can resume from its newest checkpoint."""

    retryable = True


class Failure(Stored):
    """Why a run failed, as its record keeps it and its caller receives it."""

    error: str
    """Name of the error, for a machine to match on: `RequestError`, `SimulationError`, `States.HeartbeatTimeout`."""
    cause: str
    """What happened, why, and what to do next, for a person to read."""
    retryable: bool
    """Whether trying the same run again can help."""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe an exception; one that is not ours counts as retryable, because its reason is not known."""
        return cls(
            error=type(error).__name__[:MAX_ERROR_CHARACTERS],
            cause=_fitting(str(error) or type(error).__name__),
            retryable=error.retryable if isinstance(error, GaitwayError) else True,
        )

    @classmethod
    def reported(cls, error: str, cause: str) -> Self:
        """Describe an error that has only a name and a cause, as Step Functions passes it to a Catch.

        Args:
            error: Name of one of the classes above, or any other error name (`States.Timeout`).
            cause: Its cause.
        """
        known = _subclasses(GaitwayError).get(error)
        return cls(
            error=(error or "Unknown")[:MAX_ERROR_CHARACTERS],
            cause=_fitting(cause),
            retryable=known.retryable if known else True,
        )


def is_ours(error: str) -> bool:
    """Return whether an error is one of the classes above, whose messages say what to do next."""
    return error in _subclasses(GaitwayError)


def _fitting(cause: str) -> str:
    """Shorten a cause to its end, which has the last lines of the output."""
    return cause.encode(errors="replace")[-MAX_CAUSE_BYTES:].decode(errors="ignore")


def _subclasses(root: type[GaitwayError]) -> dict[str, type[GaitwayError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _subclasses(child)
    return found
