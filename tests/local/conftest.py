"""The bare emulator, without our stacks, as a real process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from gaitway.local.runtime import REGION
from gaitway.local.server_process import start_server, stop_server


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    endpoint_url: str
    state_directory: Path

    def client(self, service: str) -> Any:
        """Return a boto3 client of the service."""
        # The stubs know services by literal name only.
        create: Any = boto3.client
        return create(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
        )


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator per test process, ended with it."""
    state_directory = tmp_path_factory.mktemp("emulator")
    record = start_server(state_directory)
    try:
        yield Emulator(record.endpoint_url, state_directory)
    finally:
        stop_server(state_directory)
