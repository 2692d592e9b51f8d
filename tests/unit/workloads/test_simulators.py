"""Which of the deployed simulators runs a request, and what the run says of it."""

from __future__ import annotations

from typing import Any

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries.simulators import Simulator
from gaitway.libraries.tasks import known_tasks
from gaitway.workloads.simulators import Choice, Simulators, choose_simulator

BOTH: Simulators = ("isaaclab-3", "isaaclab-2")
ON_LAPTOP: Simulators = ("isaaclab-3", "embedded")
WITHOUT_NEWTON = ("IsaacContrib-Factory-PegInsert-Direct", "Isaac-Factory-PegInsert-Direct-v0")


def chosen(task: str, deployed: Simulators, begun_in: Simulator | None = None, **fields: Any) -> Choice:
    return choose_simulator(TrainingConfig.model_validate({"task": task} | fields), deployed, begun_in)


def refusal(task: str, deployed: Simulators, **fields: Any) -> str:
    with pytest.raises(RequestError) as caught:
        chosen(task, deployed, **fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "simulator"),
    [
        ("Isaac-Ant-v0", "isaaclab-2"),
        ("Isaac-Velocity-Flat-Anymal-C-Play-v0", "isaaclab-2"),
        ("Isaac-Ant", "isaaclab-3"),
        ("IsaacContrib-Velocity-Rough-AnymalC", "isaaclab-3"),
        # A name of 3.0, although it has a version.
        ("Isaac-DrLegs-Walk-v0", "isaaclab-3"),
        # Of nobody's that is known: the version tells.
        ("Mine-v0", "isaaclab-2"),
        ("mine:Isaac-Walker-v3", "isaaclab-2"),
        ("Mine", "isaaclab-3"),
    ],
)
def test_a_name_means_a_simulator_and_a_deployment_that_has_both_says_nothing(task: str, simulator: Simulator) -> None:
    assert chosen(task, BOTH) == Choice(simulator)


@pytest.mark.parametrize(
    ("task", "deployed", "simulator", "said"),
    [
        ("Isaac-Ant-v0", "isaaclab-3", "isaaclab-3", "it runs as Isaac-Ant in Isaac Lab 3.0 (Newton physics)"),
        ("Isaac-Ant", "isaaclab-2", "isaaclab-2", "it runs as Isaac-Ant-v0 in Isaac Lab 2.3.2 (PhysX)"),
        (
            *("Isaac-Velocity-Rough-Anymal-C-v0", "isaaclab-3", "isaaclab-3"),
            "it runs as IsaacContrib-Velocity-Rough-AnymalC in Isaac Lab 3.0 (Newton physics)",
        ),
        (
            *("IsaacContrib-Velocity-Rough-AnymalC", "isaaclab-2", "isaaclab-2"),
            "it runs as Isaac-Velocity-Rough-Anymal-C-v0 in Isaac Lab 2.3.2 (PhysX)",
        ),
        ("Isaac-Cartpole-Direct", "embedded", "embedded", "it runs as Isaac-Cartpole-Direct-v0 in the embedded"),
    ],
)
def test_where_the_meant_one_is_missing_the_name_is_mapped_and_the_run_says_so(
    task: str, deployed: Simulator, simulator: Simulator, said: str
) -> None:
    choice = chosen(task, (deployed,))
    assert choice.simulator == simulator
    assert choice.remark is not None
    assert choice.remark.startswith(f"{task} means Isaac Lab")
    assert "which is not deployed here" in choice.remark
    assert said in choice.remark


def test_a_laptop_runs_names_of_2_in_the_cart_pole_and_what_that_lacks_in_isaac_lab_3() -> None:
    cartpole = chosen("Isaac-Cartpole-v0", ON_LAPTOP)
    assert cartpole.simulator == "embedded"
    assert cartpole.remark is not None
    assert cartpole.remark.endswith("it runs in the embedded simulator (a cart-pole in torch)")
    assert chosen("Isaac-Ant-v0", ON_LAPTOP).simulator == "isaaclab-3"
    assert chosen("Isaac-Cartpole-Direct", ON_LAPTOP) == Choice("isaaclab-3")


def test_a_task_of_a_custom_environment_goes_where_its_name_belongs() -> None:
    package: dict[str, Any] = {"customEnvironmentPath": "tasks.zip"}
    assert chosen("Mine-v0", ON_LAPTOP, **package).simulator == "embedded"
    assert chosen("Mine-v0", ("isaaclab-3",), **package).simulator == "isaaclab-3"
    # A package may register it: the simulator will say.
    assert chosen(WITHOUT_NEWTON[0], ("isaaclab-3",), **package).simulator == "isaaclab-3"


@pytest.mark.parametrize(
    ("task", "simulator", "remark"),
    [
        ("Isaac-Ant-v0", "isaaclab-3", "Isaac-Ant-v0 runs as Isaac-Ant in Isaac Lab 3.0 (Newton physics)"),
        ("Isaac-Ant", "isaaclab-2", "Isaac-Ant runs as Isaac-Ant-v0 in Isaac Lab 2.3.2 (PhysX)"),
        ("Isaac-Ant", "isaaclab-3", None),
        ("Isaac-Ant-v0", "isaaclab-2", None),
    ],
)
def test_a_request_may_name_the_simulator(task: str, simulator: Simulator, remark: str | None) -> None:
    assert chosen(task, BOTH, simulator=simulator) == Choice(simulator, remark)


def test_one_that_is_not_deployed_is_refused() -> None:
    message = refusal("Isaac-Ant", ("isaaclab-3",), simulator="isaaclab-2")
    assert "trainingConfig.simulator is 'isaaclab-2', which is not deployed here, allowed: isaaclab-3" in message


def test_a_task_without_physics_for_newton_is_refused_naming_the_simulator_that_has_it() -> None:
    new, old = WITHOUT_NEWTON
    assert known_tasks().lacks_newton(new)
    assert chosen(old, BOTH) == Choice("isaaclab-2")
    why = f"trainingConfig.task is {new!r}, which has no physics for Newton in Isaac Lab 3.0"
    for message in (refusal(new, BOTH), refusal(new, BOTH, simulator="isaaclab-3")):
        assert message.startswith(why)
        assert f"the simulator isaaclab-2 has it, as {old}: give trainingConfig.simulator isaaclab-2" in message
    alone: Simulators = ("isaaclab-3",)
    for task in WITHOUT_NEWTON:
        message = refusal(task, alone)
        assert "which has no physics for Newton in Isaac Lab 3.0" in message
        assert f"the simulator isaaclab-2 has it, as {old}, but is not deployed here" in message


def test_a_task_that_only_another_simulator_has_is_refused_naming_it() -> None:
    message = refusal("Isaac-Cartpole-RGB-v0", ("isaaclab-3",))
    assert "which is not there in Isaac Lab 3.0; the simulator isaaclab-2 has it" in message
    message = refusal("Isaac-Cartpole-Camera", ("isaaclab-2",))
    assert "which is not there in Isaac Lab 2.3.2; the simulator isaaclab-3 has it" in message
    assert "but is not deployed here" in refusal("Isaac-Ant", ("embedded",))


def test_a_run_that_is_started_again_stays_where_its_checkpoints_are() -> None:
    again = chosen("Isaac-Ant-v0", BOTH, begun_in="isaaclab-3")
    assert again == Choice(
        "isaaclab-3", "Isaac-Ant-v0 runs as Isaac-Ant in Isaac Lab 3.0 (Newton physics), where it began"
    )
    # Unless that is not deployed any more.
    assert chosen("Isaac-Ant-v0", ("isaaclab-2",), begun_in="isaaclab-3") == Choice("isaaclab-2")


def test_a_library_is_one_of_the_chosen_simulators() -> None:
    message = refusal("Isaac-Ant-v0", BOTH, rlLibrary="sb3")
    assert "rlLibrary is 'sb3', which Isaac Lab 2.3.2 does not support here, allowed: rsl_rl, rl_games, skrl" in message
    assert message.endswith("or give trainingConfig.simulator isaaclab-3")
    assert chosen("Isaac-Ant", BOTH, rlLibrary="sb3").simulator == "isaaclab-3"


@pytest.mark.parametrize("override", ["presets=newton", "physics=newton_mjwarp"])
def test_presets_are_of_isaac_lab_3(override: str) -> None:
    message = refusal("Isaac-Cartpole-v0", ("embedded",), hydraOverrides=[override])
    assert message.endswith("which is not there in the embedded simulator, allowed: env.<key> and agent.<key>")
    message = refusal("Isaac-Cartpole-v0", BOTH, hydraOverrides=[override])
    assert message.endswith("or give trainingConfig.simulator isaaclab-3")
    assert chosen("Isaac-Cartpole", BOTH, hydraOverrides=[override]).simulator == "isaaclab-3"
