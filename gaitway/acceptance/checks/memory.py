"""A job with the configured memory starts on the smallest instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings, NotShownError
from gaitway.acceptance.checks.training import FIRST
from gaitway.acceptance.links import job_link
from gaitway.acceptance.trials import job_of
from gaitway.instances.types import INSTANCE_SIZES

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_MEMORY_GIB = 32
"""Of the smallest instances. ECS registers less than that, and a job that requests more than what is registered never
starts: docs.aws.amazon.com/batch/latest/userguide/memory-management.html.
"""


def judge_memory(job: dict[str, Any], instance_type: str) -> str | None:
    """Return what is wrong with the memory of a job that has run; None if nothing is.

    Args:
        job: As AWS Batch describes it.
        instance_type: The type of its instance.

    Raises:
        NotShownError: It ran on a larger instance.
    """
    asked = memory_mib(job)
    size = INSTANCE_SIZES.get(instance_type)
    if asked is None:
        return "its job requests no memory"
    if size is None:
        raise NotShownError(f"the run does not say which instance it had ({instance_type})")
    if size.memory_gib != _MEMORY_GIB:
        raise NotShownError(
            f"the run had a {instance_type} with {size.memory_gib} GiB, which shows nothing of instances with "
            f"{_MEMORY_GIB} GiB: leave only those in instanceTypes, and repeat"
        )
    if asked > size.memory_gib * 1024:
        return f"its job requests {asked} MiB, and a {instance_type} has {size.memory_gib * 1024}"
    return None


def memory_mib(job: dict[str, Any]) -> int | None:
    """Read how much memory a job requests."""
    needs = job.get("container", {}).get("resourceRequirements", [])
    return next((int(need["value"]) for need in needs if need["type"] == "MEMORY"), None)


def _run(site: Site, findings: Findings) -> None:
    trial = site.trial(FIRST)
    job = job_of(site, trial.record)
    findings.note("job", job["jobId"], job_link(site, job["jobId"]))
    findings.note("asks for", f"{memory_mib(job)} MiB")
    findings.note("ran on", trial.machine)
    if problem := judge_memory(job, trial.machine):
        raise CheckFailedError(problem)


CHECK = Check(
    name="memory",
    title="A job with 28 GiB fits an instance with 32 GiB",
    effort=Effort(minutes=0.1),
    leaves="nothing",
    run=_run,
    needs=(FIRST,),
    not_here="jobs are processes of this machine, whose memory is not divided",
)
