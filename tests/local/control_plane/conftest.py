from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.local.control_plane.world import World
from tests.local.emulator import Emulator


class SharedClients(Emulator):
    """An emulator whose clients are made once: that takes longer than most tests."""

    def client(self, service: str) -> Any:
        """Return the boto3 client of the service."""
        return _client(Emulator(self.endpoint_url, self.state_directory), service)


@cache
def _client(emulator: Emulator, service: str) -> Any:
    return emulator.client(service)


@pytest.fixture(scope="module")
def shared_clients(emulator: Emulator) -> SharedClients:
    return SharedClients(emulator.endpoint_url, emulator.state_directory)


@pytest.fixture
def world(shared_clients: SharedClients) -> Iterator[World]:
    """A run of its own for each test."""
    world = World(shared_clients)
    yield world
    world.close()
