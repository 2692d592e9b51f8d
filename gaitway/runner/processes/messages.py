"""The messages between the runners of a multi-node job: a JSON object per line, over one TCP connection per node.

The other nodes connect to the leading one and send their index; it sends them the start message. Then they send
heartbeats, and at the end how their processes ended. If a connection closes, or is silent for too long, its node is
gone.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from gaitway.contracts.model import RECEIVED, Received
from gaitway.runner.processes.simulate import Ending, SimulatorExit

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""A machine that vanishes does not close its connection: it is only silent."""


class Hello(Received):
    """A node has connected."""

    kind: Literal["hello"] = "hello"
    job_id: str
    node_index: int


class Start(Received):
    """All nodes are connected: start."""

    kind: Literal["start"] = "start"
    node_rank: int
    processes_per_node: int
    master_port: int


class Beat(Received):
    """A heartbeat."""

    kind: Literal["beat"] = "beat"


class Ended(Received):
    """The node's processes have ended."""

    kind: Literal["ended"] = "ended"
    code: int
    lines: list[str]

    def as_exit(self) -> SimulatorExit:
        """Return it as the end of a simulator."""
        return SimulatorExit(self.code, Ending.EXITED, tuple(self.lines))


_MESSAGE: TypeAdapter[Hello | Start | Beat | Ended] = TypeAdapter(
    Annotated[Hello | Start | Beat | Ended, Field(discriminator="kind")]
)


def send(connection: socket.socket, message: Received) -> None:
    """Send a message.

    Raises:
        OSError: The other end is gone.
    """
    connection.sendall(message.model_dump_json().encode() + b"\n")


def receive(connection: socket.socket) -> Iterator[Hello | Start | Beat | Ended]:
    """Yield each message that arrives, until the connection is closed, or silent for longer than its timeout.

    Messages of a kind that only a newer image knows are skipped: an image's tag may move while the nodes pull it.

    Raises:
        OSError: The connection is broken or silent.
        ValidationError: What arrives is not one of our messages.
    """
    with connection.makefile("rb") as lines:
        for line in lines:
            try:
                message = _MESSAGE.validate_json(line, context=RECEIVED)
            except ValidationError as error:
                if [finding["type"] for finding in error.errors()] != ["union_tag_invalid"]:
                    raise
                logger.warning("another node sends what this image does not know: %s", error)
            else:
                yield message
