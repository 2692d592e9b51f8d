"""Hydra's overrides change the settings that they name, or say what they could name."""

from __future__ import annotations

import math

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.simulators.embedded.overrides import apply_overrides, known_keys
from gaitway.simulators.embedded.registry import find_task

DIRECT = find_task("Isaac-Cartpole-Direct-v0", "rsl_rl")
MANAGER_BASED = find_task("Isaac-Cartpole-v0", "rsl_rl")


def test_overrides_reach_settings_at_any_depth_and_leave_the_others() -> None:
    env, agent = apply_overrides(
        MANAGER_BASED.environment,
        MANAGER_BASED.agents["rsl_rl"],
        [
            "env.episode_length_s=10",
            "env.rewards.pole_pos.weight=-2",
            "env.events.reset_cart_position.params.position_range=[-0.5,0.5]",
            "agent.algorithm.learning_rate=1e-3",
            "++agent.policy.actor_hidden_dims=[64, 64]",
            "agent.clip_actions=1",
            "agent.policy.activation=relu",
        ],
    )
    assert env.episode_length_s == 10
    assert env.rewards.pole_pos.weight == -2
    assert env.rewards.alive.weight == 1
    assert env.events.reset_cart_position.params.position_range == (-0.5, 0.5)
    assert agent.algorithm.learning_rate == 0.001
    assert agent.policy.actor_hidden_dims == (64, 64)
    assert agent.clip_actions == 1
    assert agent.policy.activation == "relu"
    assert MANAGER_BASED.environment.episode_length_s == 5, "the registered settings stay as they are"


def test_nan_is_a_number_that_the_library_may_stumble_over_itself() -> None:
    _, agent = apply_overrides(DIRECT.environment, DIRECT.agents["rsl_rl"], ["agent.algorithm.learning_rate=.nan"])
    assert math.isnan(agent.algorithm.learning_rate)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "agent.algorithm.learning_rat=1",
            r"not a known key \(did you mean agent\.algorithm\.learning_rate\?",
        ),
        ("env.rewards.pole_pos.weight=1", r"not a known key .*env\.rew_scale_pole_pos"),
        ("agnt.seed=1", r"agnt\.seed is not a known key \(did you mean agent\.seed\?\)"),
        ("env.decimation=0", r"env\.decimation is '0', allowed: greater than or equal to 1"),
        ("agent.save_interval=often", r"agent\.save_interval is 'often', allowed: a valid integer"),
        ("agent.policy.activation=sinus", r"'sinus', allowed: 'elu', .*or 'identity'"),
        ("env.initial_pole_angle_range=[1]", r"env\.initial_pole_angle_range is '\[1\]'"),
        ("env.initial_pole_angle_range=[1", r"env\.initial_pole_angle_range is '\[1'"),
        ("agent.algorithm={}", r"agent\.algorithm is a group of settings, allowed: agent\.algorithm\.value_loss_coef"),
        ("~agent.seed", r"adds or deletes a key, allowed here: key=value"),
        ("+agent.extra=1", r"adds or deletes a key"),
        ("agent.max_iterations=10", r"set by trainingConfig\.maxIterations"),
        ("env.scene.num_envs=10", r"set by trainingConfig\.numEnvs"),
    ],
)
def test_a_wrong_override_is_refused_with_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        apply_overrides(DIRECT.environment, DIRECT.agents["rsl_rl"], [override])


def test_every_setting_of_both_tasks_can_be_named() -> None:
    keys = known_keys({"env": DIRECT.environment, "agent": DIRECT.agents["rsl_rl"]})
    assert {"env.sim.dt", "env.rew_scale_alive", "agent.policy.init_noise_std", "agent.algorithm.gamma"} <= set(keys)


def test_an_unknown_task_is_refused_with_the_nearest_first() -> None:
    with pytest.raises(RequestError, match=r"'Isaac-Cartpole-Direct-v1'.*nearest: Isaac-Cartpole-Direct-v0, Isaac-"):
        find_task("Isaac-Cartpole-Direct-v1", "rsl_rl")


def test_a_library_without_settings_is_refused() -> None:
    with pytest.raises(RequestError, match=r"rlLibrary is 'rllib'.*allowed: skrl, rsl_rl, rl_games, sb3"):
        find_task("Isaac-Cartpole-v0", "rllib")  # type: ignore[arg-type]


def test_a_task_may_be_named_with_the_module_that_registers_it() -> None:
    assert find_task("isaaclab_tasks:Isaac-Cartpole-v0", "rsl_rl") is MANAGER_BASED


def test_a_task_may_have_its_name_of_isaac_lab_3() -> None:
    assert find_task("Isaac-Cartpole-Direct", "rsl_rl") is DIRECT
