"""Which simulator a job starts."""

import pytest

from gaitway.runner.host.environment import Environment
from gaitway.runner.processes.choice import simulator_command

BOTH = '["isaaclab-3", "embedded"]'


def module(task: str, simulators: str | None, of_image: str = "embedded") -> str:
    variables = {
        "GAITWAY_RUN_TABLE": "runs",
        "GAITWAY_METRICS_NAMESPACE": "Gaitway",
        "GAITWAY_EFS_ROOT": "/mnt/efs",
        "GAITWAY_SIMULATOR": of_image,
    } | ({} if simulators is None else {"GAITWAY_SIMULATORS": simulators})
    return simulator_command(task, Environment.of(variables))[-1].rpartition(".")[2]


@pytest.mark.parametrize("task", ["Isaac-Cartpole-Direct", "Isaac-Ant", "IsaacContrib-Reach-Franka"])
def test_a_task_of_isaac_lab_3_runs_in_it_where_the_deployment_has_it(task: str) -> None:
    assert module(task, BOTH) == "isaaclab3"
    assert module(task, '["embedded"]') == "embedded"
    assert module(task, None, "isaaclab2") == "isaaclab2"


@pytest.mark.parametrize(
    "task", ["Isaac-Cartpole-Direct-v0", "Isaac-Nowhere-v12", "Example-Centred", "mine:Isaac-Mine"]
)
def test_any_other_task_runs_in_the_images_own_simulator(task: str) -> None:
    assert module(task, BOTH) == "embedded"
    assert module(task, '["isaaclab-3"]', "isaaclab3") == "isaaclab3"
