"""The Isaac Lab simulator in a process of its own: Isaac Lab's wheel and its libraries, on a stand-in for Kit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gaitway.libraries import RlLibrary
from tests.unit.simulators.jobs import NUM_ENVS, REPOSITORY, TASK
from tests.unit.simulators.warm import Ended, run_module

HERE = Path(__file__).parent
INSTALLED = REPOSITORY / ".venv" / "isaaclab"
ISAAC_LAB = INSTALLED / "isaaclab" / "source"
PYTHONPATH = [
    HERE / "kit",
    *(ISAAC_LAB / name for name in ("isaaclab", "isaaclab_rl", "isaaclab_tasks")),
    INSTALLED,
    REPOSITORY,
]
"""In this order: the wheel's own package of the name isaaclab only starts Isaac Sim."""
SCRIPTS_OF = "GAITWAY_TEST_ISAACLAB_PATH"
"""Names a checkout of Isaac Lab 2.3.2: then these tests run its own scripts instead of ours in `lab`."""
ON_CPU: dict[RlLibrary, list[str]] = {
    "rsl_rl": ["agent.device=cpu"],
    "skrl": [],
    "rl_games": [
        "agent.params.config.device=cpu",
        "agent.params.config.device_name=cpu",
    ],
}


def environment(**variables: str) -> dict[str, str]:
    """As python.sh of Isaac Sim sets it, and the image of Isaac Lab."""
    return os.environ | {
        "CARB_APP_PATH": "kit",
        "ISAAC_PATH": ".",
        "EXP_PATH": "apps",
        "ISAACLAB_PATH": os.environ.get(SCRIPTS_OF, str(HERE / "lab")),
        "PYTHONPATH": os.pathsep.join(map(str, PYTHONPATH)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        **variables,
    }


def job(library: RlLibrary, **training: Any) -> dict[str, Any]:
    overrides = [*ON_CPU[library], *training.pop("hydra_overrides", [])]
    return {
        "task": TASK,
        "rl_library": library,
        "num_envs": NUM_ENVS,
        "seed": 7,
        "hydra_overrides": overrides,
        **training,
    }


def start(directory: Path, training: dict[str, Any], paths: dict[str, Any] | None = None) -> Ended:
    """Run the simulator to its end in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "simulation.json").write_text(json.dumps({"training": training, **(paths or {})}))
    (ended,) = run_module("gaitway.simulators.isaaclab2", ["simulation.json"], directory, environment())
    return ended
