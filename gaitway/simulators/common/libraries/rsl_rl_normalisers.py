"""rsl_rl's running normalisers in several processes: one exchange in an iteration instead of three in every step."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch
from rsl_rl.modules import EmpiricalNormalization
from torch import Tensor, nn

from gaitway.simulators.common.collectives import average_moments
from gaitway.simulators.common.ranks import Ranks


class SharedNormalisers:
    """Lets each process go on with what it has seen itself, until the iteration's steps are done.

    rsl_rl 5 sums the moments of every step's observations over all processes (rsl_rl/modules/normalization.py), so that
    all wait for the slowest in every step of every environment. Here each process takes its own observations for those
    of all, with the weight of all; the average over the processes is then what rsl_rl would have had.

    Args:
        models: What may hold normalisers.
        ranks: The processes that train.
    """

    def __init__(self, models: Iterable[nn.Module], ranks: Ranks) -> None:
        self._ranks = ranks
        modules = (module for model in models for module in model.modules())
        # A model may be part of another one.
        self._normalisers = list(dict.fromkeys(each for each in modules if isinstance(each, EmpiricalNormalization)))
        for normaliser in self._normalisers:
            # Not among the module's own entries: the export copies the module.
            object.__setattr__(normaliser, "update", functools.partial(_update_alone, normaliser, ranks.world_size))

    def merge(self) -> None:
        """Make them equal in all processes. Called between the last step of an iteration and its learning."""
        average_moments([(each._mean, each._var) for each in self._normalisers], self._ranks)
        for each in self._normalisers:
            each._std = each._var.sqrt()


def _update_alone(normaliser: EmpiricalNormalization, processes: int, observations: Tensor) -> None:
    if not normaliser.training or (normaliser.until is not None and normaliser.count >= normaliser.until):
        return
    new = len(observations) * processes
    normaliser.count += new
    share = new / normaliser.count
    variance, mean = torch.var_mean(observations, dim=0, correction=0, keepdim=True)
    shift = mean - normaliser._mean
    normaliser._mean += share * shift
    normaliser._var += share * (variance - normaliser._var + (1 - share) * shift.square())
    normaliser._std = normaliser._var.sqrt()
