"""The environment variables of the job: all that it is given besides its run's id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field, Json

from gaitway.contracts.model import Model

_CREDENTIALS = re.compile(r"AWS_(?!BATCH_)|ECS_")
"""Beginnings of the variables that hold AWS credentials or say where there are some, and that describe the task."""


def without_credentials(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that may run code of others."""
    return {name: value for name, value in variables.items() if not _CREDENTIALS.match(name)}


def _without_node(job_id: object) -> object:
    """Of a node of a multi-node job, Batch names the node, too: `<job id>#<node>`."""
    return job_id.partition("#")[0] if isinstance(job_id, str) else job_id


class Environment(Model):
    """What the job definition, AWS Batch and ECS set.

    docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    """

    # An error must not print the environment, in which a developer may keep secrets.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    run_table: Annotated[str, Field(alias="GAITWAY_RUN_TABLE", min_length=1)]
    """Name of the DynamoDB table."""
    run_access_role: Annotated[str | None, Field(alias="GAITWAY_RUN_ACCESS_ROLE", min_length=1)] = None
    """ARN of the role whose sessions do what a run needs; None where the job's own credentials do it."""
    efs_root: Annotated[Path, Field(alias="GAITWAY_EFS_ROOT")]
    """Where EFS is mounted."""
    simulator: Annotated[str, Field(alias="GAITWAY_SIMULATOR", pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of a package under container.simulators."""
    heartbeat_seconds: Annotated[float, Field(alias="GAITWAY_HEARTBEAT_SECONDS", gt=0)] = 300.0
    exit_allowance_seconds: Annotated[float, Field(alias="GAITWAY_EXIT_ALLOWANCE_SECONDS", gt=0)] = 60.0
    """For how long a simulator may stay after its work is done: Isaac Sim sometimes does not exit."""
    job_id: Annotated[str, Field(alias="AWS_BATCH_JOB_ID", min_length=1), BeforeValidator(_without_node)]
    attempt: Annotated[int, Field(alias="AWS_BATCH_JOB_ATTEMPT", ge=1)] = 1
    """Attempt of the Batch job, from 1."""
    job_attempts: Annotated[int, Field(alias="GAITWAY_JOB_ATTEMPTS", ge=1)] = 1
    """How often Batch attempts the job at most."""
    machine_file: Annotated[Path | None, Field(alias="GAITWAY_MACHINE_FILE")] = None
    """Where the instance has written down what it is."""
    instance_prices: Annotated[
        Json[dict[str, Annotated[float, Field(ge=0)]]], Field(alias="GAITWAY_INSTANCE_PRICES")
    ] = Field(default_factory=dict)
    """USD per hour by instance type, as far as a deployer has set them."""
    task_metadata: Annotated[str | None, Field(alias="ECS_CONTAINER_METADATA_URI_V4", pattern=r"^https?://")] = None
    """Where the ECS agent tells of the job's task; None outside ECS."""
    num_nodes: Annotated[int, Field(alias="AWS_BATCH_JOB_NUM_NODES", ge=1)] = 1
    node_index: Annotated[int, Field(alias="AWS_BATCH_JOB_NODE_INDEX", ge=0)] = 0
    main_node_index: Annotated[int, Field(alias="AWS_BATCH_JOB_MAIN_NODE_INDEX", ge=0)] = 0
    main_node_address: Annotated[str, Field(alias="AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", min_length=1)] = (
        "127.0.0.1"
    )
    """Batch sets it on the other nodes only."""
    node_port: Annotated[int, Field(alias="GAITWAY_NODE_PORT", ge=1, le=65_535)] = 29_400
    """Where the main node listens for the others."""

    @property
    def is_main_node(self) -> bool:
        """Whether this node leads: it alone writes, uploads and reports."""
        return self.node_index == self.main_node_index

    @property
    def is_last_attempt(self) -> bool:
        """Whether Batch will not attempt the job again, however this attempt ends."""
        return self.attempt >= self.job_attempts

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        return cls.model_validate(dict(variables), strict=False)
