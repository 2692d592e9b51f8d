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

from gaitway.contracts.artifacts import Results
from gaitway.contracts.checkpoints import completed_iterations, rollouts_of
from gaitway.contracts.request import RlLibrary, parse_request
from gaitway.contracts.simulation import TRAINING_PROGRESS
from gaitway.runs import StartedRun
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, ControlPlane

SEED = 20261120
INTERVAL = 10
ITERATIONS = 80
TRAINING = {
    "task": "Isaac-Cartpole-Direct-v0",
    "numEnvs": 256,
    "maxIterations": ITERATIONS,
    "checkpointInterval": INTERVAL,
    "seed": 42,
}
"""The demo's, with more checkpoints."""
STEPS: dict[RlLibrary, range] = {
    "rsl_rl": range(ITERATIONS),
    "skrl": range(32, 32 * ITERATIONS + 1, 32),
    "rl_games": range(1, ITERATIONS + 1),
}
"""What each library counts."""


class Training:
    """A training on the deployed stacks, and its processes on this machine."""

    def __init__(self, plane: ControlPlane, library: RlLibrary) -> None:
        self.library = library
        self._plane = plane
        self.run: StartedRun = plane.runs.start(parse_request({"trainingConfig": TRAINING | {"rlLibrary": library}}))
        until(lambda: any(self._directories()), RUN_SECONDS)
        self.directory = next(self._directories())

    def interrupt_after(self, iterations: int, signal_number: signal.Signals = signal.SIGKILL) -> tuple[int, int]:
        """Signal every process of the job once the training has come so far, and wait for the next attempt.

        Returns:
            For how many iterations it had been trained by then, and for how many the checkpoint to go on from was.
        """
        until(lambda: self._trained() >= iterations, RUN_SECONDS)
        attempt = self._attempt()
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                # A host that goes down signals what runs in its container first; the simulator ends with the runner.
                if signal_number is signal.SIGKILL or "container.start" in process.cmdline():
                    process.send_signal(signal_number)
        trained = self._trained()
        until(lambda: self._attempt() > attempt and self._goes_on_from() is not None, RUN_SECONDS)
        return trained, self._goes_on_from() or 0

    def finish(self, directory: Path) -> Results:
        """Wait for the run's success, and fetch what it left."""
        execution = self._plane.ended(self.run.execution_arn)
        assert execution["status"] == "SUCCEEDED", execution
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
        assert execution["status"] == "SUCCEEDED", execution
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
        settings = checkpoint.parents[1] / "params" / "agent.yaml"
        rollouts = rollouts_of(settings.read_text()) if settings.is_file() else None
        return completed_iterations(self.library, checkpoint.name, rollouts)


def steps_of(directory: Path) -> list[int]:
    with (directory / "metrics.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("library", ["rsl_rl", "skrl", "rl_games"])
def test_a_training_that_is_killed_goes_on_and_comes_out_whole(
    plane: ControlPlane, tmp_path: Path, library: RlLibrary
) -> None:
    moment = random.Random(f"{SEED} {library}").randint(INTERVAL + 5, ITERATIONS - 15)  # noqa: S311 - no secret
    training = Training(plane, library)

    trained, resumed_at = training.interrupt_after(moment)
    results = training.finish(tmp_path / "training")

    assert trained - resumed_at <= INTERVAL, "more than one interval was lost"
    assert steps_of(tmp_path / "training") == list(STEPS[library])
    assert results.attempts == 2
    assert results.training is not None
    assert results.training.iterations == ITERATIONS
    final = results.training.final_checkpoint
    rollouts = 32 if library == "skrl" else None
    assert completed_iterations(library, final, rollouts) == ITERATIONS
    assert {path.name for path in (tmp_path / "training" / "exported").iterdir()} == {
        "policy.pt",
        "policy.onnx",
        "policy.json",
    }
    assert training.evaluate(final, tmp_path / "evaluation") >= 0.95


@pytest.mark.timeout(600)
def test_a_training_whose_machine_is_taken_away_tells_nobody_and_comes_out_whole(
    plane: ControlPlane, tmp_path: Path
) -> None:
    training = Training(plane, "rsl_rl")

    trained, resumed_at = training.interrupt_after(25, signal.SIGTERM)
    results = training.finish(tmp_path)

    assert trained - resumed_at <= INTERVAL
    assert steps_of(tmp_path) == list(STEPS["rsl_rl"])
    assert results.attempts == 2
