"""Start a simulator in several processes with torchrun, and read its end as that of the process which failed first."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from container.runner.simulate import SimulatorExit

_OWN_LINE = re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d|^\*{20,}|^Setting OMP_NUM_THREADS")
"""torchrun's own lines, among those of the processes."""
_FIRST_ERROR_LINE = re.compile(r"^[EF]\d{4} \d\d:\d\d:\d\d")
_ROOT_CAUSE = "Root Cause (first observed failure):"
_EXIT_CODE = re.compile(r"^\s*exitcode\s*:\s*(?P<code>-?\d+)", re.MULTILINE)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together."""

    num_nodes: int
    node_rank: int
    """0 leads."""
    processes_per_node: int
    master_address: str
    """Where the processes of the leading node are reached."""
    master_port: int


def free_port() -> int:
    """Find a port that nobody listens on at this moment."""
    with socket.socket() as server:
        server.bind(("", 0))
        port: int = server.getsockname()[1]
        return port


def torchrun(group: ProcessGroup, command: Sequence[str]) -> tuple[str, ...]:
    """Write the command line that starts a node's processes.

    A process that fails ends those beside it, and nothing is started again: the next attempt does that.

    Args:
        group: The processes.
        command: What each of them runs, the Python interpreter first.
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
    """Put the first failed process's exit code, and its words alone, in the place of torchrun's."""
    text = "\n".join(end.lines)
    match = _EXIT_CODE.search(text.rpartition(_ROOT_CAUSE)[2])
    said = list(takewhile(lambda line: not _FIRST_ERROR_LINE.match(line), end.lines))
    said = [line for line in said if not _OWN_LINE.match(line)]
    return replace(end, code=int(match["code"]), lines=tuple(said)) if match and _ROOT_CAUSE in text else end
