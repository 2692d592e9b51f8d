"""Trainings through the whole pipeline: our stacks on a separate embedded AWS for the benchmark."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from bench.processes import BenchError
from gaitway.client.runs import Runs, StartedRun
from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request
from gaitway.contracts.run import RunRecord
from gaitway.contracts.workload import TrainingConfig
from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import Launcher, LocalAws
from gaitway.local.server_process import running_server
from gaitway.workloads.metrics import STEP

POLL_SECONDS = 1.0
"""Rarely: in an AWS account, a client that polls does not use the machine that trains."""
_RUN_SECONDS = 300.0


@dataclass(frozen=True)
class CpuUse:
    """Seconds of one core per second, while the simulator's process lived."""

    runner: float
    emulator: float


@dataclass(frozen=True)
class PipelineTraining:
    """A training that succeeded."""

    metrics: pd.DataFrame
    """The `metrics.csv` of its outputs, indexed by step."""
    cpu_use: CpuUse | None
    """None if the simulator ended too early to measure."""


class Pipeline:
    """Our deployed stacks.

    Args:
        local_aws: The embedded AWS that they are deployed to.
        state_directory: Where the emulator keeps its state, including EFS.
    """

    def __init__(self, local_aws: LocalAws, state_directory: Path) -> None:
        session: Any = local_aws.session()  # the stubs know services by literal name only
        self.s3 = session.client("s3")
        self.batch = session.client("batch")
        self.bucket = local_aws.deployment.asset_bucket_name
        self._runs = Runs(session, local_aws.deployment)
        self._state_directory = state_directory

    def start(self, training: TrainingConfig) -> StartedRun:
        """Start a training."""
        return self._runs.start(Request(training_config=training))

    def train(self, training: TrainingConfig) -> PipelineTraining:
        """Run a training from its request to its outputs.

        Raises:
            BenchError: It failed.
        """
        run = self.start(training)
        meter = _CpuMeter(run.run_id, self._emulator())
        self.wait(run, meter.sample)
        return PipelineTraining(self.metrics(run.output_files), meter.use())

    def wait(self, run: StartedRun, on_poll: Callable[[], None] = lambda: None) -> None:
        """Wait until a run's caller has received its success.

        Raises:
            BenchError: It failed, or took too long.
        """
        give_up_at = time.monotonic() + _RUN_SECONDS
        while not (view := self._runs.caller_view(run)).ended:
            if time.monotonic() > give_up_at:
                raise BenchError(f"{run.run_id} did not end within {_RUN_SECONDS:.0f} s")
            on_poll()
            time.sleep(POLL_SECONDS)
        if view.failure is not None:
            raise BenchError(f"{run.run_id} failed: {view.failure.error}: {view.failure.cause}")

    def record(self, run: StartedRun) -> RunRecord:
        """Read the record of a run that was launched.

        Raises:
            BenchError: There is no record.
        """
        record = self._runs.record(run.run_id)
        if record is None:
            raise BenchError(f"{run.run_id} has no record")
        return record

    def has_ended(self, run: StartedRun) -> bool:
        """Return whether the caller of a run has received its outcome."""
        return self._runs.caller_view(run).ended

    def metrics(self, output_files: S3Uri) -> pd.DataFrame:
        """Read a training's `metrics.csv`, indexed by step."""
        uri = output_files / METRICS
        return pd.read_csv(self.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"], index_col=STEP)

    def run_directory(self, run: StartedRun) -> Path | None:
        """Find a run's directory on EFS; None if it does not exist yet."""
        return next((self._state_directory / "efs").rglob(run.run_id), None)

    def _emulator(self) -> psutil.Process:
        record = running_server(self._state_directory)
        process = record.process() if record else None
        if process is None:
            raise BenchError("the embedded AWS does not run any more")
        return process


@contextlib.contextmanager
def deployed_pipeline(directory: Path) -> Iterator[Pipeline]:
    """Start an embedded AWS, deploy our stacks to it, and stop it afterwards.

    Args:
        directory: Directory for all its files.
    """
    launcher = Launcher(directory / "state", CdkDeployer(directory / "cdk"))
    try:
        yield Pipeline(launcher.up(lambda _: None), launcher.state_directory)
    finally:
        launcher.down()


def runner_of(run_id: str) -> psutil.Process | None:
    """Find the process that AWS Batch started for a run; None if there is none."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if run_id in process.cmdline():
                return process
    return None


class _CpuMeter:
    """Measures the CPU use of the runner and the emulator while the simulator runs."""

    def __init__(self, run_id: str, emulator: psutil.Process) -> None:
        self._run_id = run_id
        self._emulator = emulator
        self._runner: psutil.Process | None = None
        self._samples: list[tuple[float, float, float]] = []

    def sample(self) -> None:
        self._runner = self._runner or runner_of(self._run_id)
        if self._runner is None:
            return
        with contextlib.suppress(psutil.Error):
            if self._runner.children():
                self._samples.append((time.monotonic(), _cpu_seconds(self._runner), _cpu_seconds(self._emulator)))

    def use(self) -> CpuUse | None:
        if len(self._samples) < 2:
            return None
        first, last = self._samples[0], self._samples[-1]
        elapsed, runner, emulator = (end - begin for begin, end in zip(first, last, strict=True))
        return CpuUse(runner / elapsed, emulator / elapsed)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
