"""The cart-pole moves as mechanics say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gaitway.simulators.embedded.cartpole.dynamics import CartPole, State

DT = 1 / 120


def at(cart_position: float = 0, cart_velocity: float = 0, pole_angle: float = 0, pole_velocity: float = 0) -> State:
    values = (cart_position, cart_velocity, pole_angle, pole_velocity)
    return State(*(torch.tensor([value], dtype=torch.float64) for value in values))


def run(robot: CartPole, state: State, newtons: float, seconds: float, dt: float = DT) -> State:
    effort = torch.tensor([newtons], dtype=torch.float64)
    for _ in range(round(seconds / dt)):
        state = robot.advance(state, effort, dt)
    return state


def energy(robot: CartPole, state: State) -> Tensor:
    """Kinetic and potential energy, written down from the positions of both centres of mass."""
    arm, angle, turning = robot.pole_centre, state.pole_angle, state.pole_velocity
    pole_speed_squared = (state.cart_velocity - arm * angle.cos() * turning) ** 2 + (arm * angle.sin() * turning) ** 2
    inertia = robot.pole_mass * (robot.pole_length**2 + robot.pole_width**2) / 12
    kinetic = robot.cart_mass * state.cart_velocity**2 + robot.pole_mass * pole_speed_squared + inertia * turning**2
    return kinetic / 2 + robot.pole_mass * robot.gravity * arm * angle.cos()


def test_an_upright_pole_at_rest_stays() -> None:
    assert run(CartPole(), at(), newtons=0, seconds=1) == at()


@pytest.mark.parametrize("tilt", [0.01, -0.01])
def test_a_tilted_pole_falls_to_its_side_and_pushes_the_cart_under_it(tilt: float) -> None:
    state = run(CartPole(cart_damping=0), at(pole_angle=tilt), newtons=0, seconds=0.8)
    assert state.pole_angle.item() * tilt > 0
    assert abs(state.pole_angle.item()) > 10 * abs(tilt)
    # Nothing pushes the pair from outside: their common centre of mass stays above the same spot.
    centre = state.cart_position - CartPole().pole_centre / 2 * state.pole_angle.sin()
    assert centre.item() == pytest.approx(-CartPole().pole_centre / 2 * math.sin(tilt), abs=1e-3)


def test_a_push_moves_the_cart_and_leaves_the_pole_behind() -> None:
    state = run(CartPole(), at(), newtons=10, seconds=0.1)
    assert state.cart_position.item() > 0
    # A positive angle tilts the pole towards negative positions.
    assert state.pole_angle.item() > 0


def test_the_drive_applies_no_more_than_its_limit() -> None:
    limit = CartPole().effort_limit
    assert run(CartPole(), at(), newtons=10 * limit, seconds=0.05) == run(CartPole(), at(), limit, seconds=0.05)


def test_damping_bounds_the_speed_of_a_driven_cart() -> None:
    robot = CartPole(pole_mass=1e-9)
    assert run(robot, at(), newtons=100, seconds=3).cart_velocity.item() == pytest.approx(100 / robot.cart_damping)


def test_a_hanging_pole_swings_with_the_period_of_a_physical_pendulum() -> None:
    # On a cart too heavy to move, a small swing takes 2 pi sqrt(inertia / (m g l)).
    robot = CartPole(cart_mass=1e9, cart_damping=0)
    period = 2 * math.pi * math.sqrt(robot.pole_inertia / (robot.pole_mass * robot.gravity * robot.pole_centre))
    start = at(pole_angle=math.pi + 0.02)
    half_way = run(robot, start, newtons=0, seconds=period / 2, dt=period / 2000)
    assert half_way.pole_angle.item() == pytest.approx(math.pi - 0.02, abs=1e-4)


@pytest.mark.parametrize(("dt", "tolerance"), [(DT, 0.08), (DT / 10, 0.008)])
def test_energy_is_kept_where_nothing_takes_it_and_better_with_smaller_steps(dt: float, tolerance: float) -> None:
    robot = CartPole(cart_damping=0)
    start = at(cart_velocity=0.3, pole_angle=0.6)
    state = start
    drift = 0.0
    for _ in range(round(5 / dt)):
        state = robot.advance(state, torch.zeros(1, dtype=torch.float64), dt)
        drift = max(drift, abs((energy(robot, state) - energy(robot, start)).item()))
    most_a_fall_releases = 2 * robot.pole_mass * robot.gravity * robot.pole_centre
    assert drift < tolerance * most_a_fall_releases


def test_damping_takes_energy() -> None:
    start = at(pole_angle=0.6)
    assert energy(CartPole(), run(CartPole(), start, newtons=0, seconds=5)) < energy(CartPole(), start) - 1
