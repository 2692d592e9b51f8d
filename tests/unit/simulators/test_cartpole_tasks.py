"""Both tasks observe, reward, end and reset as Isaac Lab's do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gaitway.simulators.embedded.cartpole.base import CartpoleEnvironment, SceneConfig
from gaitway.simulators.embedded.cartpole.direct import CartpoleDirectConfig, CartpoleDirectEnvironment
from gaitway.simulators.embedded.cartpole.dynamics import State
from gaitway.simulators.embedded.cartpole.manager_based import (
    CartpoleManagerBasedConfig,
    CartpoleManagerBasedEnvironment,
)

CPU = torch.device("cpu")
STATE = State(*(torch.tensor([value]) for value in (0.5, -2.0, 0.3, 4.0)))
"""Cart at 0.5 m with -2 m/s, pole at 0.3 rad with 4 rad/s."""


def direct(num_envs: int = 1, seed: int = 0) -> CartpoleDirectEnvironment:
    return CartpoleDirectEnvironment(CartpoleDirectConfig(scene=SceneConfig(num_envs)), seed, CPU)


def manager_based(num_envs: int = 1, seed: int = 0) -> CartpoleManagerBasedEnvironment:
    return CartpoleManagerBasedEnvironment(CartpoleManagerBasedConfig(scene=SceneConfig(num_envs)), seed, CPU)


def place(environment: CartpoleEnvironment, **joints: float) -> None:
    """Put every cart-pole at rest, upright and in the middle, but for the given joints."""
    still = torch.zeros(environment.num_envs)
    state = State(still, still, still, still)
    environment.state = state._replace(**{joint: still + value for joint, value in joints.items()})


def idle(environment: CartpoleEnvironment) -> torch.Tensor:
    return torch.zeros(environment.num_envs, 1)


def test_direct_observes_the_pole_first() -> None:
    environment = direct()
    environment.state = STATE
    assert environment.observe().tolist() == [pytest.approx([0.3, 4.0, 0.5, -2.0])]


def test_manager_based_observes_positions_then_velocities() -> None:
    environment = manager_based()
    environment.state = STATE
    assert environment.observe().tolist() == [pytest.approx([0.5, 0.3, -2.0, 4.0])]


@pytest.mark.parametrize(("terminated", "base"), [(False, 1.0), (True, -2.0)])
def test_direct_rewards_per_step(terminated: bool, base: float) -> None:
    reward = direct()._rewards(STATE, torch.tensor([terminated]))
    assert reward.item() == pytest.approx(base - 0.3**2 - 0.01 * 2 - 0.005 * 4)


@pytest.mark.parametrize(("terminated", "base"), [(False, 1.0), (True, -2.0)])
def test_manager_based_rewards_per_second_with_the_angle_wrapped(terminated: bool, base: float) -> None:
    turned_once = STATE._replace(pole_angle=STATE.pole_angle + 2 * math.pi)
    reward = manager_based()._rewards(turned_once, torch.tensor([terminated]))
    assert reward.item() == pytest.approx((base - 0.3**2 - 0.01 * 2 - 0.005 * 4) / 60, rel=1e-5)


@pytest.mark.parametrize("make", [direct, manager_based])
def test_a_unit_of_action_is_a_hundred_newtons_for_two_physics_steps(
    make: type[CartpoleDirectEnvironment] | type[CartpoleManagerBasedEnvironment],
) -> None:
    environment = make()  # type: ignore[call-arg]
    place(environment)
    state = environment.state
    for _ in range(2):
        state = environment._robot.advance(state, torch.tensor([50.0]), 1 / 120)
    environment.step(torch.tensor([[0.5]]))
    assert torch.equal(environment.state.cart_position, state.cart_position)
    assert environment.step_seconds == pytest.approx(1 / 60)


@pytest.mark.parametrize(
    ("joints", "reasons"),
    [
        ({"cart_position": 2.99}, set()),
        ({"cart_position": 3.01}, {"cart_out_of_bounds"}),
        ({"cart_position": -3.01}, {"cart_out_of_bounds"}),
        ({"pole_angle": 1.5}, set()),
        ({"pole_angle": 1.6}, {"pole_out_of_bounds"}),
        ({"pole_angle": -1.6, "cart_position": 3.5}, {"pole_out_of_bounds", "cart_out_of_bounds"}),
    ],
)
def test_direct_ends_where_the_cart_leaves_or_the_pole_falls(joints: dict[str, float], reasons: set[str]) -> None:
    environment = direct()
    place(environment, **joints)
    terminations = environment._terminations(environment.state)
    assert {reason for reason, ended in terminations.items() if ended} == reasons


def test_manager_based_ends_where_the_cart_leaves_but_not_where_the_pole_falls() -> None:
    environment = manager_based()
    place(environment, pole_angle=math.pi, cart_position=2.9)
    step = environment.step(idle(environment))
    assert not step.terminated
    assert not step.on_track, "a fallen pole is no success"
    place(environment, cart_position=-3.01)
    assert environment.step(idle(environment)).terminated


@pytest.mark.parametrize(("environment", "length"), [(direct(3), 299), (manager_based(3), 300)])
def test_an_episode_times_out_after_five_seconds_which_is_no_termination(
    environment: CartpoleEnvironment, length: int
) -> None:
    for step_number in range(1, length + 1):
        place(environment)
        step = environment.step(idle(environment))
        assert step.time_outs.all() == (step_number == length)
        assert not step.terminated.any()
    assert environment.episode_lengths.tolist() == [0, 0, 0]


def test_only_environments_that_ended_are_reset_and_are_still_drawn_where_they_ended() -> None:
    environment = direct(3)
    place(environment)
    environment.state = environment.state._replace(pole_angle=torch.tensor([0.0, 1.7, 0.0]))
    environment.episode_lengths = torch.tensor([5, 6, 7])
    step = environment.step(idle(environment))
    assert step.terminated.tolist() == [False, True, False]
    assert environment.episode_lengths.tolist() == [6, 0, 8]
    assert abs(environment.state.pole_angle[1].item()) <= math.pi / 4
    assert step.observations[1, 0] == environment.state.pole_angle[1], "an observation belongs to the new episode"
    assert environment.drawable_states(2)[1, 1].item() > 1.6


def test_direct_resets_tilt_the_pole_only() -> None:
    environment = direct(5000)
    state = environment.state
    assert state.pole_angle.abs().max().item() <= math.pi / 4
    assert state.pole_angle.max().item() > 0.24 * math.pi
    assert state.pole_angle.min().item() < -0.24 * math.pi
    assert abs(state.pole_angle.mean().item()) < 0.03
    assert not any(joint.any() for joint in (state.cart_position, state.cart_velocity, state.pole_velocity))


def test_manager_based_resets_move_every_joint_within_its_range() -> None:
    state = manager_based(5000).state
    for joint, limit in zip(state, (1.0, 0.5, math.pi / 4, math.pi / 4), strict=True):
        assert 0.98 * limit < joint.abs().max().item() <= limit
        assert abs(joint.mean().item()) < 0.05 * limit


def test_a_seed_decides_the_resets() -> None:
    assert torch.equal(direct(10, seed=1).observe(), direct(10, seed=1).observe())
    assert not torch.equal(direct(10, seed=1).observe(), direct(10, seed=2).observe())


def test_settings_of_the_configuration_are_followed() -> None:
    config = replace(CartpoleDirectConfig(), episode_length_s=1.0, max_cart_pos=0.5, scene=SceneConfig(2))
    environment = CartpoleDirectEnvironment(config, 0, CPU)
    assert environment.max_episode_length == 60
    place(environment, cart_position=0.6)
    assert environment.step(idle(environment)).terminated.all()
