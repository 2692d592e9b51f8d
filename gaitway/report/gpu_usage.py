"""How busy a run's GPUs were, from its gpu-usage.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gaitway.contracts.artifacts import GPU_USAGE
from gaitway.report.series import read_columns


@dataclass
class GpuUsage:
    """One GPU's samples, in the order in which they were taken."""

    name: str
    seconds: list[float] = field(default_factory=list)
    """Since the run's first sample."""
    utilization_percent: list[float] = field(default_factory=list)
    memory_gib: list[float] = field(default_factory=list)
    memory_total_gib: float = math.nan


def read_gpu_usage(files: Mapping[str, Path]) -> list[GpuUsage]:
    """Read the samples, by node and GPU; empty if there are none."""
    columns = read_columns(files.get(GPU_USAGE))
    names = ("time", "node", "gpu", "utilization_percent", "memory_used_mib", "memory_total_mib")
    if any(name not in columns for name in names):
        return []
    rows = sorted(row for row in zip(*(columns[name] for name in names), strict=True) if all(map(math.isfinite, row)))
    several_nodes = len({row[1] for row in rows}) > 1
    gpus: dict[tuple[float, float], GpuUsage] = {}
    for time, node, gpu, utilization, used, total in rows:
        name = f"node {node:.0f}, GPU {gpu:.0f}" if several_nodes else f"GPU {gpu:.0f}"
        usage = gpus.setdefault((node, gpu), GpuUsage(name))
        usage.seconds.append(time - rows[0][0])
        usage.utilization_percent.append(utilization)
        usage.memory_gib.append(used / 1024)
        usage.memory_total_gib = total / 1024
    return [usage for _, usage in sorted(gpus.items())]
