"""All workloads."""

from __future__ import annotations

from typing import Any

from gaitway.contracts.workload import WorkloadConfig
from gaitway.workloads.evaluate import EVALUATE
from gaitway.workloads.train import TRAIN
from gaitway.workloads.workload import Workload

WORKLOADS: dict[str, Workload[Any]] = {"train": TRAIN, "evaluate": EVALUATE}
"""By mode, as `gaitway.contracts.workload.CONFIGS`."""


def workload_of(asked: WorkloadConfig | str) -> Workload[Any]:
    """Find the workload of a run.

    Args:
        asked: The run's config, or its mode.

    Raises:
        ValueError: There is no such workload.
    """
    mode = asked if isinstance(asked, str) else asked.mode
    workload = WORKLOADS.get(mode)
    if workload is None:
        raise ValueError(f"mode is {mode!r}, allowed: {', '.join(WORKLOADS)}")
    return workload
