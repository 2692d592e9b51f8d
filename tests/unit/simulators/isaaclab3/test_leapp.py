"""What LEAPP exports of a policy trained in real Isaac Lab 3.0: from a robot's joints to their targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx.reference import ReferenceEvaluator

from gaitway.contracts.simulation import LEAPP_DIRECTORY, NO_LEAPP
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.workloads.train import TRAIN
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3
from tests.unit.simulators.isaaclab3.test_simulator import job, start

pytestmark = [pytest.mark.slow, only_with_isaac_lab_3]

TASK = "Isaac-Cartpole"
FORCE = 100.0
"""Of an action of 1: `scale` in isaaclab_tasks/core/cartpole/cartpole_manager_env_cfg.py."""
PATIENT = {"GAITWAY_EXIT_ALLOWANCE_SECONDS": "300"}
"""For a machine that is at work on other tests."""


def train(directory: Path, library: str, variables: dict[str, str], **training: Any) -> dict[str, Path]:
    """Train for an iteration, and return the outputs."""
    asked = job(library, max_iterations=1) | {"task": TASK} | training
    ended = start(directory, asked, variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return dict(TRAIN.outputs(directory, TrainingConfig.model_validate(asked)))


@pytest.mark.parametrize("library", ["rsl_rl", "skrl", "rl_games", "sb3"])
def test_it_is_the_policy_between_a_robots_joints_and_their_targets(library: RlLibrary, tmp_path: Path) -> None:
    outputs = train(tmp_path, library, PATIENT)
    assert not list(tmp_path.rglob(NO_LEAPP))
    described = yaml.safe_load(outputs["exported/leapp/policy.yaml"].read_text(encoding="utf-8"))
    assert described["pipeline"]["configs"]["frequency"] == 60.0
    model = described["models"][TASK]
    assert [each["name"] for each in model["inputs"]] == ["robot_joint_pos", "robot_joint_vel"]
    assert model["outputs"][0]["element_names"] == [["slider_to_cart"]]

    # The network alone, to which a robot's code would have to bring observations and from which it would scale actions.
    graph: Any = ReferenceEvaluator(str(outputs[f"exported/leapp/{model['parameters']['model_path']}"]))
    network: Any = ReferenceEvaluator(str(outputs["exported/policy.onnx"]))
    random = np.random.default_rng(0)
    for _ in range(5):
        positions, velocities = random.normal(size=(2, 1, 2)).astype(np.float32)
        (action,) = network.run(None, {"obs": np.concatenate([positions, velocities], axis=1)})
        force = graph.run(None, {"robot_joint_pos": positions, "robot_joint_vel": velocities})[0]
        assert force == pytest.approx(FORCE * action, rel=1e-3, abs=1e-3)


def test_a_training_for_which_it_takes_too_long_succeeds_and_says_so(tmp_path: Path) -> None:
    outputs = train(tmp_path, "rsl_rl", {"GAITWAY_EXIT_ALLOWANCE_SECONDS": "10.5"})
    assert "exported/policy.onnx" in outputs
    assert not any("leapp" in name for name in outputs)
    config = TrainingConfig(task=TASK, num_envs=16, max_iterations=1)
    assert TRAIN.judge(tmp_path, config, 1).no_leapp == "it takes more than 0 s"
    (note,) = tmp_path.rglob(NO_LEAPP)
    assert sorted(path.name for path in note.parent.glob("*leapp*")) == [NO_LEAPP]
    assert LEAPP_DIRECTORY not in {path.name for path in note.parent.iterdir()}
