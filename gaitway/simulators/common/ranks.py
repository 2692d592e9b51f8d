"""Training in several processes, as torchrun starts them: the rank of each. Without torch, which imports slowly."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaitway.contracts.workload import MAX_SEED

if TYPE_CHECKING:
    import torch

_ORPHAN_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Ranks:
    """This process's ranks among the processes that train together."""

    rank: int = 0
    """Rank over all nodes."""
    local_rank: int = 0
    """Rank on this node."""
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Ranks:
        """Read torchrun's variables; without them there is one process."""
        return cls(*(int(os.environ.get(name, default)) for name, default in _VARIABLES.items()))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    @property
    def is_distributed(self) -> bool:
        """Whether there are other processes."""
        return self.world_size > 1

    def seed(self, seed: int, completed_iterations: int) -> int:
        """Give every process of every attempt its own seed.

        rsl_rl's own train.py adds the local rank, so that two nodes draw the same numbers. Behind the largest seed the
        numbers begin again at 0, with room for the ranks that scripts and libraries add.
        """
        room = 2 * (self.world_size - 1)
        return (seed + completed_iterations * self.world_size) % (MAX_SEED + 1 - room) + self.rank

    def device(self) -> torch.device:
        """Choose the device on which this process computes."""
        import torch

        return torch.device(f"cuda:{self.local_rank}" if torch.cuda.is_available() else "cpu")


_VARIABLES = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:  # noqa: ANN401
    """Replace a function or class that a library calls by its module's name for it."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def only_one_speaks(ranks: Ranks) -> None:
    """Let only the leading process print. By file descriptor: Kit and Warp also print."""
    if not ranks.leads:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, sys.stdout.fileno())
        os.close(silence)


@contextlib.contextmanager
def only_one_writes(ranks: Ranks) -> Iterator[None]:
    """Let only the leading process write into the run's directory: the others work in one that is removed."""
    if ranks.leads:
        yield
        return
    with tempfile.TemporaryDirectory() as nowhere, contextlib.chdir(nowhere):
        yield


def end_with_launcher(launcher: int | None = None) -> None:
    """End this process soon after torchrun, which starts each process in its own session, has been killed.

    A worker that continues would let the other nodes train on with a node that is gone.

    Args:
        launcher: The id of torchrun's process; None for the parent of this process.
    """
    threading.Thread(target=_exit_when_orphaned, args=(launcher,), name="launcher", daemon=True).start()


def _exit_when_orphaned(launcher: int | None) -> None:
    parent = os.getppid()
    while os.getppid() == parent and (launcher is None or _is_there(launcher)):
        time.sleep(_ORPHAN_POLL_SECONDS)
    os._exit(1)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
