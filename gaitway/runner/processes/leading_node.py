"""The leading node of a multi-node job: it waits for the other nodes, starts them all, and notices when one is gone."""

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

from gaitway.contracts.errors import InterruptedRunError, SimulationError
from gaitway.contracts.limits import NODES_JOIN_SECONDS
from gaitway.runner.host.host import Host
from gaitway.runner.processes.messages import SILENCE_SECONDS, Beat, Ended, Hello, Start, receive, send
from gaitway.runner.processes.simulate import Ending, SimulatorExit, Watch, simulate
from gaitway.runner.processes.torchrun import ProcessGroup, free_port, torchrun, unwrap
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LAST_WORDS_SECONDS = 5.0
"""When one node's processes end, those of the others end soon after. All their errors together show the cause."""


@dataclass
class _Follower:
    """Another node, as the leading one sees it."""

    connection: socket.socket
    is_gone: bool = False
    end: SimulatorExit | None = None
    failed_at: float | None = None


class LeadingNode:
    """The connections to the other nodes.

    Args:
        command: Command line of one process.
        processes_per_node: One for each GPU.
        host: This node's host.
    """

    def __init__(self, command: Sequence[str], processes_per_node: int, host: Host) -> None:
        self._command = command
        self._processes_per_node = processes_per_node
        self._host = host
        self._followers: dict[int, _Follower] = {}
        self._server = socket.create_server(("", host.nodes.port))
        threading.Thread(target=self._accept, name="nodes", daemon=True).start()

    def wait_for_all(self, stop: StopRequest) -> None:
        """Wait until every other node is connected.

        Raises:
            InterruptedRunError: One does not connect.
        """
        give_up_at = time.monotonic() + NODES_JOIN_SECONDS
        expected = set(range(self._host.nodes.count)) - {self._host.nodes.index}
        logger.info("waiting for %d other nodes", len(expected))
        while missing := expected - self._followers.keys():
            if time.monotonic() >= give_up_at:
                raise InterruptedRunError(
                    f"nodes {sorted(missing)} did not arrive within {NODES_JOIN_SECONDS // 60} minutes: look at their "
                    "logs"
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
        group = ProcessGroup(self._host.nodes.count, 0, self._processes_per_node, "127.0.0.1", port)

        def check() -> None:
            watch.check()
            self._check()

        end = simulate(torchrun(group, self._command), directory, replace(watch, check=check), on_line)
        if end.ending is Ending.EXITED:
            self._wait_for_last_words()
        end = unwrap(end)
        return end if end.code == 0 else replace(end, lines=(*self._last_words(), *end.lines))

    def close(self) -> None:
        """Close the connections to the others, which then end what still runs."""
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
        """Give the other nodes that are still connected time to report how their processes ended."""
        give_up_at = time.monotonic() + _LAST_WORDS_SECONDS
        while any(not one.is_gone and one.end is None for one in self._followers.values()):
            if time.monotonic() >= give_up_at:
                return
            time.sleep(_POLL_SECONDS)

    def _last_words(self) -> list[str]:
        """Return the last output of the other nodes' failed processes."""
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
        return hello.job_id == self._host.job_id and hello.node_index < self._host.nodes.count


@contextmanager
def leading_node(
    command: Sequence[str], processes_per_node: int, host: Host, stop: StopRequest
) -> Iterator[LeadingNode]:
    """Connect to the other nodes, and close the connections at the end.

    Raises:
        InterruptedRunError: One does not connect.
    """
    node = LeadingNode(command, processes_per_node, host)
    try:
        node.wait_for_all(stop)
        yield node
    finally:
        node.close()


def _gone(index: int) -> InterruptedRunError:
    return InterruptedRunError(f"node {index} is gone: its machine was lost, or its job ended")
