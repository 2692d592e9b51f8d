"""Equations of motion of a cart on a rail with a pole hinged on top, for many environments at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

RAIL_LIMIT = 3.0
"""Metres from the middle of the rail to the point where both tasks end an episode."""


class State(NamedTuple):
    """Joint positions and velocities; each tensor has the shape (num_envs,)."""

    cart_position: Tensor
    """Metres from the middle of the rail."""
    cart_velocity: Tensor
    """Metres per second."""
    pole_angle: Tensor
    """Radians from upright, not wrapped; a positive angle tilts the pole towards negative cart positions."""
    pole_velocity: Tensor
    """Radians per second."""


@dataclass(frozen=True)
class CartPole:
    """The robot's masses, lengths and limits.

    Joint damping and effort limit are those of `isaaclab_assets/robots/cartpole.py`. The asset itself is a USD file on
    NVIDIA's server, converted from Isaac Gym's `cartpole.urdf`: masses, box sizes and joint axes are that file's. Its
    hinge turns about +x while the cart slides along +y, hence the sign of the pole's angle.
    """

    cart_mass: float = 1.0
    """Kilograms."""
    pole_mass: float = 1.0
    """Kilograms."""
    pole_length: float = 1.0
    """Metres; the pole is a box."""
    pole_width: float = 0.06
    """Metres, in the plane of motion."""
    pole_centre: float = 0.47
    """Metres from the hinge to the pole's centre of mass."""
    cart_damping: float = 10.0
    """Newton seconds per metre."""
    effort_limit: float = 400.0
    """Newtons that the cart's drive can apply."""
    gravity: float = 9.81
    """Metres per second squared."""

    @property
    def pole_inertia(self) -> float:
        """Moment of inertia of the pole about its hinge, in kg m²."""
        about_centre = self.pole_mass * (self.pole_length**2 + self.pole_width**2) / 12
        return about_centre + self.pole_mass * self.pole_centre**2

    def advance(self, state: State, effort: Tensor, seconds: float) -> State:
        """Advance one physics step by semi-implicit Euler, as PhysX does: positions follow from the new velocities.

        Args:
            state: Positions and velocities of the joints.
            effort: Force of the drive on the cart in newtons, limited to what it can apply. Shape: (num_envs,).
            seconds: Length of the step.
        """
        moment = self.pole_mass * self.pole_centre
        total_mass = self.cart_mass + self.pole_mass
        sine, cosine = torch.sin(state.pole_angle), torch.cos(state.pole_angle)
        coupling = moment * cosine
        force = effort.clamp(-self.effort_limit, self.effort_limit)
        force = force - self.cart_damping * state.cart_velocity - moment * sine * state.pole_velocity.square()
        torque = moment * self.gravity * sine
        determinant = total_mass * self.pole_inertia - coupling.square()
        cart_velocity = state.cart_velocity + seconds * (self.pole_inertia * force + coupling * torque) / determinant
        pole_velocity = state.pole_velocity + seconds * (coupling * force + total_mass * torque) / determinant
        return State(
            cart_position=state.cart_position + seconds * cart_velocity,
            cart_velocity=cart_velocity,
            pole_angle=state.pole_angle + seconds * pole_velocity,
            pole_velocity=pole_velocity,
        )
