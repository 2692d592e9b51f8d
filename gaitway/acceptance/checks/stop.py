"""A job that is ended by hand: its caller receives that soon, and what it trained is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.links import execution_link, job_link
from gaitway.acceptance.trials import failed, iterations_of, start, training, wait
from gaitway.compute.backends import jobs_of
from gaitway.contracts.artifacts import CHECKPOINTS, RESULTS
from gaitway.contracts.errors import CancelledError, InterruptedRunError
from gaitway.formatting import short_duration

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site
    from gaitway.client.runs import StartedRun
    from gaitway.contracts.errors import Failure

_SECONDS = 90.0
"""Batch gives a container 30 seconds between SIGTERM and SIGKILL, and takes a while to pass the request on:
docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html.
"""
_SETTLE_SECONDS = 60.0
"""How long files may still be uploaded to S3 after its caller has received the end."""
_REASON = "gaitway acceptance: a stop"


def judge_stop(
    failure: Failure | None, seconds: float, files: list[str], allowed_seconds: float = _SECONDS
) -> str | None:
    """Return what is wrong with the end of a run whose job was terminated; None if nothing is.

    Args:
        failure: The failure that its caller received.
        seconds: Time after the stop.
        files: The run's files in S3.
        allowed_seconds: How long the back end may take.
    """
    expected = (InterruptedRunError.__name__, CancelledError.__name__)
    if failure is None:
        return "its caller received a success, though its job was terminated"
    if failure.error not in expected:
        return f"its caller received {failure.error} and not {' or '.join(expected)}: {failure.cause}"
    if seconds > allowed_seconds:
        return f"its caller received that after {seconds:.0f} s, and {allowed_seconds:.0f} s are allowed"
    if not any(name.startswith(CHECKPOINTS) for name in files):
        return "no checkpoint of it is in S3: what it trained is lost"
    if RESULTS not in files:
        return f"{RESULTS} is not in S3"
    return None


def _run(site: Site, findings: Findings) -> None:
    size = site.size
    fields = training(site, maxIterations=size.stopped_iterations, checkpointInterval=size.checkpoint_interval)
    end_on_its_way(site, findings, {"trainingConfig": fields})


def end_on_its_way(
    site: Site, findings: Findings, request: dict[str, Any], allowed_seconds: float = _SECONDS
) -> StartedRun:
    """Start a training, end its job once there is a checkpoint, and look at what its caller receives.

    Args:
        site: The deployment.
        findings: What was seen.
        request: The training.
        allowed_seconds: How long the back end may take to end the job.

    Returns:
        The run that has ended.

    Raises:
        CheckFailedError: It had ended before, or not as it should.
    """
    size = site.size
    run = start(site, request)
    findings.note("run", run.run_id, execution_link(site, run.execution_arn))
    ended = wait(site, run, "stop", lambda record: iterations_of(record) > size.checkpoint_interval)
    if ended is not None:
        raise failed(site, findings, run, ended)
    record = site.runs.record(run.run_id)
    assert record is not None
    findings.note("job", record.job_id, job_link(site, f"{record.job_id}"))
    findings.note("stopped after", f"{iterations_of(record)} iterations")
    began = time.monotonic()
    jobs_of(site.client, variables=site.job_variables).stop(f"{record.job_id}", _REASON)
    ended = wait(site, run, "after the stop")
    seconds = time.monotonic() - began
    assert ended is not None
    if ended.failure is not None:
        findings.note("its caller received", f"{ended.failure.error} after {short_duration(seconds)}")
        findings.note("cause", ended.failure.cause)
    files = _files(site, str(run.output_files))
    findings.note("kept in S3", ", ".join(name for name in files if name.startswith(CHECKPOINTS)) or "no checkpoint")
    if problem := judge_stop(ended.failure, seconds, files, allowed_seconds):
        raise CheckFailedError(f"{run.run_id}: {problem}")
    return run


def _files(site: Site, prefix: str) -> list[str]:
    """List a run's files in S3, once the salvage has finished."""
    bucket, _, key = prefix.removeprefix("s3://").partition("/")
    pages = site.client("s3").get_paginator("list_objects_v2")
    give_up_at = time.monotonic() + _SETTLE_SECONDS
    with site.progress.waiting("Waiting for the files of the run that was stopped"):
        while True:
            found = [
                entry["Key"] for page in pages.paginate(Bucket=bucket, Prefix=key) for entry in page.get("Contents", [])
            ]
            files = [name.removeprefix(key) for name in found]
            if RESULTS in files or time.monotonic() > give_up_at:
                return files
            time.sleep(1)


CHECK = Check(
    name="stop",
    title="Reports the end to its caller when its job is stopped",
    effort=Effort(minutes=6, machine_minutes=6),
    leaves="a run's files",
    run=_run,
    seconds_here=12,
)
