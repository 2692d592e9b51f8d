"""A run as a page shows it: its documents, and the content of its files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from gaitway.contracts.artifacts import ManifestEntry, Results, RunConfig
from gaitway.contracts.history import AttemptHistory
from gaitway.libraries import LIBRARIES
from gaitway.report.curves import Curves, read_curves
from gaitway.report.episodes import Episodes, read_episodes
from gaitway.report.gpu_usage import GpuUsage, read_gpu_usage
from gaitway.workloads import Rows, Workload, workload_of


@dataclass(frozen=True)
class ReportedRun:
    """A run. What is missing or broken among its files counts as not there."""

    results: Results
    config: RunConfig | None
    """None where the run failed before that was written down."""
    files: Mapping[str, Path]
    """Those that are here: place below the run's prefix, and file."""
    listed: Sequence[ManifestEntry]
    """What S3 holds."""

    @property
    def workload(self) -> Workload[Any]:
        """What kind of work it is."""
        return workload_of(self.results.mode)

    @property
    def has_curves(self) -> bool:
        """Whether its metrics are curves, as far as there are any."""
        return self.workload.rows is Rows.ITERATIONS

    @property
    def has_episodes(self) -> bool:
        """Whether its metrics are episodes, as far as there are any."""
        return self.workload.rows is Rows.EPISODES

    @property
    def title(self) -> str:
        """What to call the run."""
        return (self.config.name if self.config else None) or self.results.task

    @property
    def attempts(self) -> list[AttemptHistory]:
        """What is known of its attempts, in their order."""
        return self.results.history.attempts if self.results.history else []

    @property
    def accepted_at(self) -> datetime | None:
        """When the run was requested, or else when it began; None if neither is known."""
        return self.results.history.accepted_at if self.results.history else self.results.started_at

    @property
    def seconds(self) -> float | None:
        """From then to its end."""
        began = self.accepted_at
        return max(0.0, (self.results.ended_at - began).total_seconds()) if began else None

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what ran; where no simulation said so, of what the runner found before."""
        found = self.config.versions if self.config else {}
        return found | (self.results.ran_with.versions if self.results.ran_with else {})

    @property
    def resumed_at(self) -> list[int]:
        """The iterations at which an attempt resumed from an earlier one, in ascending order."""
        return sorted({attempt.resumed_from for attempt in self.attempts if attempt.resumed_from})

    @property
    def environments(self) -> int | None:
        """Over all processes."""
        if self.config is None:
            return None
        compute = self.config.compute_config
        return self.config.training_config.num_envs * compute.num_nodes * compute.gpus_per_node

    @cached_property
    def curves(self) -> Curves | None:
        """The curves, where metrics.csv has a row for each iteration."""
        library = next((known for known in LIBRARIES if known == self.results.rl_library), None)
        if not self.has_curves or library is None:
            return None
        return read_curves(self.files, library, self.environments)

    @cached_property
    def episodes(self) -> Episodes | None:
        """The episodes, where metrics.csv has a row for each of them."""
        return read_episodes(self.files) if self.has_episodes else None

    @cached_property
    def gpus(self) -> list[GpuUsage]:
        """What its GPUs did."""
        return read_gpu_usage(self.files)

    @property
    def environment_steps(self) -> float | None:
        """How many environment steps it simulated, from its figures; for an evaluation, in counted episodes."""
        training = self.results.training
        speed, seconds = (
            (training.mean_steps_per_second, training.training_seconds) if training is not None else (None, None)
        )
        if speed is not None and seconds is not None:
            return speed * seconds
        return math.fsum(self.episodes.lengths) if self.episodes else None

    @property
    def usd_per_million_steps(self) -> float | None:
        """What a million of them cost; None where either is not known."""
        if self.results.cost is None or not self.environment_steps:
            return None
        return self.results.cost.usd / self.environment_steps * 1e6
