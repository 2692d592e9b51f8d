"""The emulator as a real process: bare, and with our stacks in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import Launcher, LocalAws, LocalSession
from gaitway.local.server_process import start_server, stop_server


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    endpoint_url: str
    state_directory: Path

    def client(self, service: str) -> Any:
        """Return a boto3 client of the service."""
        config = Config(retries={"total_max_attempts": 1}, read_timeout=120)
        return LocalSession(self.endpoint_url).client(service, config=config)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator per test process, ended with it."""
    state_directory = tmp_path_factory.mktemp("emulator")
    record = start_server(state_directory)
    try:
        yield Emulator(record.endpoint_url, state_directory)
    finally:
        stop_server(state_directory)


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One emulator per test process with our stacks deployed by the real CDK, ended with it."""
    directory = tmp_path_factory.mktemp("local-aws")
    launcher = Launcher(directory / "state", CdkDeployer(directory / "cdk"))
    try:
        yield launcher.up(lambda line: None)
    finally:
        launcher.down()
