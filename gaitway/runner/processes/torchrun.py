"""Start a simulator in several processes with torchrun, and report the end of the process that failed first."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from gaitway.runner.processes.simulate import SimulatorExit

_OWN_LINE = re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d|^\*{20,}|^Setting OMP_NUM_THREADS")
"""Matches torchrun's own lines among those of the processes."""
_FIRST_ERROR_LINE = re.compile(r"^[EF]\d{4} \d\d:\d\d:\d\d")
_ROOT_CAUSE = "Root Cause (first observed failure):"
_EXIT_CODE = re.compile(r"^\s*exitcode\s*:\s*(?P<code>-?\d+)", re.MULTILINE)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together."""

    num_nodes: int
    node_rank: int
    """Index of this node; 0 leads."""
    processes_per_node: int
    master_address: str
    """Address of the leading node's processes."""
    master_port: int


def free_port() -> int:
    """Find a port that is free at this moment."""
    with socket.socket() as server:
        server.bind(("", 0))
        port: int = server.getsockname()[1]
        return port


def torchrun(group: ProcessGroup, command: Sequence[str]) -> tuple[str, ...]:
    """Return the command line that starts a node's processes.

    A process that fails ends the node's other processes. None is restarted here: the next attempt does that.

    Args:
        group: The processes.
        command: The command line of each process, the Python interpreter first.
    """
    interpreter, *program = command
    return (
        *(interpreter, "-m", "torch.distributed.run"),
        f"--nnodes={group.num_nodes}",
        f"--node_rank={group.node_rank}",
        f"--nproc_per_node={group.processes_per_node}",
        f"--master_addr={group.master_address}",
        f"--master_port={group.master_port}",
        "--max_restarts=0",
        *program,
    )


def unwrap(end: SimulatorExit) -> SimulatorExit:
    """Replace torchrun's exit code and output by those of the first process that failed."""
    text = "\n".join(end.lines)
    match = _EXIT_CODE.search(text.rpartition(_ROOT_CAUSE)[2])
    said = list(takewhile(lambda line: not _FIRST_ERROR_LINE.match(line), end.lines))
    said = [line for line in said if not _OWN_LINE.match(line)]
    return replace(end, code=int(match["code"]), lines=tuple(said)) if match and _ROOT_CAUSE in text else end
