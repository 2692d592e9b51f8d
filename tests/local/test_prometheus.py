"""A run on a cluster, as a real Prometheus sees it: every panel of the dashboard has data.

The cluster is a stand-in: the variables that Slurm gives to two nodes, as processes of this machine; and so is NVIDIA's
driver. Runner, torchrun and Prometheus are real.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.backends import Backend
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.processes.torchrun import free_port
from gaitway.runner.run import EXIT_DONE
from stacks.prometheus.dashboard import PANELS
from stacks.prometheus.rules import rules
from stacks.prometheus.scraping import of_slurm
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator
from tests.local.runner_world import World, priced
from tests.prometheus import needs_prometheus, prometheus

BACKEND: Backend = "hyperpod-slurm"
TRAINING = TrainingConfig(task="Isaac-Cartpole-Direct-v0", max_iterations=9, num_envs=8)
SECONDS = 200.0


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


class Cluster:
    """What Slurm and the job's script tell the runners of two nodes, which have GPUs."""

    def __init__(self, directory: Path) -> None:
        self._machine = priced(directory, usd_per_second=0.001)
        self._node_port = str(free_port())
        self.ports = [free_port(), free_port()]
        """Of the metrics; on a cluster both are the same, on different machines."""

    def variables(self, node: int) -> dict[str, str]:
        return self._machine | {
            "GAITWAY_BACKEND": BACKEND,
            "GAITWAY_JOB_ID": f"{BACKEND}/run-{'0' * 20}-{'a' * 12}-1",
            "GAITWAY_TIMEOUT_SECONDS": "3600",
            "GAITWAY_ATTEMPT_BEGAN_AT": str(int(time.time())),
            "GAITWAY_MAIN_ADDRESS": "127.0.0.1",
            "GAITWAY_NODE_PORT": self._node_port,
            "GAITWAY_METRICS_PORT": str(self.ports[node]),
            "GAITWAY_METRICS_ADDRESS": "127.0.0.1",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_NODEID": str(node),
            "PYTHONPATH": str(Path(__file__).parent / "nvml"),
        }

    def announce(self, efs_root: Path) -> None:
        """Write the file of targets that the job's script writes."""
        (efs_root / "metrics").mkdir()
        targets = [f"127.0.0.1:{port}" for port in self.ports]
        (efs_root / "metrics" / "run-1.json").write_text(json.dumps([{"targets": targets}]))


def config(efs_root: Path, directory: Path) -> dict[str, Any]:
    """Scrape as on a cluster, but each second."""
    often = json.loads(re.sub(r'"30s"', '"1s"', json.dumps({"rules": rules(), "config": of_slurm(str(efs_root))})))
    (directory / "rules.json").write_text(json.dumps(often["rules"]))
    return {**often["config"], "rule_files": [str(directory / "rules.json")]}


@contextmanager
def training(world: World, cluster: Cluster) -> Iterator[None]:
    """A run on two nodes, which trains until the end."""
    world.submit(TRAINING, compute=ComputeConfig(num_nodes=2, max_cost_usd=50, backend=BACKEND))
    jobs = [world.start_job("hang", **cluster.variables(node)) for node in (1, 0)]
    try:
        yield
    finally:
        for job in jobs:
            job.process.terminate()
        for job in jobs:
            job.wait()


@needs_prometheus
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_panel_of_the_dashboard_has_data_of_a_run(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    cluster, directory = Cluster(world.efs_root), tmp_path_factory.mktemp("prometheus")
    cluster.announce(world.efs_root)
    with prometheus(config(world.efs_root, directory), directory) as server, training(world, cluster):

        def empty() -> list[str]:
            asked = {
                panel.title: panel.expression.replace("$run", world.run_id).replace("$task", ".*") for panel in PANELS
            }
            return [title for title, expression in asked.items() if not server.query(expression)]

        until(lambda: server.is_ready, SECONDS)
        until(lambda: empty() == [], SECONDS)

        [reward] = server.query("gaitway_mean_reward")
        labels = {"run": world.run_id, "task": TRAINING.task, "library": "rsl_rl", "simulator": "embedded"}
        assert labels.items() <= reward["metric"].items()
        assert float(reward["value"][1]) == 0.5
        # Each node has its GPUs, and the main node alone the run.
        gpus = server.query("gaitway_gpu_utilization_ratio")
        assert {(one["metric"]["node"], one["metric"]["gpu"], one["value"][1]) for one in gpus} == {
            (node, gpu, busy) for node in "01" for gpu, busy in (("0", "0"), ("1", "0.9"))
        }
        [utilization] = server.query("run:gaitway_gpu_utilization_ratio:avg")
        assert float(utilization["value"][1]) == pytest.approx(0.45)
        [age] = server.query("time() - gaitway_checkpoint_timestamp_seconds")
        assert 0 <= float(age["value"][1]) < SECONDS
        # Nothing is wrong with it.
        assert server.query('ALERTS{alertstate="firing"}') == []


def test_a_run_whose_port_is_taken_succeeds_without_metrics(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.submit(TrainingConfig(max_iterations=3, num_envs=8))
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = {"GAITWAY_METRICS_PORT": str(other.getsockname()[1]), "GAITWAY_METRICS_ADDRESS": "127.0.0.1"}
        assert world.run_here("succeed", variables=place) == EXIT_DONE
    assert "no metrics for Prometheus" in caplog.text
