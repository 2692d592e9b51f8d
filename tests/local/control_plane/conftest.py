from collections.abc import Iterator

import pytest

from tests.local.conftest import Emulator
from tests.local.control_plane.world import World


@pytest.fixture
def world(emulator: Emulator) -> Iterator[World]:
    """A run of its own for each test."""
    world = World(emulator)
    yield world
    world.close()
