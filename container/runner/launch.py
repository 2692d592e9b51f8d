"""Start the simulator as the run asks for it: in one process, in several, or on several nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from container.runner.environment import Environment
from container.runner.leading_node import leading_node
from container.runner.prepare import SIMULATION_FILE
from container.runner.simulate import SimulatorExit, Watch, simulate
from container.runner.stop import StopRequest
from container.runner.torchrun import ProcessGroup, free_port, torchrun, unwrap


class Simulator(Protocol):
    """What an attempt needs to know of a simulator, wherever its processes are."""

    def run(self, directory: Path, watch: Watch, on_line: Callable[[str], None]) -> SimulatorExit:
        """Start it in the run's directory and wait until its processes are gone; see `simulate`."""


def simulator_of(
    command: Sequence[str], processes_per_node: int, environment: Environment, stop: StopRequest
) -> AbstractContextManager[Simulator]:
    """Choose how to start a simulator.

    Args:
        command: Command line of one process, the Python interpreter first; the name of its file is added.
        processes_per_node: One for each GPU.
        environment: Says how many nodes there are.
        stop: Ends the waiting for other nodes.
    """
    full_command = (*command, SIMULATION_FILE)
    if environment.num_nodes > 1:
        return leading_node(full_command, processes_per_node, environment, stop)
    return _local(full_command, processes_per_node)


class _Local:
    """On this node alone."""

    def __init__(self, command: Sequence[str], num_processes: int) -> None:
        self._command = command
        self._num_processes = num_processes

    def run(self, directory: Path, watch: Watch, on_line: Callable[[str], None]) -> SimulatorExit:
        """Run it."""
        if self._num_processes == 1:
            return simulate(self._command, directory, watch, on_line)
        group = ProcessGroup(1, 0, self._num_processes, "127.0.0.1", free_port())
        return unwrap(simulate(torchrun(group, self._command), directory, watch, on_line))


@contextmanager
def _local(command: Sequence[str], num_processes: int) -> Iterator[Simulator]:
    yield _Local(command, num_processes)
