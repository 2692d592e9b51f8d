"""What the end of a Batch job means to whoever waits for its run."""

from __future__ import annotations

import re
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
    from lambdas.batch_job import Job

_KILLED = 137
"""128 + SIGKILL."""
_AGAIN = "Start the run again: it goes on from its newest checkpoint"


@dataclass(frozen=True)
class End:
    """An end that has been seen before."""

    pattern: re.Pattern[str]
    """Searched for in what Batch says."""
    error: type[GaitwayError]
    """Says whether the same run, tried again, can succeed."""
    explanation: str
    """What it means, and what to do next."""


def _end(pattern: str, error: type[GaitwayError], explanation: str) -> End:
    return End(re.compile(pattern, re.IGNORECASE), error, explanation)


BY_BATCH = (
    _end(
        r"Job attempt duration exceeded timeout",
        InterruptedRunError,
        f"the job ran for as long as its caller allows, and was ended. {_AGAIN}; or ask for fewer iterations, episodes "
        "or environments",
    ),
    _end(
        r"MISCONFIGURATION:\s*SERVICE_ROLE",
        PlatformError,
        "AWS Batch may not start the instances that the job needs: mend its service role, then ask for a new run",
    ),
    _end(
        r"MISCONFIGURATION:",
        PlatformError,
        "no instance that the deployment may start has room for the job. Deploy with larger instanceTypes, a higher "
        "maxVcpus or a smaller jobMemoryMib, then ask for a new run",
    ),
    _end(
        r"CAPACITY:",
        InterruptedRunError,
        "AWS has no instance free of those that the deployment may start. Start the run again later, or deploy with "
        "more instanceTypes",
    ),
)
"""Ends that Batch itself brings about: they are told from a user's by their words, since both cancel the job."""

BY_ITSELF = (
    _end(
        r"CannotPull\w*Error.*(time(d )?.?out|deadline exceeded|temporar|toomanyrequests|too many requests|throttl"
        r"|connection (reset|refused)|TLS handshake|unexpected EOF|no such host|5\d\d )",
        InterruptedRunError,
        "the machine could not reach the registry of the job's image. Start the run again; if it comes again, check "
        "the network's route to the registry",
    ),
    _end(
        r"CannotPull\w*Error.*no space left",
        PlatformError,
        "the disk of the machine is too small for the job's image: deploy with more storage, then ask for a new run",
    ),
    _end(
        r"CannotPull\w*Error|CannotInspectContainerError.*image",
        PlatformError,
        "the job's image cannot be pulled. Push it to the registry, or set containerImageUri to one that exists and "
        "that the instances may read, then ask for a new run",
    ),
    _end(
        r"DockerTimeoutError|DockerStateError|AgentError|TaskCommunicationError",
        InterruptedRunError,
        f"the machine's container runtime failed. {_AGAIN}",
    ),
    _end(
        r"ResourceInitializationError|CannotCreateVolumeError|CannotMount",
        InterruptedRunError,
        "the machine could not prepare the job's container, most often since EFS or the registry was not reached. "
        "Start the run again; if it comes again, check the mount targets and the security groups",
    ),
    _end(
        r"Cannot(Start|Create)Container\w*Error",
        PlatformError,
        "the job's container cannot start from its image: mend the image or the job definition, then ask for a new run",
    ),
    _end(
        r"Host EC2 .*terminated",
        InterruptedRunError,
        f"the machine was taken away in the job's last attempt. {_AGAIN}",
    ),
    _end(
        r"OutOfMemoryError|OOM[- ]?kill",
        SimulationError,
        "the container used more memory than it may. Ask for fewer environments (numEnvs), or deploy with more "
        "jobMemoryMib; started again, the run goes on from its newest checkpoint",
    ),
)


def explain(job: Job) -> GaitwayError:
    """Say why a job that nobody has told of ended, with Batch's own reason.

    Args:
        job: A job that has ended.

    Returns:
        An error whose class says whether the same run, tried again, can succeed.
    """
    said = _said(job)
    for end in BY_BATCH:
        if end.pattern.search(said):
            return _error(job, end.error, end.explanation, said)
    if job.is_terminated or job.is_cancelled:
        reason = job.status_reason or "no reason was given"
        verb = "terminated" if job.is_terminated else "cancelled"
        return CancelledError(
            f"job {job.job_id} was {verb} in AWS Batch, which said: {reason!r}. What it had trained is kept; ask for a "
            "new run where this was not meant"
        )
    for end in BY_ITSELF:
        if end.pattern.search(said):
            return _error(job, end.error, end.explanation, said)
    if job.status == "SUCCEEDED":
        return InterruptedRunError(
            f"job {job.job_id} ended without telling what became of the run: nobody seemed to wait for it. {_AGAIN}"
        )
    exit_code = job.exit_code
    if exit_code == _KILLED:
        explanation = (
            "the runner was killed (exit code 137): most often the machine ran out of memory, or the job did not end "
            f"in time when it was told to. {_AGAIN}, with fewer environments (numEnvs) or more jobMemoryMib if it "
            "comes again"
        )
    elif exit_code is not None:
        explanation = (
            f"the runner ended with exit code {exit_code} and without a word. Look at the job's log, then start the "
            "run again: it goes on from its newest checkpoint"
        )
    else:
        explanation = f"the job failed before its container ran. Look at the job in AWS Batch. {_AGAIN}"
    return _error(job, InterruptedRunError, explanation, said)


def vanished(job_id: str) -> GaitwayError:
    """Say what happened to a job that Batch does not know any more."""
    return InterruptedRunError(
        f"AWS Batch does not know job {job_id} any more, and it told nobody how it ended. {_AGAIN}"
    )


def _error(job: Job, error: type[GaitwayError], explanation: str, said: str) -> GaitwayError:
    attempts = f", after {len(job.attempts)} attempts" if len(job.attempts) > 1 else ""
    words = f" AWS Batch said: {said}" if said else ""
    return error(f"{explanation}. (job {job.job_id}{attempts}.{words})")


def _said(job: Job) -> str:
    """Gather Batch's own words about the last attempt, each sentence once."""
    last = job.attempts[-1] if job.attempts else None
    words = (
        job.status_reason,
        last.status_reason if last else None,
        job.container.reason if job.container else None,
        last.container.reason if last else None,
    )
    return "; ".join(dict.fromkeys(word for word in words if word))
