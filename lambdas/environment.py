"""The environment of the functions: the variables that their stack sets, and the shared clients."""

from __future__ import annotations

import os
from typing import Annotated, Self

from botocore.config import Config
from pydantic import ConfigDict, Field, Json

from gaitway.compute.sizes import FURTHER_BACKENDS, BackendSizes, JobSizes
from gaitway.contracts.backends import DEFAULT_BACKEND, Backend
from gaitway.contracts.model import Model

CLIENT_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=10)
"""These calls report to waiting callers: if throttled, they are worth repeating."""
IMPATIENT_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=2, read_timeout=10
)
"""For calls that are not needed to answer the caller."""


class Environment(Model):
    """The environment variables of every function."""

    # An error must not print the environment, which holds credentials.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    run_table: Annotated[str, Field(alias="GAITWAY_RUN_TABLE", min_length=1)]
    """Name of the DynamoDB table."""

    @classmethod
    def read(cls) -> Self:
        """Read the variables.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        return cls.model_validate(dict(os.environ))


class BackendsEnvironment(Environment):
    """The variables of a function that knows the back ends."""

    further_sizes: Annotated[Json[dict[Backend, JobSizes]], Field(alias=FURTHER_BACKENDS)] = Field(default_factory=dict)
    """Back ends beside AWS Batch, with the sizes of their jobs."""

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The back ends of the deployment."""
        return (DEFAULT_BACKEND, *self.further_sizes)


class SizedEnvironment(BackendsEnvironment):
    """The variables of a function that knows the sizes of jobs."""

    job_sizes: Annotated[Json[JobSizes], Field(alias="GAITWAY_JOB_SIZES")]

    @property
    def sizes(self) -> BackendSizes:
        """The sizes of jobs on each back end."""
        return {DEFAULT_BACKEND: self.job_sizes, **self.further_sizes}


class PublishingEnvironment(Environment):
    """The variables of a function that publishes metrics."""

    metrics_namespace: Annotated[str, Field(alias="GAITWAY_METRICS_NAMESPACE", min_length=1)]
    """Namespace of the deployment's metrics."""
