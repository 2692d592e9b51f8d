"""Which simulator trains with which libraries, and with which release of each: what a request is checked against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from gaitway.libraries.registry import LIBRARIES, RlLibrary

Simulator = Literal["isaaclab-3", "isaaclab-2", "embedded"]


@dataclass(frozen=True)
class Pins:
    """What an image installs, all of it."""

    file: str
    """In this repository."""
    python: str


@dataclass(frozen=True)
class SimulatorSupport:
    """What a simulator supports."""

    description: str
    physics: str
    """What moves the bodies, in words."""
    module: str
    """Its folder in `gaitway/simulators`: what GAITWAY_SIMULATOR names in its image."""
    libraries: Mapping[RlLibrary, str]
    """Each with its release."""
    pins: Pins | None = None
    """None where the image stands on one of NVIDIA's, which has more."""
    packages: tuple[str, ...] = ()
    """Distributions that it is made of, besides torch, gymnasium and an RL library: results name their versions."""
    has_presets: bool = False
    """Whether its scripts take `presets` and `physics` beside overrides of settings: Isaac Lab 3."""
    has_live_view: bool = False
    """Whether it can serve a page that shows the running simulation."""


SIMULATORS: dict[Simulator, SimulatorSupport] = {
    "isaaclab-3": SimulatorSupport(
        description="Isaac Lab 3.0",
        physics="Newton physics",
        module="isaaclab3",
        libraries={"rsl_rl": "5.5.1", "rl_games": "1.6.5", "skrl": "2.1.1", "sb3": "2.9.2"},
        pins=Pins("container/requirements-isaaclab3.txt", "3.12"),
        packages=("isaaclab", "mujoco", "mujoco-warp", "newton", "warp-lang"),
        has_presets=True,
        has_live_view=True,
    ),
    "isaaclab-2": SimulatorSupport(
        # The version that its setup.py requires: source/isaaclab_rl/setup.py of v2.3.2.
        description="Isaac Lab 2.3.2",
        physics="PhysX",
        module="isaaclab2",
        packages=("isaaclab", "isaacsim"),
        libraries={"rsl_rl": "3.1.2", "rl_games": "1.6.1", "skrl": "1.4.3"},
    ),
    "embedded": SimulatorSupport(
        description="the embedded simulator",
        physics="a cart-pole in torch",
        module="embedded",
        libraries={"rsl_rl": "5.5.1", "rl_games": "1.6.5", "skrl": "2.1.1", "sb3": "2.9.2"},
        pins=Pins("container/requirements-embedded.txt", "3.11"),
    ),
}
"""A library that is not listed has no adapter in that simulator's `libraries/`."""

NEEDS_EULA: Simulator = "isaaclab-2"
"""It is on Isaac Sim; the packages of the others are open source, but for CUDA's, which torch brings."""


def simulator_of_before(deployed: Iterable[Simulator]) -> Simulator:
    """Return the simulator of a run that a version without a choice of simulators has constructed.

    A deployment then had one image: of Isaac Lab 2, or of the embedded simulator.
    """
    return min(deployed, key=lambda simulator: (simulator == "isaaclab-3", simulator))


def supported_by(simulators: Iterable[Simulator]) -> list[RlLibrary]:
    """List the libraries that at least one of the simulators trains with."""
    known = {library for simulator in simulators for library in SIMULATORS[simulator].libraries}
    return [library for library in LIBRARIES if library in known]
