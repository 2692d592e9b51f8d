"""What the processes of a training do together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from container.simulators.common.errors import TrainingStoppedError
from container.simulators.common.ranks import Ranks, replaced

COLLECTIVE_TIMEOUT_SECONDS = 120
"""A process that does not answer for so long is lost: far more than an iteration with a video takes here."""


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
    with contextlib.ExitStack() as stack:
        stack.callback(distributed.destroy_process_group)
        stack.enter_context(replaced(distributed, "init_process_group", _do_nothing))
        if not on_cuda:
            stack.enter_context(replaced(torch.cuda, "set_device", _do_nothing))
        try:
            yield
        except TrainingStoppedError:
            # The others are amid the next iteration: to leave the group might be to wait for them.
            stack.pop_all()
            raise


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
