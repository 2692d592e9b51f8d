"""Training in several processes, as torchrun starts them: who is who. Free of torch, which is slow to import."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_ORPHAN_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    """Over all nodes."""
    local_rank: int = 0
    """On this node."""
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Ranks:
        """Read what torchrun says; without it there is one process."""
        return cls(*(int(os.environ.get(name, default)) for name, default in _VARIABLES.items()))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def is_distributed(self) -> bool:
        """Whether there are others."""
        return self.world_size > 1

    def seed(self, seed: int, completed_iterations: int) -> int:
        """Give every process of every attempt a seed of its own.

        rsl_rl's own train.py adds the local rank, so that two nodes draw the same numbers.
        """
        return seed + completed_iterations * self.world_size + self.rank

    def device(self) -> torch.device:
        """Choose where this process computes."""
        import torch

        return torch.device(f"cuda:{self.local_rank}" if torch.cuda.is_available() else "cpu")


_VARIABLES = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:  # noqa: ANN401
    """Put something else in the place of a function or class that a library calls by its module's name for it."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def end_with_launcher(launcher: int | None = None) -> None:
    """End this process soon after torchrun, which starts each process in a session of its own, has been killed.

    A worker that is left behind keeps the other nodes training with a node that is gone.

    Args:
        launcher: The id of torchrun's process; that of this one's parent when None.
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
