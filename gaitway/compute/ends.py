"""What the end of a job means for its run.

An adapter recognises an end by its service's messages; the policy, whether a retry can help and what to do next, is
here and the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitway.contracts.errors import (
    CancelledError,
    GaitwayError,
    InterruptedRunError,
    PlatformError,
    SimulationError,
)

if TYPE_CHECKING:
    from gaitway.compute.jobs import Job

_KILLED = 137
"""128 + SIGKILL."""
_AGAIN = "Start the run again: it resumes from its newest checkpoint"


@dataclass(frozen=True)
class End:
    """Why a job ended."""

    error: type[GaitwayError]
    """Says whether the same run, tried again, can succeed."""
    explanation: str
    """What it means, and what to do next."""


STOPPED = End(
    CancelledError,
    "the job was stopped from outside. What it had trained is kept; start a new run if this was not intended",
)
TIME_IS_OVER = End(
    InterruptedRunError,
    f"the job ran for as long as its caller allows, and was ended. {_AGAIN}; or request fewer iterations, episodes "
    "or environments",
)
NO_PERMISSION = End(
    PlatformError,
    "the compute service may not start the instances that the job needs: fix its service role, then start a new run",
)
NO_ROOM = End(
    PlatformError,
    "no instance that the deployment may start has room for the job. Deploy with larger instanceTypes, a higher "
    "maxVcpus or a smaller jobMemoryMib, then start a new run",
)
NO_CAPACITY = End(
    InterruptedRunError,
    "AWS has no free instance of the types that the deployment may start. Start the run again later, or deploy with "
    "more instanceTypes (on SageMaker, sagemakerInstanceTypes)",
)
NO_QUOTA = End(
    PlatformError,
    "the account's quota for training jobs on this type of instance does not allow the job: `gaitway doctor` says "
    "which to raise. Or deploy with another of sagemakerInstanceTypes or fewer sagemakerMaxInstances, then start a new "
    "run",
)
REGISTRY_UNREACHABLE = End(
    InterruptedRunError,
    "the machine could not reach the registry of the job's image. Start the run again; if it happens again, check "
    "the network's route to the registry",
)
DISK_TOO_SMALL = End(
    PlatformError,
    "the disk of the machine is too small for the job's image: deploy with more storage, then start a new run",
)
NO_IMAGE = End(
    PlatformError,
    "the job's image cannot be pulled. Push it to the registry, or set containerImageUri to one that exists and "
    "that the instances may read, then start a new run",
)
RUNTIME_FAILED = End(InterruptedRunError, f"the machine's container runtime failed. {_AGAIN}")
NOT_PREPARED = End(
    InterruptedRunError,
    "the machine could not prepare the job's container, most often since EFS or the registry was not reached. "
    "Start the run again; if it comes again, check the mount targets and the security groups",
)
CANNOT_START = End(
    PlatformError,
    "the job's container cannot start from its image: fix the image or the job definition, then start a new run",
)
MACHINE_LOST = End(InterruptedRunError, f"the machine was taken away in the job's last attempt. {_AGAIN}")
JOB_LOST = End(
    InterruptedRunError,
    f"the scheduler of the cluster does not know the job any more, and how it ended was not seen. {_AGAIN}",
)
REFUSED = End(
    PlatformError,
    "the scheduler of the cluster refuses the job. Fix what it names (a partition, a queue, the size of the nodes), "
    "then start a new run",
)
TOO_MANY_RESTARTS = End(
    InterruptedRunError,
    "every attempt of the job ended without reporting a cause, and no further one is made. Look at the job's log, then "
    "start the run again: it resumes from its newest checkpoint",
)
OUT_OF_MEMORY = End(
    SimulationError,
    "the container used more memory than it may. Request fewer environments (numEnvs), or deploy with more "
    "jobMemoryMib; started again, the run resumes from its newest checkpoint",
)

KNOWN: Mapping[str, End] = {
    "stopped": STOPPED,
    "time-is-over": TIME_IS_OVER,
    "no-permission": NO_PERMISSION,
    "no-room": NO_ROOM,
    "no-capacity": NO_CAPACITY,
    "no-quota": NO_QUOTA,
    "registry-unreachable": REGISTRY_UNREACHABLE,
    "disk-too-small": DISK_TOO_SMALL,
    "no-image": NO_IMAGE,
    "runtime-failed": RUNTIME_FAILED,
    "not-prepared": NOT_PREPARED,
    "cannot-start": CANNOT_START,
    "machine-lost": MACHINE_LOST,
    "out-of-memory": OUT_OF_MEMORY,
    "job-lost": JOB_LOST,
    "refused": REFUSED,
    "too-many-restarts": TOO_MANY_RESTARTS,
}
"""By the name under which one part of Gaitway passes an end to another. A name that is new counts as unknown."""


def name_of(end: End | None) -> str | None:
    """Return the name of an end; None for one that is not known."""
    return next((name for name, known in KNOWN.items() if known is end), None)


def explain(job: Job) -> GaitwayError:
    """Return why a job ended that has not reported it, with the service's own reason.

    Args:
        job: A job that has ended.

    Returns:
        An error whose class says whether the same run, tried again, can succeed.
    """
    if job.end is not None:
        return _error(job, job.end)
    if job.succeeded:
        return InterruptedRunError(
            f"job {job.id} ended without reporting an outcome: it found no caller that waits for the run. {_AGAIN}"
        )
    if job.exit_code == _KILLED:
        explanation = (
            "the runner was killed (exit code 137): most often the machine ran out of memory, or the job did not end "
            f"in time when it was asked to. {_AGAIN}, with fewer environments (numEnvs) or more jobMemoryMib if it "
            "comes again"
        )
    elif job.exit_code is not None:
        explanation = (
            f"the runner ended with exit code {job.exit_code} and reported no cause. Look at the job's log, then start "
            "the run again: it resumes from its newest checkpoint"
        )
    else:
        explanation = f"the job failed before its container ran. Look at the job in {job.service}. {_AGAIN}"
    return _error(job, End(InterruptedRunError, explanation))


def vanished(job_id: str) -> GaitwayError:
    """Return the error for a job that its service does not know any more."""
    return InterruptedRunError(
        f"the compute service does not know job {job_id} any more, and how it ended was not reported. {_AGAIN}"
    )


def _error(job: Job, end: End) -> GaitwayError:
    attempts = f", after {job.attempts} attempts" if job.attempts > 1 else ""
    words = f" {job.service} said: {job.reason}" if job.reason else ""
    return end.error(f"{end.explanation}. (job {job.id}{attempts}.{words})")
