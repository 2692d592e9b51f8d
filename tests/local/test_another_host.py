"""The runner knows what runs its job by a port only: a run on a host that is not AWS Batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gaitway.contracts.errors import Failure, InterruptedRunError
from gaitway.contracts.history import Machine
from gaitway.contracts.run import RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.host.host import Image, Nodes
from gaitway.runner.host.spot import SpotNotices
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.runner.stop import StopRequest
from tests.local.emulator import Emulator
from tests.local.runner_world import World

ONE_NODE = Nodes(count=1, index=0, main_index=0, main_address="127.0.0.1", port=29_400)


@dataclass
class Desk:
    """A machine under a desk."""

    job_id: str = "desk/1"
    attempt: int = 1
    may_be_attempted_again: bool = True
    nodes: Nodes = ONE_NODE

    def is_attempted_again_after_stop(self) -> bool:
        return self.may_be_attempted_again

    def report_failure(self, failure: Failure) -> None:
        """A desk shows nothing."""

    def image(self) -> Image:
        return Image("a desk")

    def machine(self, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
        return Machine(instance_type="desk", nodes=num_nodes, usd_per_hour=prices.get("desk"))

    def notices(self, machine: Machine | None) -> SpotNotices:
        return SpotNotices(None, "http://127.0.0.1:9")


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


def test_a_run_goes_from_one_attempt_to_the_next_and_says_where_it_was(world: World) -> None:
    world.submit(TrainingConfig(max_iterations=5, num_envs=8))
    stop = StopRequest()
    stop.request(InterruptedRunError("told to stop"))
    variables = {"GAITWAY_INSTANCE_PRICES": '{"desk": 0.5}'}
    assert world.run_here("succeed", stop=stop, variables=variables, host=Desk()) == EXIT_ATTEMPT_AGAIN
    assert (world.record.state, world.record.job_id) == (RunState.QUEUED, "desk/1")

    assert world.run_here("succeed", variables=variables, host=Desk(attempt=2)) == EXIT_DONE

    assert world.record.attempt == 2
    assert world.record.machine is not None
    assert (world.record.machine.instance_type, world.record.machine.usd_per_hour) == ("desk", 0.5)
    assert b'"a desk"' in world.objects()["training-config.json"]


def test_where_no_attempt_is_left_the_caller_receives_the_reason(world: World) -> None:
    world.submit(TrainingConfig(max_iterations=5, num_envs=8))
    stop = StopRequest()
    stop.request(InterruptedRunError("told to stop"))
    assert world.run_here("succeed", stop=stop, host=Desk(may_be_attempted_again=False)) == EXIT_FAILED
    assert world.outcome()["error"] == "InterruptedRunError"
