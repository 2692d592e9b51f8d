"""What the runners of a multi-node job tell each other: a JSON object per line, over one TCP connection per node.

The other nodes connect to the leading one and say who they are; it tells them when to start. From then on they beat,
and say at last how their processes ended. A connection that closes, or is silent for too long, is a node that is gone.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from container.runner.simulate import Ending, SimulatorExit
from gaitway.contracts.model import Model

BEAT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""A machine that vanished closes no connection: it is only silent."""
JOIN_SECONDS = 900.0
"""The nodes start together, but each pulls its image by itself."""


class Hello(Model):
    """A node is there."""

    kind: Literal["hello"] = "hello"
    job_id: str
    node_index: int


class Start(Model):
    """Everybody is there."""

    kind: Literal["start"] = "start"
    node_rank: int
    processes_per_node: int
    master_port: int


class Beat(Model):
    """Still there."""

    kind: Literal["beat"] = "beat"


class Ended(Model):
    """The node's processes are gone."""

    kind: Literal["ended"] = "ended"
    code: int
    lines: list[str]

    def as_exit(self) -> SimulatorExit:
        """Read it as the end of a simulator."""
        return SimulatorExit(self.code, Ending.EXITED, tuple(self.lines))


_MESSAGE: TypeAdapter[Hello | Start | Beat | Ended] = TypeAdapter(
    Annotated[Hello | Start | Beat | Ended, Field(discriminator="kind")]
)


def send(connection: socket.socket, message: Model) -> None:
    """Send a message.

    Raises:
        OSError: Nobody is at the other end any more.
    """
    connection.sendall(message.model_dump_json().encode() + b"\n")


def receive(connection: socket.socket) -> Iterator[Hello | Start | Beat | Ended]:
    """Give each message that arrives, until the connection is closed, or silent for longer than its timeout.

    Raises:
        OSError: The connection is broken or silent.
        ValidationError: What arrives is no message of ours.
    """
    with connection.makefile("rb") as lines:
        for line in lines:
            yield _MESSAGE.validate_json(line)
