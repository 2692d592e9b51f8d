"""Training processes are killed at random moments, and their runs come out as if nothing had happened."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.simulation import TRAINING_PROGRESS
from gaitway.libraries import RlLibrary
from gaitway.libraries.checkpoints import completed_iterations, length_beside
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, ControlPlane

SEED = 20261120
INTERVAL = 10
ITERATIONS: dict[RlLibrary, int] = {"rsl_rl": 80, "skrl": 40, "rl_games": 40, "sb3": 40}
"""Only rsl_rl's policy is evaluated afterwards."""
TRAINING = {
    "task": "Isaac-Cartpole-Direct-v0",
    "numEnvs": 256,
    "checkpointInterval": INTERVAL,
    "seed": 42,
}
"""The demo's, with more checkpoints."""
STEPS: dict[RlLibrary, range] = {
    "rsl_rl": range(ITERATIONS["rsl_rl"]),
    "skrl": range(32, 32 * ITERATIONS["skrl"] + 1, 32),
    "rl_games": range(1, ITERATIONS["rl_games"] + 1),
    "sb3": range(16 * 256, 16 * 256 * ITERATIONS["sb3"] + 1, 16 * 256),
}
"""What each library counts."""


class Training:
    """A training on the deployed stacks, and its processes on this machine."""

    def __init__(self, plane: ControlPlane, library: RlLibrary) -> None:
        self.library = library
        self._plane = plane
        training = TRAINING | {"rlLibrary": library, "maxIterations": ITERATIONS[library]}
        self.run: StartedRun = plane.runs.start(parse_request({"trainingConfig": training}))
        until(lambda: any(self._directories()), RUN_SECONDS)
        self.directory = next(self._directories())

    def interrupt_after(self, iterations: int, signal_number: signal.Signals = signal.SIGKILL) -> tuple[int, int]:
        """Signal every process of the job once the training has come so far, and wait for the next attempt.

        Returns:
            For how many iterations it had been trained by then, and for how many the checkpoint to go on from was.
        """
        until(lambda: self._trained() >= iterations, RUN_SECONDS)
        attempt, gone_on_from = self._attempt(), self._goes_on_from()
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                # A host that goes down signals what runs in its container first; the simulator ends with the runner.
                if signal_number is signal.SIGKILL or "gaitway.runner.start" in process.cmdline():
                    process.send_signal(signal_number)
        trained = self._trained()
        until(lambda: self._attempt() > attempt and self._goes_on_from() not in (None, gone_on_from), RUN_SECONDS)
        return trained, self._goes_on_from() or 0

    def finish(self, directory: Path) -> Results:
        """Wait for the run's success, and fetch what it left."""
        execution = self._plane.ended(self.run.execution_arn)
        assert execution["status"] == "SUCCEEDED", execution.get("cause")
        self._plane.runs.fetch(self.run.output_files, directory)
        return Results.model_validate_json((directory / "results.json").read_bytes())

    def evaluate(self, checkpoint: str, directory: Path) -> float:
        """Evaluate a checkpoint, and return its success rate."""
        evaluation = {
            "mode": "evaluate",
            "task": TRAINING["task"],
            "rlLibrary": self.library,
            "numEnvs": 100,
            "numEpisodes": 100,
            "seed": 7,
        }
        run = self._plane.runs.start(
            parse_request({"trainingConfig": evaluation}), input_file=self.run.output_files / checkpoint
        )
        execution = self._plane.ended(run.execution_arn)
        assert execution["status"] == "SUCCEEDED", execution.get("cause")
        self._plane.runs.fetch(run.output_files, directory)
        results = Results.model_validate_json((directory / "results.json").read_bytes()).evaluation
        assert results is not None
        return results.success_rate

    def _processes(self) -> list[psutil.Process]:
        """The runner has the run's id in its command line, the simulator the run's directory as its own."""
        found = []
        for process in psutil.process_iter():
            # psutil lets the system's own error through where a process ends while it is looked at.
            with contextlib.suppress(psutil.Error, OSError):
                if self.run.run_id in process.cmdline() or Path(process.cwd()).name == self.run.run_id:
                    found.append(process)
        return found

    def _directories(self) -> Iterator[Path]:
        """The run's directory, once for each process that is there."""
        for process in self._processes():
            with contextlib.suppress(psutil.Error, OSError):
                if (directory := Path(process.cwd())).name == self.run.run_id:
                    yield directory

    def _trained(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            lines = (self.directory / "simulator.log").read_text()
            return max((int(match["done"]) for match in TRAINING_PROGRESS.finditer(lines)), default=0)
        return 0

    def _attempt(self) -> int:
        record = self._plane.runs.record(self.run.run_id)
        return (record.attempts if record else None) or 0

    def _goes_on_from(self) -> int | None:
        """Read from what the runner told the simulator how many iterations it need not train again."""
        job: dict[str, Any] = json.loads((self.directory / "simulation.json").read_text())
        if job["continue_from"] is None:
            return None
        checkpoint = Path(job["continue_from"])
        return completed_iterations(self.library, checkpoint.name, length_beside(self.library, checkpoint))


def steps_of(directory: Path) -> list[int]:
    with (directory / "metrics.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def assert_whole(library: RlLibrary, results: Results, directory: Path) -> None:
    """Check that a run left what it would have left without any interruption."""
    assert results.training is not None
    assert results.training.iterations == ITERATIONS[library]
    length = {"skrl": 32, "sb3": 16 * 256}.get(library)
    assert completed_iterations(library, results.training.final_checkpoint, length) == ITERATIONS[library]
    assert steps_of(directory) == list(STEPS[library])
    assert {path.name for path in (directory / "exported").iterdir()} == {"policy.pt", "policy.onnx", "policy.json"}


def random_moment(library: RlLibrary, last: int) -> int:
    """Choose after how many iterations a training is interrupted: after the first checkpoint."""
    return random.Random(f"{SEED} {library}").randint(INTERVAL + 5, last)  # noqa: S311 - no secret


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("library", ["skrl", "rl_games", "sb3"])
def test_a_training_that_is_killed_goes_on_and_comes_out_whole(
    plane: ControlPlane, tmp_path: Path, library: RlLibrary
) -> None:
    training = Training(plane, library)

    trained, resumed_at = training.interrupt_after(random_moment(library, ITERATIONS[library] - 15))
    results = training.finish(tmp_path)

    assert trained - resumed_at <= INTERVAL, "more than one interval was lost"
    assert results.attempts == 2
    assert_whole(library, results, tmp_path)


@pytest.mark.timeout(600)
def test_a_training_that_is_killed_and_then_loses_its_machine_tells_nobody_and_comes_out_whole(
    plane: ControlPlane, tmp_path: Path
) -> None:
    training = Training(plane, "rsl_rl")

    killed = training.interrupt_after(random_moment("rsl_rl", 40))
    taken_away = training.interrupt_after(60, signal.SIGTERM)
    results = training.finish(tmp_path / "training")

    assert all(trained - resumed_at <= INTERVAL for trained, resumed_at in (killed, taken_away))
    assert results.attempts == 3
    assert_whole("rsl_rl", results, tmp_path / "training")
    assert results.training is not None
    assert training.evaluate(results.training.final_checkpoint, tmp_path / "evaluation") >= 0.95
