"""This job on AWS Batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field

from gaitway.aws.errors import AWS_ERRORS
from gaitway.compute.batch import BatchJobs
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Machine
from gaitway.contracts.model import Model
from gaitway.contracts.text import Like
from gaitway.runner.host.host import Image, Nodes
from gaitway.runner.host.machine import read_machine
from gaitway.runner.host.spot import SpotNotices
from gaitway.runner.host.task_metadata import read_task

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDetailTypeDef

logger = logging.getLogger(__name__)

ACTIONS = ("batch:DescribeJobs",)
PREFIX = "AWS_BATCH_"
"""Prefix of the variables that Batch sets."""
Address = Annotated[str, Like(r"https?://.*", "an address that begins with http:// or https://")]
DEFAULT_METADATA_SERVICE = "http://169.254.169.254"
_TIMEOUT_MARGIN_SECONDS = 10.0
"""Batch never ends a job too early, but the clocks of the two may differ."""


def _without_node(job_id: object) -> object:
    """For a node of a multi-node job, Batch adds the node's number: `<job id>#<node>`."""
    return job_id.partition("#")[0] if isinstance(job_id, str) else job_id


class BatchVariables(Model):
    """Variables about the job, set by the job definition, AWS Batch and ECS.

    docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    """

    # An error must not print the environment: a developer may keep secrets there.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    job_id: Annotated[str, Field(alias="AWS_BATCH_JOB_ID", min_length=1), BeforeValidator(_without_node)]
    attempt: Annotated[int, Field(alias="AWS_BATCH_JOB_ATTEMPT", ge=1)] = 1
    job_attempts: Annotated[int, Field(alias="GAITWAY_JOB_ATTEMPTS", ge=1)] = 1
    """The most attempts that Batch makes at the job."""
    machine_file: Annotated[Path | None, Field(alias="GAITWAY_MACHINE_FILE")] = None
    """The file in which the instance describes itself."""
    task_metadata: Annotated[Address | None, Field(alias="ECS_CONTAINER_METADATA_URI_V4")] = None
    """Address of the ECS agent's task metadata; None outside ECS."""
    metadata_service: Annotated[Address, Field(alias="AWS_EC2_METADATA_SERVICE_ENDPOINT")] = DEFAULT_METADATA_SERVICE
    """Address of the instance metadata; botocore reads the same variable."""
    num_nodes: Annotated[int, Field(alias="AWS_BATCH_JOB_NUM_NODES", ge=1)] = 1
    node_index: Annotated[int, Field(alias="AWS_BATCH_JOB_NODE_INDEX", ge=0)] = 0
    main_node_index: Annotated[int, Field(alias="AWS_BATCH_JOB_MAIN_NODE_INDEX", ge=0)] = 0
    main_node_address: Annotated[str, Field(alias="AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", min_length=1)] = (
        "127.0.0.1"
    )
    """Batch sets it only on the other nodes."""
    node_port: Annotated[int, Field(alias="GAITWAY_NODE_PORT", ge=1, le=65_535)] = 29_400


class BatchHost:
    """`Host` on AWS Batch.

    Args:
        variables: The variables of the job's environment that describe the job.
        client: Creates a client of a service with short timeouts.
    """

    def __init__(self, variables: BatchVariables, client: Callable[[str], Any]) -> None:
        self._variables = variables
        self._client = client

    @classmethod
    def of(cls, variables: Mapping[str, str], client: Callable[[str], Any]) -> Self:
        """Read the job's environment.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        return cls(BatchVariables.model_validate(dict(variables), strict=False), client)

    @property
    def job_id(self) -> str:
        """The job's id, the same on all of its nodes."""
        return self._variables.job_id

    @property
    def attempt(self) -> int:
        """Attempt of the job, from 1."""
        return self._variables.attempt

    @property
    def nodes(self) -> Nodes:
        """The nodes of the job."""
        return Nodes(
            count=self._variables.num_nodes,
            index=self._variables.node_index,
            main_index=self._variables.main_node_index,
            main_address=self._variables.main_node_address,
            port=self._variables.node_port,
        )

    @property
    def may_be_attempted_again(self) -> bool:
        """Whether Batch retries this attempt if it fails on its own."""
        return self._variables.attempt < self._variables.job_attempts

    def is_attempted_again_after_stop(self) -> bool:
        """Return, after a signal to stop, whether Batch will attempt it again.

        Yes if AWS takes the machine back, as in a Spot interruption. No if a user ended the job, or its time is
        over: docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html. The signal is the same, so this asks Batch.
        Without an answer the job counts as ended, and the caller receives that.
        """
        if not self.may_be_attempted_again:
            return False
        try:
            job = BatchJobs(self._client("batch")).detail(self.job_id)
        except AWS_ERRORS as error:
            logger.warning("AWS Batch did not say why the job was asked to stop: %s", error)
            return False
        return job is not None and not _is_ended(job)

    def report_failure(self, failure: Failure) -> None:
        """Batch shows the exit code, which says it."""

    def image(self) -> Image:
        """Describe the job's container image, from the ECS agent's metadata."""
        task = read_task(self._variables.task_metadata)
        return Image(task.image, task.pull_started_at, task.pull_stopped_at)

    def machine(self, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
        """Read the instance's description of itself."""
        return read_machine(self._variables.machine_file, num_nodes, prices)

    def notices(self, machine: Machine | None) -> SpotNotices:
        """Return the watch for AWS's notice that it takes the instance back."""
        return SpotNotices(machine, self._variables.metadata_service)


def _is_ended(job: JobDetailTypeDef) -> bool:
    if job.get("isTerminated") or job.get("isCancelled"):
        return True
    timeout_seconds = job.get("timeout", {}).get("attemptDurationSeconds")
    started_at_ms = job.get("startedAt")
    if timeout_seconds is None or started_at_ms is None:
        return False
    return time.time() - started_at_ms / 1000 >= timeout_seconds - _TIMEOUT_MARGIN_SECONDS
