"""How much is measured: enough for reliable figures, or just enough to see that everything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary

TASK = "Isaac-Cartpole-Direct-v0"
LIBRARIES: tuple[RlLibrary, ...] = ("rsl_rl", "skrl", "rl_games")
SEED = 42


@dataclass(frozen=True)
class Size:
    """The size of every measurement."""

    speed_rounds: int
    speed_iterations: Mapping[RlLibrary, int]
    """rsl_rl's iterations have half as many steps as those of the others."""
    warm_up_iterations: int
    kills: int
    """Per library."""
    scaling_rounds: int
    scalars: int
    export_rounds: int
    checkpoint_mib: tuple[int, ...]
    upload_rounds: int


FULL = Size(
    speed_rounds=4,
    speed_iterations={"rsl_rl": 50, "skrl": 25, "rl_games": 25},
    warm_up_iterations=5,
    kills=3,
    scaling_rounds=2,
    scalars=1_000_000,
    export_rounds=2,
    checkpoint_mib=(8, 128),
    upload_rounds=6,
)
QUICK = Size(
    speed_rounds=1,
    speed_iterations={"rsl_rl": 20, "skrl": 12, "rl_games": 12},
    warm_up_iterations=3,
    kills=1,
    scaling_rounds=1,
    scalars=50_000,
    export_rounds=1,
    checkpoint_mib=(8, 128),
    upload_rounds=2,
)


def training_config(
    library: RlLibrary, num_envs: int, iterations: int, checkpoint_interval: int, seed: int = SEED
) -> TrainingConfig:
    """Return the settings of a training that is measured."""
    return TrainingConfig(
        task=TASK,
        rl_library=library,
        num_envs=num_envs,
        max_iterations=iterations,
        checkpoint_interval=checkpoint_interval,
        seed=seed,
    )
