"""The environment of the functions: what their stack sets, and the clients that they share."""

from __future__ import annotations

import os
from typing import Annotated, Self

from botocore.config import Config
from pydantic import ConfigDict, Field

from gaitway.contracts.model import Model

CLIENT_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=10)
"""Whoever waits for a run is told by these calls: a throttled one is worth repeating."""
IMPATIENT_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=2, read_timeout=10
)
"""For calls without which the caller can be told, too."""


class Environment(Model):
    """What every function is given."""

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
