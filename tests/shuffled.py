"""Another order of tests, and other random ids, for each seed: what depends on either fails with some seed.

`make shuffle` chooses a seed and prints it; `GAITWAY_TEST_SEED=7 pytest tests/unit` repeats it.
"""

from __future__ import annotations

import os
import random
import uuid
from collections import defaultdict
from pathlib import Path

import pytest

SEED_VARIABLE = "GAITWAY_TEST_SEED"


def seed() -> str | None:
    """Return the seed; None where tests run as they are written."""
    return os.environ.get(SEED_VARIABLE) or None


def shuffle(items: list[pytest.Item], chosen: str) -> None:
    """Shuffle the files, and the tests in each: a file stays together, whose fixtures are dear."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    # The same in each process of xdist, whatever order files are found in.
    order = sorted(files)
    chance = random.Random(chosen)  # noqa: S311 - no secret
    chance.shuffle(order)
    for path in order:
        chance.shuffle(files[path])
    items[:] = [item for path in order for item in files[path]]


def draw_ids(chosen: str, worker: str) -> None:
    """Draw this process's random ids from the seed, so that what depends on their order fails again with the same."""
    chance = random.Random(f"{chosen} {worker}")  # noqa: S311 - no secret

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=chance.getrandbits(128), version=4)

    uuid.uuid4 = uuid4
