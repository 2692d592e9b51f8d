"""AWS takes a Spot instance back: the training saves within the two minutes for which that is announced."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gaitway.contracts.errors import InterruptedRunError
from gaitway.contracts.run import RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.runner.stop import StopRequest
from gaitway.workloads.checkpoints import newest
from tests.local.emulator import Emulator
from tests.local.runner_world import EVALUATION, World
from tests.local.test_runner_attempts import FIRST_OF_THREE, LAST_OF_THREE, SECOND_OF_THREE, FakeBatch
from tests.serving import Handler, serving

TRAINING = TrainingConfig(max_iterations=500, num_envs=8)
"""At 0.05 seconds an iteration it is asked long before its end."""
_TOKEN = "a-token"


class Instance:
    """The metadata service of an instance, version 2 alone, with a notice from some moment on."""

    def __init__(self) -> None:
        self.notice: dict[str, str] | None = None
        self.asked = threading.Event()
        self.breaks = 0
        """So many of the next answers fail."""
        self.tokens = 0
        self.address = ""

    def take_back(self, after: timedelta) -> None:
        """Announce the end of the machine."""
        self.notice = {"action": "terminate", "time": f"{datetime.now(UTC) + after:%Y-%m-%dT%H:%M:%SZ}"}

    def variables(self, directory: Path, purchase: str = "spot") -> dict[str, str]:
        """What a job on the instance is given."""
        machine = directory / "machine.json"
        machine.write_text(json.dumps({"instanceType": "local", "purchase": purchase}), encoding="utf-8")
        return {"GAITWAY_MACHINE_FILE": str(machine), "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.address}


@contextmanager
def serve(instance: Instance) -> Iterator[None]:
    class Metadata(Handler):
        def put(self) -> None:
            ours = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            instance.tokens += 1
            self.answer(200 if ours else 400, _TOKEN)

        def get(self) -> None:
            instance.asked.set()
            if self.headers["X-aws-ec2-metadata-token"] != _TOKEN:
                self.answer(401)
            elif instance.breaks > 0:
                instance.breaks -= 1
                self.answer(503)
            elif self.path != "/latest/meta-data/spot/instance-action" or instance.notice is None:
                self.answer(404)
            else:
                self.answer(200, json.dumps(instance.notice))

    with serving(Metadata) as address:
        instance.address = f"{address}/"
        yield


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    monkeypatch.setattr("gaitway.runner.host.spot._POLL_SECONDS", 0.05)
    instance = Instance()
    with serve(instance):
        yield instance


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def attempt(world: World, script: str, variables: dict[str, str], stop: StopRequest | None = None) -> int:
    """Run the job in this process; Batch will attempt it again, as far as its attempts reach."""
    host = world.host(variables, FakeBatch(isTerminated=False))
    return world.run_here(script, stop=stop, variables=variables, host=host)


def test_a_training_saves_before_its_machine_goes_and_the_next_attempt_goes_on(
    world: World, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.submit(TRAINING)
    stop = StopRequest()
    # The machine is gone once everything is done on it: until then the attempt stays, where the next one would start.
    waited = []

    def is_gone(seconds: float) -> None:
        waited.append(seconds)
        assert world.record.state is RunState.QUEUED
        stop.request(InterruptedRunError("the job was asked to stop (SIGTERM)"))
        stop.check()

    on_line = threading.Thread(target=_announce_after_an_iteration, args=(world, instance), daemon=True)
    monkeypatch.setattr("gaitway.runner.host.spot.StopRequest.sleep", lambda self, seconds: is_gone(seconds))
    on_line.start()
    variables = FIRST_OF_THREE | instance.variables(tmp_path)
    assert attempt(world, "train_until_asked_to_stop", variables, stop) == EXIT_ATTEMPT_AGAIN

    on_line.join()
    assert waited
    assert waited[0] > 120
    saved = newest(world.directory, "rsl_rl")
    assert saved is not None
    assert saved.iterations
    assert f"checkpoints/{saved.name}" in world.objects()
    assert world.status(world.execution) == "RUNNING"
    assert "AWS takes the Spot instance back at " in (world.record.interruption or "")

    monkeypatch.undo()
    assert attempt(world, "succeed", SECOND_OF_THREE) == EXIT_DONE
    results = json.loads(world.objects()["results.json"])
    first, second = results["history"]["attempts"]
    assert (first["outcome"], second["resumedFrom"]) == ("InterruptedRunError", saved.iterations)


def _announce_after_an_iteration(world: World, instance: Instance) -> None:
    log = world.directory / "simulator.log"
    while not log.exists() or "Learning iteration" not in log.read_text():
        time.sleep(0.01)
    instance.take_back(timedelta(minutes=2))


def test_a_training_that_does_not_end_in_time_is_ended(
    world: World, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitway.runner.host.spot._GONE_ALLOWANCE_SECONDS", 0.0)
    world.submit(TrainingConfig(max_iterations=9, num_envs=8))
    # It had no time at all, so that nothing is waited for.
    instance.take_back(timedelta(seconds=-1))
    variables = FIRST_OF_THREE | instance.variables(tmp_path)
    assert attempt(world, "hang", variables) == EXIT_ATTEMPT_AGAIN
    assert world.record.state is RunState.QUEUED


def test_where_no_attempt_is_left_the_caller_receives_the_reason(
    world: World, instance: Instance, tmp_path: Path
) -> None:
    world.submit(TRAINING)
    instance.take_back(timedelta(minutes=2))
    variables = LAST_OF_THREE | instance.variables(tmp_path)
    assert attempt(world, "train_until_asked_to_stop", variables) == EXIT_FAILED
    outcome = world.outcome()
    assert outcome["error"] == "InterruptedRunError"
    assert "AWS takes the Spot instance back" in outcome["cause"]
    assert "Start the run again" in outcome["cause"]


def test_an_evaluation_which_counts_as_a_whole_only_goes_on(world: World, instance: Instance, tmp_path: Path) -> None:
    world.submit(EVALUATION)
    instance.take_back(timedelta(minutes=2))
    assert attempt(world, "succeed", FIRST_OF_THREE | instance.variables(tmp_path)) == EXIT_DONE


def test_a_service_that_fails_now_and_then_is_asked_again(world: World, instance: Instance, tmp_path: Path) -> None:
    world.submit(TRAINING)
    instance.breaks = 2
    instance.take_back(timedelta(minutes=2))
    variables = LAST_OF_THREE | instance.variables(tmp_path)
    assert attempt(world, "train_until_asked_to_stop", variables) == EXIT_FAILED
    assert "AWS takes the Spot instance back" in world.outcome()["cause"]
    # One that an error was answered to is not used again.
    assert instance.tokens == 3


def test_an_instance_on_demand_is_not_asked(world: World, instance: Instance, tmp_path: Path) -> None:
    world.submit(TrainingConfig(max_iterations=5, num_envs=8))
    instance.take_back(timedelta(minutes=2))
    variables = FIRST_OF_THREE | instance.variables(tmp_path, purchase="on-demand")
    assert attempt(world, "succeed", variables) == EXIT_DONE
    assert not instance.asked.is_set()
