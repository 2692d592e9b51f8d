"""A multi-node job: one runner per node, here as processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaitway.contracts.limits import NODES_JOIN_SECONDS, START_UP_ALLOWANCE_SECONDS
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.processes.launch import Simulator, simulator_of
from gaitway.runner.processes.torchrun import free_port
from gaitway.runner.reporting.heartbeat import Activity, deserves_heartbeat
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE
from tests.local.emulator import Emulator
from tests.local.runner_world import World

TWO_NODES = ComputeConfig(num_nodes=2)
TRAINING = TrainingConfig(task="Isaac-Cartpole-Direct-v0", max_iterations=4, num_envs=8)


class Nodes:
    """What AWS Batch tells each of two nodes."""

    def __init__(self) -> None:
        self._port = str(free_port())

    def variables(self, index: int) -> dict[str, str]:
        address = {"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "127.0.0.1"} if index else {}
        return address | {
            "AWS_BATCH_JOB_ID": f"job-1#{index}",
            "AWS_BATCH_JOB_NUM_NODES": "2",
            "AWS_BATCH_JOB_NODE_INDEX": str(index),
            "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
            "GAITWAY_JOB_ATTEMPTS": "3",
            "GAITWAY_NODE_PORT": self._port,
        }


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


def test_a_leading_node_that_waits_for_the_others_keeps_the_run_alive() -> None:
    # Each of them pulls an image of 20 GB first.
    assert NODES_JOIN_SECONDS >= 1500
    assert deserves_heartbeat(NODES_JOIN_SECONDS, simulation_began=False)


def test_the_time_in_which_nodes_are_waited_for_is_not_the_simulators(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    @contextmanager
    def after_a_long_wait(*arguments: Any) -> Iterator[Simulator]:
        nonlocal now
        with simulator_of(*arguments) as simulator:
            now += START_UP_ALLOWANCE_SECONDS + 1
            yield simulator

    monkeypatch.setattr("gaitway.runner.run.Activity", lambda: Activity(clock=lambda: now))
    monkeypatch.setattr("gaitway.runner.run.simulator_of", after_a_long_wait)
    world.submit(TRAINING)
    assert world.run_here("succeed") == EXIT_DONE


def test_a_node_that_vanishes_ends_the_attempt_at_once_and_the_next_one_goes_on(world: World, nodes: Nodes) -> None:
    world.submit(TRAINING, compute=TWO_NODES)
    follower = world.start_job("vanish_in_rank_1", **nodes.variables(1))
    leader = world.start_job("vanish_in_rank_1", **nodes.variables(0))
    leader.wait_for("Learning iteration 1/4")

    vanished_at = time.monotonic()
    code = leader.wait()

    assert follower.wait() == -9
    assert time.monotonic() - vanished_at < 20
    # Batch knows no job of this name, and so the caller is told: see the tests of attempts.
    assert code != EXIT_DONE
    assert "node 1 is gone" in leader.output


def test_a_process_that_fails_on_another_node_ends_the_attempt_with_its_words(world: World, nodes: Nodes) -> None:
    world.submit(TRAINING, compute=TWO_NODES)
    follower = world.start_job("fail_in_rank_1", **nodes.variables(1))
    leader = world.start_job("fail_in_rank_1", **nodes.variables(0))

    assert leader.wait() == EXIT_ATTEMPT_AGAIN, leader.output
    assert follower.wait() == 1
    assert world.record.state is RunState.QUEUED
    assert "SimulationError: the processes of node 1 ended with exit code 1" in leader.output
    assert "rank 1 has lost its way" in follower.output


def test_a_follower_ends_when_the_leading_node_is_gone(world: World, nodes: Nodes) -> None:
    world.submit(TRAINING, compute=TWO_NODES)
    follower = world.start_job("hang", **nodes.variables(1))
    leader = world.start_job("hang", **nodes.variables(0))
    leader.wait_for("Learning iteration 1/4")
    left_behind = psutil.Process(leader.process.pid).children(recursive=True)

    leader.process.kill()

    assert follower.wait() == 1
    # In a container they end with the runner, which is its first process.
    for process in left_behind:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert "the leading node has ended, or is gone" in follower.output
