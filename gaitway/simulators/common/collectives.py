"""Operations of all processes of a training together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from gaitway.simulators.common.errors import TrainingStoppedError
from gaitway.simulators.common.ranks import Ranks, replaced

COLLECTIVE_TIMEOUT_SECONDS = 120
"""A process that does not respond for this time is lost. An iteration with a video takes much less here."""


@contextlib.contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Hold the process group that the libraries train in, if there is more than one process.

    Each library would create it itself, with NCCL whatever the device. It is created here, once, with gloo on a CPU,
    and the libraries' own calls do nothing.
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
            # The others are in the middle of the next iteration: leaving the group might mean waiting for them.
            stack.pop_all()
            raise


def average_moments(means_and_variances: Iterable[tuple[Tensor, Tensor]], ranks: Ranks) -> None:
    """Make running normalisers equal in all processes: neither skrl nor rl_games does, so that ranks would diverge.

    All processes began the iteration with the same moments and have seen equally many observations since. The result is
    the moments over all of them together.

    Args:
        means_and_variances: Mean and variance of each normaliser; changed in place.
        ranks: The processes that take part.
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
