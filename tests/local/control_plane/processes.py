"""A second, tiny back end: jobs are processes of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gaitway.compute.ends import STOPPED
from gaitway.compute.jobs import Described, Job, JobRequest, JobState
from gaitway.contracts.request import ComputeConfig

BACKEND = "processes"
SERVICE = "this machine"


@dataclass
class _Process:
    name: str
    process: subprocess.Popen[bytes]
    created_at: datetime
    ended_at: datetime | None = None
    reason: str = ""


class ProcessJobs:
    """`Jobs` and `Submitter` of this machine.

    Args:
        script: What a job does: a shell's script, which gets the run's id.
    """

    def __init__(self, script: str = "exec sleep 60") -> None:
        self.script = script
        self._processes: dict[str, _Process] = {}

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job."""
        assert node is None
        known = self._processes.get(job_id)
        return self._job(job_id, known) if known else None

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs."""
        return Described({job_id: job for job_id in job_ids if (job := self.get(job_id))})

    def living(self) -> Iterator[Job]:
        """List the jobs that have not ended."""
        jobs = [self._job(job_id, known) for job_id, known in self._processes.items()]
        return (job for job in jobs if not job.has_ended)

    def stop(self, job_id: str, reason: str) -> None:
        """End a job."""
        known = self._processes[job_id]
        if known.process.poll() is None:
            known.reason = reason
            known.process.terminate()
            known.process.wait()

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job by its name."""
        assert compute.num_nodes == 1
        return next((job.id for job in self.living() if job.name == name), None)

    def submit(self, job: JobRequest) -> str:
        """Start a process."""
        assert (job.compute.num_nodes, job.timeout_seconds) == (1, 600)
        process = subprocess.Popen(["sh", "-c", self.script, "job", job.run_id])
        job_id = f"{BACKEND}/{process.pid}"
        self._processes[job_id] = _Process(job.name, process, datetime.now(UTC))
        return job_id

    def wait(self, job_id: str) -> Job:
        """Wait for a job's end."""
        self._processes[job_id].process.wait()
        job = self.get(job_id)
        assert job is not None
        return job

    def kill(self, job_id: str) -> Job:
        """Kill a job, as a machine does that runs out of memory."""
        self._processes[job_id].process.kill()
        return self.wait(job_id)

    def close(self) -> None:
        """End all processes."""
        for job_id in self._processes:
            self.stop(job_id, "the test is over")

    def _job(self, job_id: str, known: _Process) -> Job:
        code = known.process.poll()
        if code is not None and known.ended_at is None:
            known.ended_at = datetime.now(UTC)
        return Job(
            id=job_id,
            name=known.name,
            state=_state(code),
            service=SERVICE,
            end=STOPPED if code is not None and known.reason else None,
            reason=known.reason,
            # As a shell writes it where a signal ended the process.
            exit_code=128 - code if code is not None and code < 0 else code,
            attempts=int(code is not None),
            created_at=known.created_at,
            ended_at=known.ended_at,
        )


def _state(code: int | None) -> JobState:
    if code is None:
        return JobState.RUNNING
    return JobState.SUCCEEDED if code == 0 else JobState.FAILED
