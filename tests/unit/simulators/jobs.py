"""Jobs for the simulator, and what they leave behind, by library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from container.simulators.embedded.__main__ import main
from gaitway.contracts.checkpoints import completed_iterations
from gaitway.contracts.request import RlLibrary

REPOSITORY = Path(__file__).parents[3]
TASK = "Isaac-Cartpole-Direct-v0"
ROLLOUTS = {"rsl_rl": 16, "skrl": 32, "rl_games": 32}
NUM_ENVS = 16
LIBRARIES: tuple[RlLibrary, ...] = ("rsl_rl", "skrl", "rl_games")


def write_job(directory: Path, training: dict[str, Any], **paths: str) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "simulation.json").write_text(json.dumps({"training": training, **paths}))
    return str(directory / "simulation.json")


def run_here(monkeypatch: pytest.MonkeyPatch, directory: Path, training: dict[str, Any], **paths: str) -> int:
    """Run the program's main function: starting Python and torch takes longer than what these tests look at."""
    job = write_job(directory, training, **paths)
    monkeypatch.chdir(directory)
    return main([job])


def start(
    directory: Path, training: dict[str, Any], launcher: Sequence[str] = (), **paths: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end in a directory."""
    write_job(directory, training, **paths)
    return subprocess.run(
        [sys.executable, *launcher, "-m", "container.simulators.embedded", "simulation.json"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass(frozen=True)
class Left:
    """What a training of a library left in a directory."""

    library: RlLibrary
    directory: Path

    @property
    def run(self) -> Path:
        """The one directory of the training."""
        (found,) = (self.directory / "logs" / self.library / "cartpole_direct").iterdir()
        return found

    @property
    def checkpoints(self) -> dict[int, Path]:
        """Numbered ones, by iterations; of several the latest."""
        found = {
            completed_iterations(self.library, path.name, ROLLOUTS[self.library]): path
            for path in sorted(self.run.rglob("*.pt*"), key=lambda path: path.stat().st_mtime)
        }
        return {iterations: found[iterations] for iterations in sorted(filter(None, found))}

    def scalars(self, tag: str) -> dict[int, float]:
        """One tag of all attempts, by step; a later attempt counts."""
        values: dict[int, float] = {}
        for events in sorted(self.run.rglob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
            accumulator = EventAccumulator(str(events)).Reload()
            if tag in accumulator.Tags()["scalars"]:
                values |= {event.step: event.value for event in accumulator.Scalars(tag)}
        return values


def read(checkpoint: Path) -> dict[str, Any]:
    contents: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return contents


def networks(library: RlLibrary, checkpoint: Path) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint's policy computes with."""
    entries = {
        "rsl_rl": ("actor_state_dict", "critic_state_dict"),
        "skrl": ("policy", "value", "observation_preprocessor", "value_preprocessor"),
        "rl_games": ("model",),
    }[library]
    contents = read(checkpoint)
    return {f"{entry}.{name}": tensor for entry in entries for name, tensor in contents[entry].items()}


def optimiser(library: RlLibrary, checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = read(checkpoint)["optimizer_state_dict" if library == "rsl_rl" else "optimizer"]
    return state


def updates(library: RlLibrary, checkpoint: Path) -> int:
    """How often the optimiser has stepped."""
    return int(optimiser(library, checkpoint)["state"][0]["step"])
