"""`gaitway local down` ends what runs on every back end, and all that was started beside the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaitway.contracts.backends import Backend
from gaitway.local import slurm
from gaitway.local.guard import MARKER, processes_with
from gaitway.local.server_process import running_server
from tests.local.conformance.workflow import until
from tests.local.every_backend import ENDLESS, World, every_backend

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]

ENDED_SECONDS = 60.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    launcher = every_backend(tmp_path / "state")
    try:
        yield World(launcher)
    finally:
        launcher.down()


def of_directory(directory: Path) -> list[str]:
    """List the processes that name a directory, or are in it."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd()]
        except psutil.Error:
            continue  # it has ended, or is another user's
        if any(str(directory) in word for word in words):
            found.append(" ".join(words))
    return found


def test_nothing_is_left_of_jobs_agents_and_clusters(world: World) -> None:
    backends: tuple[Backend, ...] = ("batch", "sagemaker", "hyperpod-eks")
    runs = [world.start(name, maxIterations=ENDLESS) for name in backends]
    if slurm.why_missing() is None:
        runs.append(world.start("hyperpod-slurm", maxIterations=ENDLESS))
    for run in runs:
        world.trains_beyond(run, 1)
    server = running_server(world.launcher.state_directory)
    assert server is not None
    assert of_directory(world.launcher.state_directory)

    assert world.launcher.down()

    assert processes_with(MARKER, server.emulator_id) == []
    # The shell of a job's script has no mark: it ends when it finds that its step has gone.
    until(lambda: of_directory(world.launcher.state_directory) == [], ENDED_SECONDS)
