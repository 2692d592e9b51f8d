"""Start the simulator as the run requests: in one process, in several, or on several nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from gaitway.runner.host.host import Host
from gaitway.runner.inputs.prepare import SIMULATION_FILE
from gaitway.runner.processes.leading_node import leading_node
from gaitway.runner.processes.simulate import SimulatorExit, Watch, simulate
from gaitway.runner.processes.torchrun import ProcessGroup, free_port, torchrun, unwrap
from gaitway.runner.stop import StopRequest


class Simulator(Protocol):
    """What an attempt needs to know about a simulator, wherever its processes are."""

    def run(self, directory: Path, watch: Watch, on_line: Callable[[str], None]) -> SimulatorExit:
        """Start it in the run's directory and wait until its processes are gone; see `simulate`."""


def simulator_of(
    command: Sequence[str], processes_per_node: int, host: Host, stop: StopRequest
) -> AbstractContextManager[Simulator]:
    """Choose how to start a simulator.

    Args:
        command: Command line of one process, the Python interpreter first; the name of its file is added.
        processes_per_node: One for each GPU.
        host: Describes the job's nodes.
        stop: Ends the waiting for other nodes.
    """
    full_command = (*command, SIMULATION_FILE)
    if host.nodes.count > 1:
        return leading_node(full_command, processes_per_node, host, stop)
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
