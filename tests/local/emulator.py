"""The emulator as tests see it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore.config import Config

from gaitway.local.launcher import LocalSession


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    endpoint_url: str
    state_directory: Path

    def client(self, service: str) -> Any:
        """Return a new boto3 client of the service."""
        config = Config(retries={"total_max_attempts": 1}, read_timeout=120)
        return _session(self.endpoint_url).client(service, config=config)


@cache
def _session(endpoint_url: str) -> LocalSession:
    """Give the session whose clients share what they read about the services: that takes longer than most tests."""
    return LocalSession(endpoint_url)
