"""The environment variables of the job: all that it is given besides its run's id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from gaitway.contracts.model import Model


class Environment(Model):
    """What the job definition, AWS Batch and ECS set."""

    # An error must not print the environment, in which a developer may keep secrets.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    run_table: Annotated[str, Field(alias="GAITWAY_RUN_TABLE", min_length=1)]
    """Name of the DynamoDB table."""
    efs_root: Annotated[Path, Field(alias="GAITWAY_EFS_ROOT")]
    """Where EFS is mounted."""
    simulator: Annotated[str, Field(alias="GAITWAY_SIMULATOR", pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of a package under container.simulators."""
    job_id: Annotated[str, Field(alias="AWS_BATCH_JOB_ID", min_length=1)]
    attempt: Annotated[int, Field(alias="AWS_BATCH_JOB_ATTEMPT", ge=1)] = 1
    """Attempt of the Batch job, from 1."""
    heartbeat_seconds: Annotated[float, Field(alias="GAITWAY_HEARTBEAT_SECONDS", gt=0)] = 300.0

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        return cls.model_validate(dict(variables), strict=False)
