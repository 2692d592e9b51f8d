"""Jobs of the runner on this machine, with real record, uploads and heartbeats; and Isaac Lab without it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.workload import TrainingConfig, WorkloadConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.record import Counts
from gaitway.local.server_process import start_server, stop_server
from gaitway.workloads.metrics import WALL_TIME, read_metrics
from tests.local.emulator import Emulator
from tests.local.runner_world import World

HORIZON: dict[RlLibrary, re.Pattern[str]] = {
    "rsl_rl": re.compile(r"^num_steps_per_env: (\d+)", re.MULTILINE),
    "rl_games": re.compile(r"^\s+horizon_length: (\d+)", re.MULTILINE),
    "skrl": re.compile(r"^\s+rollouts: (\d+)", re.MULTILINE),
}
"""Steps of each environment in an iteration, in a training's `params/agent.yaml`."""
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "ISAACSIM_ASSET_ROOT", "WARP_CACHE_PATH", "HOME")
_PASSED_ON_PREFIXES = ("CUDA_", "NCCL_", "NVIDIA_", "NVSHMEM_", "TORCH_", "PYOPENGL_", "__EGL_", "VK_")
_WARM_UP = 0.2
"""Share of the iterations at the beginning that a speed leaves out: kernels are still loaded, graphs captured."""


class JobError(Exception):
    """A job or process failed; the message has the end of its output."""


@dataclass(frozen=True)
class Trained:
    """A training that succeeded."""

    metrics: pd.DataFrame
    """As `read_metrics` returns it."""
    steps_per_second: float
    """Of all environments, from the times at which iterations were logged: rollouts, learning, logging, checkpoints."""
    process_seconds: float
    """From the start of the process, or of the job, to its end."""
    steps_per_iteration: int
    """Of all environments of all processes."""
    shares: tuple[str, ...] = ()
    """What the hooks of `shares` wrote, by rank."""


def passed_on() -> dict[str, str]:
    """Return the variables of this process that a job's container would have by its image."""
    return {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }


class Account:
    """An embedded AWS of its own, and a file system for its jobs.

    Args:
        emulator: The embedded AWS.
        efs_root: Directory of the file system.
    """

    def __init__(self, emulator: Emulator, efs_root: Path) -> None:
        self._emulator = emulator
        self._efs_root = efs_root

    @contextmanager
    def run(self, config: WorkloadConfig, *, gpus: int = 1, policy: S3Uri | None = None) -> Iterator[World]:
        """Accept a run, as the functions do; its job is not started yet."""
        world = World(self._emulator, self._efs_root)
        try:
            world.create_bucket()
            world.submit(
                config, heartbeat_timeout_seconds=3600, policy=policy, compute=ComputeConfig(gpus_per_node=gpus)
            )
            yield world
        finally:
            world.close()

    def train(self, training: TrainingConfig, *, gpus: int = 1, first_on_path: str | None = None) -> Trained:
        """Train as a job.

        Args:
            training: What to train.
            gpus: As many processes, one on each.
            first_on_path: A directory that comes first on PYTHONPATH.

        Raises:
            JobError: It failed.
        """
        with self.run(training, gpus=gpus) as world:
            began = time.monotonic()
            variables = passed_on()
            if first_on_path is not None:
                variables["PYTHONPATH"] = os.pathsep.join((first_on_path, variables.get("PYTHONPATH", "")))
            job = world.start_runner(GAITWAY_SIMULATOR="isaaclab3", **variables)
            if job.wait():
                raise JobError(job.output[-3000:])
            # Each process has as many environments as the run says.
            return read_training(world.directory, training, gpus, time.monotonic() - began)


@contextmanager
def account(directory: Path) -> Iterator[Account]:
    """Start an embedded AWS without stacks: table, bucket and waiting machines are made for each run."""
    state = directory / "state"
    record = start_server(state)
    try:
        yield Account(Emulator(record.endpoint_url, state), directory / "efs")
    finally:
        stop_server(state)


def train_bare(training: TrainingConfig, directory: Path) -> Trained:
    """Train as a user of Isaac Lab would, with its own command line.

    Raises:
        JobError: It failed.
    """
    directory.mkdir(parents=True)
    arguments = ["--rl_library", training.rl_library, "--task", training.task, "--num_envs", str(training.num_envs)]
    arguments += ["--max_iterations", str(training.max_iterations), "--seed", str(training.seed), "--device", "cuda:0"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "isaaclab", "train", *arguments, "physics=newton_mjwarp"],
        cwd=directory,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    (directory / "output.log").write_text(done.stdout)
    if done.returncode:
        raise JobError(done.stdout[-3000:])
    return read_training(directory, training, 1, seconds)


def read_training(directory: Path, training: TrainingConfig, processes: int, seconds: float) -> Trained:
    """Read what a training has logged.

    Raises:
        JobError: It logged too little.
    """
    library = training.rl_library
    metrics = read_metrics(directory, library)
    settings = next(iter(sorted(directory.glob("logs/**/params/agent.yaml"))), None)
    horizon = HORIZON[library].search(settings.read_text()) if settings else None
    if horizon is None or len(metrics) < 10:
        raise JobError(f"{directory}: {len(metrics)} rows of metrics, and no params/agent.yaml with a horizon")
    steps = int(horizon[1])
    by_steps = record_of(library).counts is Counts.STEPS
    rows = metrics.iloc[int(len(metrics) * _WARM_UP) :]
    units = rows.index[-1] - rows.index[0]
    per_unit = (1 if by_steps else steps) * training.num_envs * processes
    elapsed = rows[WALL_TIME].iloc[-1] - rows[WALL_TIME].iloc[0]
    shares = tuple(path.read_text() for path in sorted(directory.rglob("shares-*.json")))
    steps_per_iteration = steps * training.num_envs * processes
    return Trained(metrics, float(units * per_unit / elapsed), seconds, steps_per_iteration, shares)


def kill_simulator(world: World, rank: int | None = None) -> None:
    """Kill the simulator of a run as the kernel does, with all its processes or the one of a rank.

    Raises:
        JobError: There is none.
    """
    found = [process for process in psutil.process_iter() if _is_simulator_of(process, world)]
    if rank is not None:
        # Other processes than the first work elsewhere, but have the same parent.
        siblings = [sibling for process in found for sibling in process.children()]
        found = [process for process in siblings if process.environ().get("RANK") == str(rank)]
    if not found:
        raise JobError("no simulator is running")
    for process in found:
        process.send_signal(signal.SIGKILL)


def _is_simulator_of(process: psutil.Process, world: World) -> bool:
    try:
        return "gaitway.simulators.isaaclab3" in process.cmdline() and Path(process.cwd()) == world.directory
    except psutil.Error:
        return False
