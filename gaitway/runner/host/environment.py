"""The environment variables of the job: its only input besides its run's id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, Json

from gaitway.contracts.limits import EXIT_ALLOWANCE_SECONDS, HEARTBEAT_SECONDS
from gaitway.contracts.model import Model
from gaitway.contracts.text import Like
from gaitway.runner.host.hosts import PREFIXES

_CREDENTIALS = ("AWS_", "ECS_")
"""Prefixes of the variables that hold AWS credentials, point to some, or describe the task."""
_PLACE = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")
_TORCHRUN = "PET_"
"""What the Training Operator tells the runner of its pod's place among others, and torch would take for a process's: a
simulator that is alone in its pod for a moment would wait for the other pods. torchrun sets its own.
github.com/kubeflow/training-operator/blob/v1.9.3/pkg/controller.v1/pytorch/envvar.go"""


def without_credentials(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that may run a user's code: its own place is not the pod's, either."""
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(PREFIXES) or not (name.startswith((*_CREDENTIALS, _TORCHRUN)) or name in _PLACE)
    }


class Environment(Model):
    """The variables that every job gets, wherever it runs."""

    # An error must not print the environment: a developer may keep secrets there.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    run_table: Annotated[str, Field(alias="GAITWAY_RUN_TABLE", min_length=1)]
    """Name of the DynamoDB table."""
    metrics_namespace: Annotated[str, Field(alias="GAITWAY_METRICS_NAMESPACE", min_length=1)]
    """Namespace of the deployment's metrics in CloudWatch."""
    run_access_role: Annotated[str | None, Field(alias="GAITWAY_RUN_ACCESS_ROLE", min_length=1)] = None
    """ARN of the role for the run's session; None if the job's own credentials are used."""
    efs_root: Annotated[Path, Field(alias="GAITWAY_EFS_ROOT")]
    """Where EFS is mounted."""
    simulator: Annotated[
        str, Field(alias="GAITWAY_SIMULATOR"), Like(r"[a-z][a-z0-9_]*", "a name of lower-case letters, digits and _")
    ]
    """Name of a package under gaitway.simulators: the image's own."""
    metrics_port: Annotated[int | None, Field(alias="GAITWAY_METRICS_PORT", ge=1, le=65_535)] = None
    """Port at which Prometheus finds the job's metrics; None where there is no Prometheus, as outside of clusters."""
    metrics_address: Annotated[str, Field(alias="GAITWAY_METRICS_ADDRESS")] = ""
    """Address of the network interface that has this port; empty for all."""
    heartbeat_seconds: Annotated[float, Field(alias="GAITWAY_HEARTBEAT_SECONDS", gt=0)] = HEARTBEAT_SECONDS
    exit_allowance_seconds: Annotated[float, Field(alias="GAITWAY_EXIT_ALLOWANCE_SECONDS", gt=0)] = (
        EXIT_ALLOWANCE_SECONDS
    )
    """How long a simulator may keep running after its work is done: Isaac Sim sometimes does not exit."""
    instance_prices: Annotated[
        Json[dict[str, Annotated[float, Field(ge=0)]]], Field(alias="GAITWAY_INSTANCE_PRICES")
    ] = Field(default_factory=dict)
    """USD per hour by instance type, for those that the deployer has set."""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        return cls.model_validate(dict(variables), strict=False)
