"""Training in several processes, as torchrun starts them: who is who, and what they must agree on."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

COLLECTIVE_TIMEOUT_SECONDS = 120
"""A process that does not answer for so long is lost: far more than an iteration with a video takes here."""

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
        return torch.device(f"cuda:{self.local_rank}" if torch.cuda.is_available() else "cpu")


_VARIABLES = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


@contextlib.contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Hold the process group that the libraries train in, where there is more than one process.

    Each library would make it itself, with NCCL whatever the device. It is made here, once, with gloo on a CPU, and the
    libraries' own calls do nothing.
    """
    if not ranks.is_distributed:
        yield
        return
    on_cuda = device.type == "cuda"
    if on_cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if on_cuda else "gloo",
        rank=ranks.rank,
        world_size=ranks.world_size,
        timeout=timedelta(seconds=COLLECTIVE_TIMEOUT_SECONDS),
    )
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(replaced(distributed, "init_process_group", _do_nothing))
            if not on_cuda:
                stack.enter_context(replaced(torch.cuda, "set_device", _do_nothing))
            yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:  # noqa: ANN401
    """Put something else in the place of a function or class that a library calls by its module's name for it."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def end_with_launcher() -> None:
    """End this process soon after torchrun, which starts each process in a session of its own, has been killed.

    A worker that is left behind keeps the other nodes training with a node that is gone.
    """
    threading.Thread(target=_exit_when_orphaned, args=(os.getppid(),), name="launcher", daemon=True).start()


def _exit_when_orphaned(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_ORPHAN_POLL_SECONDS)
    os._exit(1)


def average_moments(means_and_variances: Iterable[tuple[Tensor, Tensor]], ranks: Ranks) -> None:
    """Make running normalisers equal in all processes: neither skrl nor rl_games does, so that ranks would drift apart.

    All processes began the iteration with the same moments and have seen equally many observations since. The result
    are then the moments over all of them together.

    Args:
        means_and_variances: Of each normaliser; changed in place.
        ranks: Who takes part.
    """
    if not ranks.is_distributed:
        return
    for mean, variance in means_and_variances:
        moments = torch.stack((mean, variance + mean.square()))
        distributed.all_reduce(moments)
        moments /= ranks.world_size
        mean.copy_(moments[0])
        variance.copy_(moments[1] - moments[0].square())


def _do_nothing(*_: Any, **__: Any) -> None:  # noqa: ANN401
    pass
