"""A run is lost with checkpoints that were never uploaded: through the deployed stacks, S3 holds them in the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import MANIFEST, REPORT, Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunState
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane

ATTEMPTS = 3
TOLD_WITHIN_SECONDS = 60.0


class LostRun:
    """A training whose runner is killed in every attempt."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        training = TINY | {"maxIterations": 100_000, "checkpointInterval": 5}
        self.run: StartedRun = plane.runs.start(parse_request({"trainingConfig": training}))
        self._directory: Path | None = None

    def checkpoints(self) -> dict[str, Path]:
        """The files on EFS."""
        return {} if self._directory is None else {path.name: path for path in self._directory.rglob("model_*.pt")}

    def runners(self) -> list[psutil.Process]:
        """Find the runner, which has the run's id in its command line."""
        return _processes(lambda process: self.run.run_id in process.cmdline())

    def simulators(self) -> list[psutil.Process]:
        """Find the simulator, which has the run's directory as its own, and remember that."""
        found = _processes(lambda process: Path(process.cwd()).name == self.run.run_id)
        for process in found:
            with contextlib.suppress(psutil.Error, OSError):
                self._directory = Path(process.cwd())
        return found

    def kill_until_last_attempt(self) -> None:
        """Kill the runner as soon as it is there, in all attempts but the last one."""
        killed: set[int] = set()

        def kill() -> bool:
            for process in self.runners():
                if process.pid not in killed and len(killed) < ATTEMPTS - 1:
                    killed.add(process.pid)
                    process.kill()
            return len(killed) == ATTEMPTS - 1

        until(kill, RUN_SECONDS)

    def lose(self) -> set[str]:
        """Halt the runner, so that it uploads no more, let the simulator go on, and kill both; return what is left."""
        until(lambda: bool(self.simulators()) and "model_0.pt" in self.checkpoints(), RUN_SECONDS)
        for process in self.runners():
            process.suspend()
        uploaded = set(self.uploaded())
        until(lambda: len(self.checkpoints().keys() - uploaded) >= 3, RUN_SECONDS)
        for process in [*self.runners(), *self.simulators()]:
            with contextlib.suppress(psutil.Error, OSError):
                process.kill()
        return self.checkpoints().keys() - uploaded

    def uploaded(self) -> dict[str, bytes]:
        """Read the checkpoints that S3 holds."""
        prefix = self.run.output_files / "checkpoints/"
        listing = self._plane.s3.list_objects_v2(Bucket=prefix.bucket, Prefix=prefix.key).get("Contents", [])
        return {
            entry["Key"].removeprefix(prefix.key): self._plane.s3.get_object(Bucket=prefix.bucket, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listing
        }


def _processes(is_looked_for: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if is_looked_for(process):
                found.append(process)
    return found


def test_a_runner_that_is_killed_in_its_last_attempt_leaves_nothing_but_in_s3(plane: ControlPlane) -> None:
    run = LostRun(plane)
    run.kill_until_last_attempt()
    lost = run.lose()
    killed_at = time.monotonic()

    execution = plane.ended(run.run.execution_arn)

    assert time.monotonic() - killed_at < TOLD_WITHIN_SECONDS
    assert execution["error"] == "InterruptedRunError"
    assert "exit code 137" in execution["cause"]
    assert str(run.run.output_files) in execution["cause"]
    assert len(plane.events(run.run.execution_arn, "TaskFailed")) == 1
    until(lambda: not run.runners() and not run.simulators(), RUN_SECONDS)
    uploaded = run.uploaded()
    assert lost <= uploaded.keys()
    assert {name: path.read_bytes() for name, path in run.checkpoints().items()}.items() <= uploaded.items()

    record = plane.table.get(run.run.run_id)
    assert record is not None
    assert record.state is RunState.FAILED
    document = plane.s3.get_object(Bucket=plane.bucket, Key=(run.run.output_files / "results.json").key)
    results = Results.model_validate_json(document["Body"].read())
    assert (results.status, results.failure, results.attempts) == ("failed", record.failure, record.attempts)
    assert results.ran_with is not None
    assert results.ran_with.simulator == "embedded"
    assert {REPORT, *(f"checkpoints/{name}" for name in uploaded)} <= {entry.path for entry in results.files or ()}
    assert not plane.s3.list_objects_v2(Bucket=plane.bucket, Prefix=(run.run.output_files / MANIFEST).key)["KeyCount"]
    # The rule on executions calls the function once more, which changes nothing.
    plane.ended(record.execution_arn or "")
    assert plane.table.get(run.run.run_id) == record


@pytest.fixture
def handle_failure_cannot_start(plane: ControlPlane) -> Iterator[None]:
    """As where its file system cannot be mounted."""
    name = "gaitway-handle-failure"
    handler = plane.lambda_.get_function_configuration(FunctionName=name)["Handler"]
    plane.lambda_.update_function_configuration(FunctionName=name, Handler="lambdas.not_there.handler")
    yield
    plane.lambda_.update_function_configuration(FunctionName=name, Handler=handler)


@pytest.mark.usefixtures("handle_failure_cannot_start")
def test_a_caller_is_told_although_nothing_can_be_saved(plane: ControlPlane) -> None:
    unknown = TINY | {"task": "Isaac-Cartpol-Direct-v0"}

    run = plane.runs.start(parse_request({"trainingConfig": unknown}))

    execution = plane.ended(run.execution_arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "RequestError"), execution
    assert "Isaac-Cartpole-Direct-v0" in execution["cause"]
    assert len(plane.events(run.execution_arn, "TaskFailed")) == 1
    record = plane.table.get(run.run_id)
    assert record is not None
    assert record.state is RunState.FAILED
