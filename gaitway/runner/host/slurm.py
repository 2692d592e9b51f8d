"""This job on a cluster with Slurm."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from gaitway.contracts.cluster import JobId
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Machine
from gaitway.contracts.model import Model
from gaitway.runner.host.host import Image, Nodes
from gaitway.runner.host.machine import read_machine
from gaitway.runner.host.no_notices import NoNotices

logger = logging.getLogger(__name__)

PREFIX = "SLURM_"
_MARGIN_SECONDS = 70.0
"""Slurm may send its signal at the end of the time up to 60 seconds early (man sbatch, --signal)."""
_ANSWER_SECONDS = 10.0
_ENDED = ("JobState=CANCELLED", "JobState=TIMEOUT", "JobState=DEADLINE")


class SlurmVariables(Model):
    """Variables about the job, set by Slurm and by the job's script (`gaitway.compute.slurm`)."""

    # An error must not print the environment: a developer may keep secrets there.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    job_id: Annotated[JobId, Field(alias="GAITWAY_JOB_ID")]
    slurm_job_id: Annotated[str, Field(alias="SLURM_JOB_ID", min_length=1)]
    restarts: Annotated[int, Field(alias="SLURM_RESTART_COUNT", ge=0)] = 0
    """Slurm sets it from the second attempt on."""
    job_attempts: Annotated[int, Field(alias="GAITWAY_JOB_ATTEMPTS", ge=1)] = 1
    timeout_seconds: Annotated[float, Field(alias="GAITWAY_TIMEOUT_SECONDS", gt=0)]
    began_at: Annotated[float, Field(alias="GAITWAY_ATTEMPT_BEGAN_AT", gt=0)]
    """In seconds since the epoch."""
    machine_file: Annotated[Path | None, Field(alias="GAITWAY_MACHINE_FILE")] = None
    num_nodes: Annotated[int, Field(alias="SLURM_JOB_NUM_NODES", ge=1)] = 1
    node_index: Annotated[int, Field(alias="SLURM_NODEID", ge=0)] = 0
    main_address: Annotated[str, Field(alias="GAITWAY_MAIN_ADDRESS", min_length=1)]
    """Of the first node of SLURM_JOB_NODELIST."""
    node_port: Annotated[int, Field(alias="GAITWAY_NODE_PORT", ge=1, le=65_535)]


class SlurmHost:
    """`Host` on a cluster with Slurm.

    Args:
        variables: The variables of the job's environment that describe the job.
    """

    def __init__(self, variables: SlurmVariables) -> None:
        self._variables = variables

    @classmethod
    def of(cls, variables: Mapping[str, str], client: Callable[[str], Any]) -> Self:
        """Read the job's environment; no AWS service knows more of the job.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        del client
        return cls(SlurmVariables.model_validate(dict(variables), strict=False))

    @property
    def job_id(self) -> str:
        """The job's id, the same on all of its nodes."""
        return self._variables.job_id

    @property
    def attempt(self) -> int:
        """Attempt of the job, from 1."""
        return self._variables.restarts + 1

    @property
    def nodes(self) -> Nodes:
        """The nodes of the job."""
        return Nodes(
            count=self._variables.num_nodes,
            index=self._variables.node_index,
            main_index=0,
            main_address=self._variables.main_address,
            port=self._variables.node_port,
        )

    @property
    def may_be_attempted_again(self) -> bool:
        """Whether the job's script asks for another attempt if this one fails on its own."""
        return self.attempt < self._variables.job_attempts

    def is_attempted_again_after_stop(self) -> bool:
        """Return, after a signal to stop, whether another attempt follows.

        No if a user cancelled the job, or its time is over. Slurm says so; in a container without its commands only the
        time is known, and the end of a cancelled job is reported by the cluster's agent.
        """
        if not self.may_be_attempted_again:
            return False
        if time.time() - self._variables.began_at >= self._variables.timeout_seconds - _MARGIN_SECONDS:
            return False
        return not self._is_ended()

    def report_failure(self, failure: Failure) -> None:
        """Slurm shows no causes: the runner's exit code ends the job, as its script says."""

    def image(self) -> Image:
        """Describe the job's container image: Slurm does not say."""
        return Image()

    def machine(self, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
        """Read the node's description of itself."""
        return read_machine(self._variables.machine_file, num_nodes, prices)

    def notices(self, machine: Machine | None) -> NoNotices:
        """Return the watch for a notice: a cluster's node is not taken back with one."""
        del machine
        return NoNotices()

    def _is_ended(self) -> bool:
        if shutil.which("scontrol") is None:
            return False
        command = ["scontrol", "show", "job", self._variables.slurm_job_id, "--oneliner"]
        try:
            job = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            logger.warning("Slurm did not say why the job was asked to stop: %s", error)
            return False
        return any(state in job for state in _ENDED)
