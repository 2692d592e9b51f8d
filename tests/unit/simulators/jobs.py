"""Jobs for the simulator, and what they leave behind, by library."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaitway.contracts.inputs import AGENT_SETTINGS, POLICY, RESUME_CHECKPOINT
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.checkpoints import completed_iterations
from gaitway.libraries.simulators import SIMULATORS
from gaitway.simulators.embedded.__main__ import main

REPOSITORY = Path(__file__).parents[3]
TASK = "Isaac-Cartpole-Direct-v0"
ROLLOUTS = {"rsl_rl": 16, "skrl": 32, "rl_games": 32, "sb3": 16}
NUM_ENVS = 16
OPTIMISER = {
    "rsl_rl": "optimizer_state_dict",
    "skrl": "optimizer",
    "rl_games": "optimizer",
    "sb3": "policy.optimizer.pth",
}
"""Entry of a checkpoint."""
LIBRARIES: tuple[RlLibrary, ...] = tuple(SIMULATORS["embedded"].libraries)


def write_job(directory: Path, training: dict[str, Any], **given: object) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    inputs = {name: given.pop(name) for name in (POLICY, RESUME_CHECKPOINT, AGENT_SETTINGS) if name in given}
    (directory / "simulation.json").write_text(json.dumps({"training": training, "inputs": inputs, **given}))
    return str(directory / "simulation.json")


def run_here(monkeypatch: pytest.MonkeyPatch, directory: Path, training: dict[str, Any], **given: object) -> int:
    """Run the program's main function: starting Python and torch takes longer than what these tests look at."""
    job = write_job(directory, training, **given)
    monkeypatch.chdir(directory)
    return main([job])


def start(
    directory: Path, training: dict[str, Any], launcher: Sequence[str] = (), **paths: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end in a directory."""
    write_job(directory, training, **paths)
    return subprocess.run(
        [sys.executable, *launcher, "-m", "gaitway.simulators.embedded", "simulation.json"],
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
        # Isaac Lab's scripts name it after the agent's experiment, that of sb3 after the task.
        experiment = TASK if self.library == "sb3" else "cartpole_direct"
        (found,) = (self.directory / "logs" / self.library / experiment).iterdir()
        return found

    @property
    def checkpoints(self) -> dict[int, Path]:
        """Numbered ones, by iterations; of several the latest."""
        record = record_of(self.library)
        length = record.length(ROLLOUTS[self.library], NUM_ENVS)
        found = {
            completed_iterations(self.library, path.name, length): path
            for path in sorted(self.run.rglob(f"*{record.checkpoints.suffix}"), key=lambda path: path.stat().st_mtime)
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
    """What a checkpoint holds; of an archive of sb3's, file by file."""
    if checkpoint.suffix == ".zip":
        with zipfile.ZipFile(checkpoint) as archive:
            members = [name for name in archive.namelist() if name.endswith((".pt", ".pth"))]
            return {name: torch.load(io.BytesIO(archive.read(name)), weights_only=True) for name in members}
    contents: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return contents


def write(contents: dict[str, Any], checkpoint: Path) -> None:
    """Write what `read` gives."""
    if checkpoint.suffix != ".zip":
        torch.save(contents, checkpoint)
        return
    with zipfile.ZipFile(checkpoint, "w") as archive:
        for name, content in contents.items():
            with archive.open(name, "w") as member:
                torch.save(content, member)


def networks(library: RlLibrary, checkpoint: Path) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint's policy computes with."""
    entries = {
        "rsl_rl": ("actor_state_dict", "critic_state_dict"),
        "skrl": ("policy", "value", "observation_preprocessor", "value_preprocessor"),
        "rl_games": ("model",),
        "sb3": ("policy.pth",),
    }[library]
    contents = read(checkpoint)
    return {f"{entry}.{name}": tensor for entry in entries for name, tensor in contents[entry].items()}


def optimiser(library: RlLibrary, checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = read(checkpoint)[OPTIMISER[library]]
    return state


def updates(library: RlLibrary, checkpoint: Path) -> int:
    """How often the optimiser has stepped."""
    return int(optimiser(library, checkpoint)["state"][0]["step"])
