"""The runs that checks start: started, followed, and looked at when they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import CheckFailedError
from gaitway.client.files import RunFiles
from gaitway.client.logs import LogNotFoundError, RunLogs
from gaitway.compute.batch import BatchJobs
from gaitway.compute.batch_job import read_job
from gaitway.contracts.artifacts import MANIFEST, RESULTS, Manifest, Results
from gaitway.contracts.request import parse_request

if TYPE_CHECKING:
    from gaitway.acceptance.check import Findings
    from gaitway.acceptance.site import Site
    from gaitway.client.runs import StartedRun
    from gaitway.contracts.errors import Failure
    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.run import RunRecord

_POLL_SECONDS = 0.5
_POLL_SECONDS_EMBEDDED = 0.2
"""Its trainings last seconds, and have to be caught on their way."""
_JOB_ENDS_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a run came out."""

    record: RunRecord | None
    failure: Failure | None
    """What its caller received; None for a success."""


@dataclass(frozen=True)
class Trial:
    """A run that succeeded, and its files."""

    run: StartedRun
    record: RunRecord
    results: Results
    manifest: Manifest

    @property
    def machine(self) -> str:
        """What it ran on."""
        return self.record.machine.instance_type if self.record.machine else "not known"


def training(site: Site, **fields: object) -> dict[str, Any]:
    """Describe a training of the deployment's size for checks."""
    size = site.size
    described: dict[str, object] = {"task": size.task, "maxIterations": size.iterations, "seed": 42}
    if size.num_envs is not None:
        described["numEnvs"] = size.num_envs
    return described | fields


def start(site: Site, request: dict[str, Any], input_file: S3Uri | None = None) -> StartedRun:
    """Start a run, which is cancelled if the user interrupts the checks."""
    run = site.runs.start(parse_request(request), input_file=input_file)
    site.started.append(run)
    return run


def wait(site: Site, run: StartedRun, label: str, enough: Callable[[RunRecord], bool] | None = None) -> Ended | None:
    """Follow a run to its end, or until a condition is met.

    Returns:
        How it ended; None if it is still active.
    """
    with site.progress.following(label) as show:
        while True:
            view = site.runs.caller_view(run)
            record = site.runs.record(run.run_id)
            if record is not None:
                show(record)
            if view.ended:
                return Ended(record, view.failure)
            if enough is not None and record is not None and enough(record):
                return None
            time.sleep(_POLL_SECONDS_EMBEDDED if site.is_embedded else _POLL_SECONDS)


def succeed(site: Site, findings: Findings, run: StartedRun, label: str) -> Trial:
    """Follow a run to its success, and fetch its documents.

    Raises:
        CheckFailedError: It failed.
    """
    ended = wait(site, run, label)
    assert ended is not None
    if ended.failure is not None or ended.record is None:
        raise failed(site, findings, run, ended)
    directory = site.directory / run.run_id
    manifest = RunFiles(site.session).fetch(run.output_files, directory, wanted=lambda name: name == RESULTS)
    results = Results.read((directory / RESULTS).read_bytes())
    findings.note("outputs", f"{len(manifest.files)} files, listed in {MANIFEST}")
    return Trial(run, ended.record, results, manifest)


def failed(site: Site, findings: Findings, run: StartedRun, ended: Ended) -> CheckFailedError:
    """Describe a run that should not have failed, with the end of its log."""
    record, failure = ended.record, ended.failure
    if record is not None:
        findings.quote(f"the end of the log of {run.run_id}", log_lines(site, record))
    if failure is None:
        return CheckFailedError(f"{run.run_id} ended, but the run table has no record of it")
    return CheckFailedError(f"{run.run_id} failed: {failure.error}: {failure.cause}")


def log_lines(site: Site, record: RunRecord, node: int = 0) -> list[str]:
    """Read the log of a run's job; empty if there is none."""
    logs = RunLogs(site.session, site.commands, site.deployment.run_table_name)
    with suppress(LogNotFoundError):
        if (stream := logs.stream(record, node)) is not None:
            return [event.message for event in logs.read(stream)]
    return []


def iterations_of(record: RunRecord) -> int:
    """How far a run is."""
    return record.progress.done if record.progress else 0


def job_of(site: Site, record: RunRecord, node: int | None = None) -> dict[str, Any]:
    """Describe the job of a run, or of one of its nodes.

    docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html

    Raises:
        CheckFailedError: AWS Batch knows no such job.
    """
    job = BatchJobs(site.client("batch")).detail(f"{record.job_id}", node)
    if job is None:
        raise CheckFailedError(f"AWS Batch knows no job {record.job_id}, which {record.run_id} says is its own")
    return dict(job)


def ended_job(site: Site, record: RunRecord) -> dict[str, Any]:
    """Describe the job of a run that has ended, once AWS Batch has ended it, too: it reports before that.

    Raises:
        CheckFailedError: It does not end.
    """
    with site.progress.waiting("Waiting until AWS Batch has ended the job"):
        give_up_at = time.monotonic() + _JOB_ENDS_SECONDS
        while time.monotonic() < give_up_at:
            job = job_of(site, record)
            if read_job(job).has_ended:
                return job
            time.sleep(_POLL_SECONDS)
    raise CheckFailedError(f"job {record.job_id} goes on {_JOB_ENDS_SECONDS:.0f} s after the end of its run")
