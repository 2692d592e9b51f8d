"""The node that leads a multi-node job: it gathers the others, starts everybody, and waits for nobody that is gone."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from container.runner.environment import Environment
from container.runner.node_messages import JOIN_SECONDS, SILENCE_SECONDS, Beat, Ended, Hello, Start, receive, send
from container.runner.simulate import Ending, SimulatorExit, Watch, simulate
from container.runner.stop import StopRequest
from container.runner.torchrun import ProcessGroup, free_port, torchrun, unwrap
from gaitway.contracts.errors import InterruptedRunError, SimulationError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LAST_WORDS_SECONDS = 5.0
"""When one node's processes end, those of the others end soon after; of failures, together they tell the cause."""


@dataclass
class _Follower:
    """Another node, as the leading one knows it."""

    connection: socket.socket
    is_gone: bool = False
    end: SimulatorExit | None = None
    failed_at: float | None = None


class LeadingNode:
    """The connections to the other nodes.

    Args:
        command: Command line of one process.
        processes_per_node: One for each GPU.
        environment: This node's.
    """

    def __init__(self, command: Sequence[str], processes_per_node: int, environment: Environment) -> None:
        self._command = command
        self._processes_per_node = processes_per_node
        self._environment = environment
        self._followers: dict[int, _Follower] = {}
        self._server = socket.create_server(("", environment.node_port))
        threading.Thread(target=self._accept, name="nodes", daemon=True).start()

    def wait_for_all(self, stop: StopRequest) -> None:
        """Wait until every other node is there.

        Raises:
            InterruptedRunError: One does not come.
        """
        give_up_at = time.monotonic() + JOIN_SECONDS
        expected = set(range(self._environment.num_nodes)) - {self._environment.node_index}
        logger.info("waiting for %d other nodes", len(expected))
        while missing := expected - self._followers.keys():
            if time.monotonic() >= give_up_at:
                raise InterruptedRunError(
                    f"nodes {sorted(missing)} did not arrive within {JOIN_SECONDS / 60:.0f} minutes: look at their logs"
                )
            stop.sleep(_POLL_SECONDS)

    def run(self, directory: Path, watch: Watch, on_line: Callable[[str], None]) -> SimulatorExit:
        """Start all nodes' processes, and wait for this node's."""
        port = free_port()
        for rank, (index, follower) in enumerate(sorted(self._followers.items()), start=1):
            start = Start(node_rank=rank, processes_per_node=self._processes_per_node, master_port=port)
            try:
                send(follower.connection, start)
            except OSError as error:
                raise _gone(index) from error
        group = ProcessGroup(self._environment.num_nodes, 0, self._processes_per_node, "127.0.0.1", port)

        def check() -> None:
            watch.check()
            self._check()

        end = simulate(torchrun(group, self._command), directory, replace(watch, check=check), on_line)
        if end.ending is Ending.EXITED:
            self._wait_for_last_words()
        end = unwrap(end)
        return end if end.code == 0 else replace(end, lines=(*self._last_words(), *end.lines))

    def close(self) -> None:
        """Let go of the others, who then end what still runs."""
        for connection in [self._server, *(follower.connection for follower in self._followers.values())]:
            # Another thread may be reading: only a shutdown wakes it.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _check(self) -> None:
        for index, follower in self._followers.items():
            if follower.end is None and follower.is_gone:
                raise _gone(index)
            if follower.failed_at is not None and time.monotonic() - follower.failed_at > _LAST_WORDS_SECONDS:
                assert follower.end is not None
                last = "\n".join(follower.end.last_lines)
                raise SimulationError(
                    f"the processes of node {index} ended with exit code {follower.end.code}. The last lines of their "
                    f"output:\n{last}"
                )

    def _wait_for_last_words(self) -> None:
        """Give the others, as far as they are there, the time to say how their processes ended."""
        give_up_at = time.monotonic() + _LAST_WORDS_SECONDS
        while any(not one.is_gone and one.end is None for one in self._followers.values()):
            if time.monotonic() >= give_up_at:
                return
            time.sleep(_POLL_SECONDS)

    def _last_words(self) -> list[str]:
        """Tell what the other nodes' processes said before they failed."""
        return [
            f"[node {index}] {line}"
            for index, follower in sorted(self._followers.items())
            if follower.end is not None and follower.end.code != 0
            for line in follower.end.last_lines
        ]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.settimeout(SILENCE_SECONDS)
            threading.Thread(target=self._listen, args=(connection,), name="node", daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        follower = _Follower(connection)
        try:
            for message in receive(connection):
                match message:
                    case Hello():
                        if not self._is_ours(message):
                            connection.close()
                            return
                        logger.info("node %d is there", message.node_index)
                        self._followers[message.node_index] = follower
                    case Ended():
                        follower.end = message.as_exit()
                        follower.failed_at = time.monotonic() if message.code != 0 else None
                    case Beat() | Start():
                        pass
        except (OSError, ValueError, ValidationError) as error:
            logger.warning("the connection to a node is broken: %s", error)
        finally:
            follower.is_gone = True

    def _is_ours(self, hello: Hello) -> bool:
        ours = self._environment
        return hello.job_id == ours.job_id and hello.node_index < ours.num_nodes


@contextmanager
def leading_node(
    command: Sequence[str], processes_per_node: int, environment: Environment, stop: StopRequest
) -> Iterator[LeadingNode]:
    """Gather the other nodes, and let go of them at the end.

    Raises:
        InterruptedRunError: One does not come.
    """
    node = LeadingNode(command, processes_per_node, environment)
    try:
        node.wait_for_all(stop)
        yield node
    finally:
        node.close()


def _gone(index: int) -> InterruptedRunError:
    return InterruptedRunError(f"node {index} is gone: its machine was lost, or its job ended")
