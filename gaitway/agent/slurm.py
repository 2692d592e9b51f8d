"""Slurm, by its commands."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from gaitway.agent.scheduler import OrderRefusedError, SchedulerError
from gaitway.compute.jobs import Job
from gaitway.compute.slurm import (
    BACKEND,
    SERVICE,
    check_partition,
    log_directory,
    numbers_of,
    read_completed,
    read_jobs,
    sbatch_script,
)
from gaitway.contracts.cluster import AgentConfig, SubmitOrder, key_of
from gaitway.contracts.errors import RequestError

_SECONDS = 60.0
"""For one command: a controller that is restarting lets them wait."""
_TRANSIENT = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Zero Bytes were transmitted",
    "Munge encode failed",
)
"""What the commands say where the controller does not answer: another try may succeed."""


class Slurm:
    """`Scheduler` of a Slurm cluster.

    Args:
        config: The agent's.
    """

    backend = BACKEND
    service = SERVICE

    def __init__(self, config: AgentConfig) -> None:
        self._config = config

    def submit(self, order: SubmitOrder) -> None:
        """Submit a job: see `Scheduler.submit`."""
        try:
            script = sbatch_script(order, self._config)
            check_partition(order, _command(["scontrol", "show", "partitions", "--oneliner"]))
        except RequestError as error:
            raise OrderRefusedError(str(error)) from error
        Path(log_directory(order, self._config)).mkdir(parents=True, exist_ok=True)
        try:
            _command(["sbatch", "--parsable"], script)
        except SchedulerError as error:
            if any(words in str(error) for words in _TRANSIENT):
                raise
            raise OrderRefusedError(str(error)) from error

    def find(self, job_id: str) -> Job | None:
        """Find a job: see `Scheduler.find`. The controller forgets jobs that ended MinJobAge ago; sacct does not."""
        present = next((job for job in self.states() if job.id == job_id), None)
        if present is not None:
            return present
        command = ["sacct", "--parsable2", "--noheader", "--allocations", f"--name={key_of(job_id)}"]
        for options in (["--format=JobName,State,ExitCode"], ["--completion", "--format=JobName,State"]):
            try:
                completed = list(read_completed(self.backend, _command([*command, *options])))
            except SchedulerError:
                continue  # the cluster keeps no such records
            # With --completion, the records in a file are not filtered by the name.
            found = [job for job in completed if job.id == job_id]
            if found:
                return found[-1]
        return None

    def states(self) -> list[Job]:
        """Describe all jobs: see `Scheduler.states`."""
        return list(read_jobs(self.backend, _present()))

    def stop(self, job_id: str, reason: str) -> None:
        """End a job: see `Scheduler.stop`. The runner gets SIGTERM, and is killed after Slurm's KillWait."""
        del reason
        for number in numbers_of(_present(), job_id):
            _command(["scancel", number])


def _present() -> str:
    return _command(["scontrol", "show", "jobs", "--oneliner"])


def _command(command: Sequence[str], text: str | None = None) -> str:
    """Run one of Slurm's commands.

    Raises:
        SchedulerError: It fails, with what it has said.
    """
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SchedulerError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise SchedulerError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
