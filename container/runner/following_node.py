"""A node that follows in a multi-node job: it runs its processes, and neither writes results nor reports."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from container.runner.environment import Environment
from container.runner.gpus import GpuSampler, usage_file
from container.runner.node_messages import (
    BEAT_SECONDS,
    JOIN_SECONDS,
    Beat,
    Ended,
    Hello,
    Start,
    receive,
    send,
)
from container.runner.prepare import SIMULATION_FILE
from container.runner.simulate import Watch, simulate
from container.runner.stop import StopRequest
from container.runner.torchrun import ProcessGroup, torchrun, unwrap
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.errors import GaitwayError, InterruptedRunError

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.1
_FAREWELL_SECONDS = 60.0
"""The leading node may still be exporting."""


def follow(run_id: str, command: Sequence[str], environment: Environment, stop: StopRequest) -> int:
    """Do a node's part.

    Args:
        run_id: The run.
        command: Command line of one process, the Python interpreter first; the name of its file is added.
        environment: This node's.
        stop: How a signal asks the node to end.

    Returns:
        Exit code: 0 when its processes ended well, 1 when they did not, or the leading node is gone.
    """
    directory = run_directory(environment.efs_root, run_id)
    try:
        with _connect(environment, stop) as connection:
            code = _run(connection, (*command, SIMULATION_FILE), directory, environment, stop)
    except (GaitwayError, OSError) as error:
        logger.warning("%s: node %d: %s", run_id, environment.node_index, error)
        return 1
    return 0 if code == 0 else 1


def _run(
    connection: socket.socket, command: Sequence[str], directory: Path, environment: Environment, stop: StopRequest
) -> int:
    """Run the node's processes when the leading node says so, and tell it how they ended."""
    leader = _Leader(connection, stop)
    try:
        leader.say(Hello(job_id=environment.job_id, node_index=environment.node_index))
        start = leader.wait_for_start()
        group = ProcessGroup(
            num_nodes=environment.num_nodes,
            node_rank=start.node_rank,
            processes_per_node=start.processes_per_node,
            master_address=environment.main_node_address,
            master_port=start.master_port,
        )
        watch = Watch(check=stop.check, makes_progress=lambda: True, is_done=lambda: False)
        log_name = f"simulator-node-{environment.node_index}.log"
        with GpuSampler(usage_file(directory, environment.node_index), environment.node_index):
            end = unwrap(simulate(torchrun(group, command), directory, watch, lambda line: None, log_name))
        leader.say(Ended(code=end.code, lines=list(end.last_lines)))
        leader.wait_for_end(_FAREWELL_SECONDS)
        return end.code
    finally:
        leader.close()


def _connect(environment: Environment, stop: StopRequest) -> socket.socket:
    """Reach the leading node, which may start later.

    Raises:
        InterruptedRunError: It is not there.
    """
    give_up_at = time.monotonic() + JOIN_SECONDS
    address = (environment.main_node_address, environment.node_port)
    while True:
        try:
            connection = socket.create_connection(address, timeout=BEAT_SECONDS)
        except OSError as error:
            if time.monotonic() >= give_up_at:
                raise InterruptedRunError(f"the leading node does not answer at {address}: {error}") from error
            stop.sleep(_RETRY_SECONDS)
        else:
            # It says little. That it is gone shows as a closed connection; or else Batch ends this node, too.
            connection.settimeout(None)
            return connection


class _Leader:
    """The leading node, as this one knows it."""

    def __init__(self, connection: socket.socket, stop: StopRequest) -> None:
        self._start: Start | None = None
        self._connection = connection
        self._stop = stop
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="leader", daemon=True).start()
        threading.Thread(target=self._beat, name="beats", daemon=True).start()

    def wait_for_start(self) -> Start:
        """Wait for its word, which it gives when every node is there."""
        while self._start is None:
            self._stop.sleep(_POLL_SECONDS)
        return self._start

    def wait_for_end(self, seconds: float) -> None:
        """Wait until it lets go."""
        self._closed.wait(seconds)

    def say(self, message: Hello | Beat | Ended) -> None:
        """Tell it something."""
        with self._lock:
            send(self._connection, message)

    def close(self) -> None:
        """Say no more."""
        self._closed.set()

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            for message in receive(self._connection):
                if isinstance(message, Start):
                    self._start = message
        self._stop.request(InterruptedRunError("the leading node has ended, or is gone"))
        self._closed.set()

    def _beat(self) -> None:
        with suppress(OSError):
            while not self._closed.wait(BEAT_SECONDS):
                self.say(Beat())
