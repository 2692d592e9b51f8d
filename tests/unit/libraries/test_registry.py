"""Every library has one record, and the simulators say truthfully which of them they train with."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest

from gaitway.libraries import LIBRARIES, Counts, RlLibrary, record_of
from gaitway.libraries.simulators import SIMULATORS, Simulator, supported_by

ADAPTERS = Path(__file__).parents[3] / "gaitway" / "simulators"


def test_what_a_request_may_name_has_a_record_of_that_name() -> None:
    assert list(get_args(RlLibrary)) == list(LIBRARIES)
    assert {name: record.name for name, record in LIBRARIES.items()} == {name: name for name in LIBRARIES}


def test_an_unknown_library_is_an_error_and_never_another_one() -> None:
    with pytest.raises(ValueError, match=r"'rllib' is not an RL library.*allowed: rsl_rl, rl_games, skrl, sb3"):
        record_of("rllib")


def test_no_two_libraries_number_their_checkpoints_alike() -> None:
    names = {
        "rsl_rl": "model_1499.pt",
        "skrl": "agent_4800.pt",
        "rl_games": "last_cartpole_ep_75_rew__283.2_.pth",
        "sb3": "model_4800_steps.zip",
    }
    for library, name in names.items():
        assert [other for other, record in LIBRARIES.items() if record.number_of(name) is not None] == [library]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_simulator_has_an_adapter_for_each_library_that_it_supports_and_for_no_other(simulator: Simulator) -> None:
    folder = ADAPTERS / SIMULATORS[simulator].module / "libraries"
    adapters = {path.stem for path in folder.glob("*.py") if path.stem in LIBRARIES}
    assert adapters == set(SIMULATORS[simulator].libraries)


def test_every_simulator_is_a_program_that_has_an_entry() -> None:
    programs = {path.parent.name for path in ADAPTERS.glob("*/__main__.py")}
    assert programs == {support.module for support in SIMULATORS.values()}


def test_the_embedded_simulator_supports_the_releases_that_are_installed() -> None:
    for library, release in SIMULATORS["embedded"].libraries.items():
        assert version(LIBRARIES[library].distribution) == release


def test_what_any_of_several_simulators_supports_is_supported() -> None:
    assert supported_by(["isaaclab-2"]) == ["rsl_rl", "rl_games", "skrl"]
    assert supported_by(["isaaclab-2", "embedded"]) == ["rsl_rl", "rl_games", "skrl", "sb3"]


def test_steps_of_all_environments_become_iterations_by_both_parameters() -> None:
    record = record_of("sb3")
    assert record.counts is Counts.STEPS_OF_ALL
    params = {"agent.yaml": "seed: 42\nn_steps: 16\n", "env.yaml": "scene:\n  num_envs: 64\n"}
    assert record.iteration_length(params.get) == 1024
    assert record.completed(10_240, 1024) == 10
    assert record.iteration_length({"agent.yaml": params["agent.yaml"]}.get) is None
    assert record.iteration_length({"env.yaml": params["env.yaml"]}.get) is None
