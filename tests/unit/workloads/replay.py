"""A third workload, which is registered in tests only: it replays recorded trajectories, without any RL library."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.errors import SimulationError
from gaitway.contracts.limits import CallerLimits
from gaitway.contracts.model import S3Uri
from gaitway.contracts.simulation import EvaluationSummary
from gaitway.contracts.workload import CONFIGS, NumEnvs, WorkloadConfig
from gaitway.workloads import WORKLOADS, Rows, Standing, Workload
from gaitway.workloads.progress import CountedLines, Lines

_REPLAYED = "replayed.csv"

SIMULATOR = (
    sys.executable,
    "-c",
    """
import json, sys
asked = json.load(open(sys.argv[-1]))["training"]
total = asked["numTrajectories"]
with open("replayed.csv", "w") as file:
    file.write("return,length,success\\n")
    for number in range(total if sys.argv[1] == "succeed" else total - 1):
        file.write("2.5,10,1\\n")
        print(f"Replayed trajectories: {number + 1}/{total}")
""",
)
"""Starts a simulator that can do nothing else."""


class ReplayConfig(WorkloadConfig):
    """What to replay."""

    mode: Literal["replay"] = "replay"
    """Replay trajectories."""
    num_envs: NumEnvs = 1
    num_trajectories: int = 2
    """Trajectories to replay."""


class Replay(Workload[ReplayConfig]):
    """A replay."""

    config = ReplayConfig
    noun = "replay"
    config_file = "replay-config.json"
    summary_field = "evaluation"
    rows = Rows.EPISODES
    limits = CallerLimits(timeout_seconds=3_600, heartbeat_seconds=1_800)

    def total(self, config: ReplayConfig) -> int:
        """Count trajectories."""
        return config.num_trajectories

    def lines(self, config: ReplayConfig) -> Lines:
        """Find what the simulator prints after each."""
        del config
        return CountedLines(re.compile(r"^Replayed trajectories: (?P<done>\d+)/(?P<total>\d+)"))

    def standing(self, directory: Path, config: ReplayConfig, done: int, output_files: S3Uri) -> Standing:
        """Say how many were replayed."""
        del directory, output_files
        return Standing(f"{done} of {config.num_trajectories} trajectories", "Replay fewer")

    def is_complete(self, directory: Path, config: ReplayConfig) -> bool:
        """Count rows."""
        return len(_returns(directory)) == config.num_trajectories

    def judge(self, directory: Path, config: ReplayConfig, num_processes: int) -> EvaluationSummary:
        """Accept a replay of all trajectories."""
        del num_processes
        returns = _returns(directory)
        if len(returns) != config.num_trajectories:
            raise SimulationError(f"{len(returns)} of {config.num_trajectories} trajectories were replayed")
        mean = sum(returns) / len(returns)
        return EvaluationSummary(
            episodes=len(returns),
            mean_return=mean,
            std_return=0,
            min_return=min(returns),
            max_return=max(returns),
            mean_length=10,
            success_rate=1,
            success_definition="it was replayed",
        )

    def outputs(self, directory: Path, config: ReplayConfig) -> Iterator[tuple[str, Path]]:
        """Give what was replayed."""
        del config
        if (directory / _REPLAYED).is_file():
            yield METRICS, directory / _REPLAYED


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it known, as long as a test goes on."""
    monkeypatch.setitem(CONFIGS, "replay", ReplayConfig)
    monkeypatch.setitem(WORKLOADS, "replay", Replay())


def _returns(directory: Path) -> list[float]:
    path = directory / _REPLAYED
    return [float(row.partition(",")[0]) for row in path.read_text().splitlines()[1:]] if path.is_file() else []
