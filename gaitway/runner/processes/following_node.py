"""A following node of a multi-node job: it runs its processes; it writes no results and reports nothing to AWS."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.errors import GaitwayError, InterruptedRunError
from gaitway.contracts.limits import NODES_JOIN_SECONDS
from gaitway.runner.background import Background
from gaitway.runner.host.host import Host
from gaitway.runner.inputs.prepare import SIMULATION_FILE
from gaitway.runner.processes.messages import (
    BEAT_SECONDS,
    Beat,
    Ended,
    Hello,
    Start,
    receive,
    send,
)
from gaitway.runner.processes.simulate import Watch, simulate
from gaitway.runner.processes.torchrun import ProcessGroup, torchrun, unwrap
from gaitway.runner.reporting.gpus import GpuSampler, usage_file
from gaitway.runner.reporting.prometheus import Offer, Place, gpu_readings
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.1
_FAREWELL_SECONDS = 60.0
"""The leading node may still be exporting."""
_CLOSE_SECONDS = 1.0
"""A message that hangs must not stop the node from ending."""


def follow(
    run_id: str, command: Sequence[str], efs_root: Path, host: Host, stop: StopRequest, metrics: Place | None = None
) -> int:
    """Do a following node's part.

    Args:
        run_id: The run.
        command: Command line of one process, the Python interpreter first; the name of its file is added.
        efs_root: Where EFS is mounted.
        host: This node's host.
        stop: Receives a signal's request to end the node.
        metrics: Where the node offers the metrics of its GPUs to Prometheus; None for nowhere.

    Returns:
        Exit code: 0 if its processes succeeded, 1 if they failed, or if the leading node is gone.
    """
    directory, node = run_directory(efs_root, run_id), host.nodes.index
    gpus = GpuSampler(usage_file(directory, node), node)
    try:
        with Offer(metrics, gpu_readings(run_id, node, gpus.latest)), _connect(host, stop) as connection:
            code = _run(connection, (*command, SIMULATION_FILE), directory, host, stop, gpus)
    except (GaitwayError, OSError) as error:
        logger.warning("%s: node %d: %s", run_id, host.nodes.index, error)
        return 1
    return 0 if code == 0 else 1


def _run(
    connection: socket.socket,
    command: Sequence[str],
    directory: Path,
    host: Host,
    stop: StopRequest,
    gpus: GpuSampler,
) -> int:
    """Run the node's processes at the leading node's start message, and report to it how they ended."""
    leader = _Leader(connection, stop)
    try:
        leader.say(Hello(job_id=host.job_id, node_index=host.nodes.index))
        start = leader.wait_for_start()
        group = ProcessGroup(
            num_nodes=host.nodes.count,
            node_rank=start.node_rank,
            processes_per_node=start.processes_per_node,
            master_address=host.nodes.main_address,
            master_port=start.master_port,
        )
        watch = Watch(check=stop.check, makes_progress=lambda: True, is_done=lambda: False)
        log_name = f"simulator-node-{host.nodes.index}.log"
        with gpus:
            end = unwrap(simulate(torchrun(group, command), directory, watch, lambda line: None, log_name))
        leader.say(Ended(code=end.code, lines=list(end.last_lines)))
        leader.wait_for_end(_FAREWELL_SECONDS)
        return end.code
    finally:
        leader.close()


def _connect(host: Host, stop: StopRequest) -> socket.socket:
    """Reach the leading node, which may start later.

    Raises:
        InterruptedRunError: It cannot be reached.
    """
    give_up_at = time.monotonic() + NODES_JOIN_SECONDS
    address = (host.nodes.main_address, host.nodes.port)
    while True:
        try:
            connection = socket.create_connection(address, timeout=BEAT_SECONDS)
        except OSError as error:
            if time.monotonic() >= give_up_at:
                raise InterruptedRunError(f"the leading node does not answer at {address}: {error}") from error
            stop.sleep(_RETRY_SECONDS)
        else:
            # It rarely sends anything. If it ends, the connection closes, or else the job's end also ends this node.
            connection.settimeout(None)
            return connection


class _Leader:
    """The leading node, as this one sees it."""

    def __init__(self, connection: socket.socket, stop: StopRequest) -> None:
        self._start: Start | None = None
        self._connection = connection
        self._stop = stop
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="leader", daemon=True).start()
        self._beats = Background("beats", self._beat, BEAT_SECONDS)
        self._beats.start()

    def wait_for_start(self) -> Start:
        """Wait for its start message, which it sends when every node is connected."""
        while self._start is None:
            self._stop.sleep(_POLL_SECONDS)
        return self._start

    def wait_for_end(self, seconds: float) -> None:
        """Wait until it releases this node."""
        self._closed.wait(seconds)

    def say(self, message: Hello | Beat | Ended) -> None:
        """Send it a message."""
        with self._lock:
            send(self._connection, message)

    def close(self) -> None:
        """Close the connection."""
        self._closed.set()
        self._beats.close(_CLOSE_SECONDS)

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            for message in receive(self._connection):
                if isinstance(message, Start):
                    self._start = message
        self._stop.request(InterruptedRunError("the leading node has ended, or is gone"))
        self._closed.set()

    def _beat(self) -> None:
        try:
            self.say(Beat())
        except OSError:
            # The other thread receives the same error, and ends the run.
            self._beats.end()
