"""A model of an iteration's seconds, fitted to few GPUs of a host, for numbers of GPUs that were not at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_UNKNOWNS = 3


@dataclass(frozen=True)
class Iteration:
    """The mean duration of an iteration."""

    num_envs: int
    """Of each process."""
    gpus: int
    seconds: float


@dataclass(frozen=True)
class Model:
    """`seconds = fixed + per_env * num_envs + together * log2(gpus)`.

    Each process simulates and learns on its own environments, which takes a time that grows with them. What is done
    together (gradients of some hundred kilobytes, which are summed; waiting for the slowest) is a matter of latency,
    and of steps whose number grows with the logarithm of the processes, as in the trees of NCCL for small messages.
    """

    fixed: float
    per_env: float
    together: float

    def seconds(self, num_envs: int, gpus: int) -> float:
        """Predict an iteration's duration."""
        return self.fixed + self.per_env * num_envs + self.together * math.log2(gpus)

    def efficiency(self, num_envs: int, gpus: int) -> float:
        """Predict the speed of several processes over as many times the speed of one."""
        return self.seconds(num_envs, 1) / self.seconds(num_envs, gpus)

    def __str__(self) -> str:
        return (
            f"an iteration takes {self.fixed:.3f} s + {self.per_env * 1000:.4f} s per 1000 environments + "
            f"{self.together:.3f} s for each doubling of the GPUs (fitted, with equal weight to relative errors)"
        )


def fit(iterations: Sequence[Iteration]) -> Model | None:
    """Fit the model, by least squares of relative errors.

    Returns:
        None if the iterations do not tell its parts apart: it takes two numbers of environments and two of GPUs.
    """
    if len({each.num_envs for each in iterations}) < 2 or len({each.gpus for each in iterations}) < 2:
        return None
    rows = np.array([[1.0, each.num_envs, math.log2(each.gpus)] for each in iterations])
    seconds = np.array([each.seconds for each in iterations])
    if np.linalg.matrix_rank(rows / rows.max(axis=0)) < _UNKNOWNS:
        return None
    fixed, per_env, together = np.linalg.lstsq(rows / seconds[:, None], np.ones_like(seconds), rcond=None)[0]
    return Model(float(fixed), float(per_env), float(together))
