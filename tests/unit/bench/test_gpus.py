"""What the benchmark of GPUs computes and packs; its figures need a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpus.jobs import JobError, read_training
from bench.gpus.kit import BESIDE_TORCH, NEEDED_BESIDE_THE_IMAGE, pins
from bench.gpus.model import Iteration, Model, fit
from bench.processes import SIMULATOR, steps_per_iteration, steps_per_second, train_as_process
from gaitway.contracts.workload import TrainingConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.libraries import RlLibrary


@pytest.mark.parametrize("library", ["rsl_rl", "skrl"])
def test_a_speed_counts_the_steps_of_all_environments_and_processes(library: RlLibrary, tmp_path: Path) -> None:
    training = TrainingConfig(
        task="Isaac-Cartpole-Direct-v0", rl_library=library, num_envs=16, max_iterations=20, checkpoint_interval=20
    )
    metrics = train_as_process(SIMULATOR, training, tmp_path / "run")
    alone = read_training(tmp_path / "run", training, processes=1, seconds=1.0)
    two = read_training(tmp_path / "run", training, processes=2, seconds=1.0)
    assert alone.steps_per_iteration * training.max_iterations == 16 * 20 * steps_per_iteration(training.task, library)
    assert two.steps_per_second == pytest.approx(2 * alone.steps_per_second)
    # As the other benchmark counts them, which knows the steps of an iteration from the task.
    per_iteration = steps_per_iteration(training.task, library)
    expected = steps_per_second(metrics, training, per_iteration, warm_up_iterations=5)
    assert alone.steps_per_second == pytest.approx(expected)


def test_a_training_without_metrics_has_no_speed(tmp_path: Path) -> None:
    training = TrainingConfig(task="Isaac-Cartpole-Direct-v0", num_envs=16, max_iterations=20)
    with pytest.raises(JobError, match="0 rows of metrics"):
        read_training(tmp_path, training, processes=1, seconds=1.0)


def test_a_kit_has_the_images_packages_and_the_embedded_aws_but_no_torch() -> None:
    names = {pin.partition("==")[0].lower() for pin in pins()}
    assert {"isaaclab", "newton", "warp-lang", "rsl-rl-lib", *NEEDED_BESIDE_THE_IMAGE} <= names
    assert {name for name in names if name.startswith(BESIDE_TORCH)} == {"nvidia-ml-py"}


def test_the_model_finds_what_iterations_were_made_of() -> None:
    made = Model(fixed=0.1, per_env=2e-5, together=0.03)
    iterations = [Iteration(envs, gpus, made.seconds(envs, gpus)) for envs in (2048, 8192) for gpus in (1, 2)]

    found = fit(iterations)

    assert found is not None
    assert found.seconds(32768, 8) == pytest.approx(0.1 + 2e-5 * 32768 + 3 * 0.03)
    assert found.efficiency(8192, 1) == 1
    assert fit(iterations[:2]) is None


LEARNER = """
import sys, time
import torch
from torch import distributed
from rsl_rl.algorithms.ppo import PPO
distributed.init_process_group("gloo", rank=0, world_size=1, init_method="file://" + sys.argv[1])
ppo = PPO()
for _ in range(20):
    time.sleep(0.002)
    ppo.update()
# Its threads must not outlive what they use.
distributed.destroy_process_group()
"""
PPO = """
import time
import torch
from torch import distributed

class PPO:
    def __init__(self):
        self.actor = torch.nn.BatchNorm1d(2)

    def update(self):
        time.sleep(0.004)
        distributed.all_reduce(torch.ones(1))
"""


def test_shares_are_measured_in_a_simulator_and_nowhere_else(tmp_path: Path) -> None:
    package = tmp_path / "rsl_rl" / "algorithms"
    package.mkdir(parents=True)
    (package / "ppo.py").write_text(PPO)
    for directory in (package, package.parent):
        (directory / "__init__.py").touch()
    path = os.pathsep.join((str(REPOSITORY_ROOT / "bench/gpus/shares"), str(tmp_path)))

    def learn(*words: str) -> None:
        command = [sys.executable, "-c", LEARNER, str(tmp_path / f"group{len(words)}"), *words]
        subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, check=True)

    learn()
    assert not (tmp_path / "shares-0.json").exists()
    learn("gaitway.simulators.isaaclab3")
    shares = json.loads((tmp_path / "shares-0.json").read_text())
    seconds = shares["seconds"]
    assert shares["updates"] == 10
    assert 0 < seconds["communication"] < seconds["update"] < seconds["whole"]
    assert seconds["physics"] == 0
    assert shares["weights"] != shares["normalisers"]
