"""What watches over Isaac Lab's own training scripts, and what evaluates with the library's own inference."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import gymnasium
import torch
from torch import Tensor, nn

from container.simulators.common.export import Origin, export_policy
from container.simulators.common.policy import Policy, TrainedPolicy
from container.simulators.common.ranks import Ranks
from container.simulators.common.watch import TrainingWatch
from container.simulators.isaaclab.app import end_soon
from gaitway.contracts.request import RlLibrary
from gaitway.contracts.simulation import EXPORTED_DIRECTORY, SimulationJob


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with the weights that a library has loaded or trained."""

    act: Policy
    """The library's own inference, without exploration, of observations (num_envs, num_observations)."""
    num_observations: int
    device: torch.device
    network: nn.Module | None
    """The same function, which can be traced; None where it is none of a single tensor."""
    normalisation: str
    """What it does to observations and actions, in words; or why it cannot be exported."""
    forget: Callable[[Tensor], None] = lambda _: None
    """Told which environments begin a new episode: a policy with a memory begins anew there."""


@dataclass(frozen=True)
class Training:
    """A training by Isaac Lab's script, as what watches over it sees it."""

    job: SimulationJob
    ranks: Ranks
    completed: int
    """Iterations of earlier attempts."""
    directory: Path | None
    """Of the training that is continued; None where it begins here."""

    @property
    def total(self) -> int:
        """Iterations of the run, over all its attempts."""
        return self.job.training.max_iterations

    @property
    def has_work(self) -> bool:
        """Whether there is something to train: an attempt may have ended between its last iteration and its export."""
        return self.completed < self.total

    def watch(self, steps_per_iteration: int) -> TrainingWatch:
        """Make what is told of every iteration.

        Args:
            steps_per_iteration: Environment steps of one process.
        """
        return TrainingWatch(self.ranks, self.total, self.completed, steps_per_iteration)

    def gather(self, made: Path, environment: object) -> Path:
        """Choose the training's directory, and bring what the script has written so far to there.

        Isaac Lab's scripts make a new one for each attempt; a run has one.

        Args:
            made: That which the script has made.
            environment: With the wrapper that records videos, where there is one.
        """
        if self.directory is None or not self.ranks.leads:
            return self.directory or made
        for layer in _layers(environment):
            if isinstance(layer, gymnasium.wrappers.RecordVideo):
                # It counts steps from 0 again, and earlier attempts' videos have names without this.
                layer.video_folder = str(self.directory / "videos" / "train")
                layer.name_prefix = f"rl-video-from-iteration-{self.completed}"
                Path(layer.video_folder).mkdir(parents=True, exist_ok=True)
        if made != self.directory:
            _move(made, self.directory)
        return self.directory

    def finish(self, policy: LoadedPolicy, directory: Path, checkpoint: Path) -> None:
        """Export what the training came to, and let the process end.

        Args:
            policy: With the weights of the last checkpoint.
            directory: The training's.
            checkpoint: The last one.
        """
        if self.ranks.leads:
            self._export(policy, directory, checkpoint)
        end_soon()

    def _export(self, policy: LoadedPolicy, directory: Path, checkpoint: Path) -> None:
        if policy.network is None:
            print(f"The policy is not exported: {policy.normalisation}")  # noqa: T201
            return
        origin = Origin(self.job.training.task, self.job.training.rl_library, checkpoint, self.total)
        trained = TrainedPolicy(policy.act, policy.network, policy.normalisation)
        try:
            export_policy(trained, policy.num_observations, policy.device, directory, origin)
        except Exception as error:
            # Hours of training are worth more than an export, which can be done again from the checkpoint.
            shutil.rmtree(directory / EXPORTED_DIRECTORY, ignore_errors=True)
            print(f"The policy is not exported: {type(error).__name__}: {error}")  # noqa: T201


class Adapter(Protocol):
    """An environment in the library's own wrapper, and a policy in the library's own hands."""

    num_actions: int
    device: torch.device

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return its observations. Shape: (num_envs, num_observations)."""

    def step(self, actions: Tensor) -> Tensor:
        """Apply actions for one step, and return the observations after it."""

    def load(self, checkpoint: Path) -> LoadedPolicy:
        """Load a checkpoint's policy.

        Raises:
            RequestError: It cannot be read, or does not fit.
        """


class Library(Protocol):
    """What a module of this package offers."""

    def watch(self, training: Training) -> None:
        """Put what watches, saves whole checkpoints and continues in the place of what Isaac Lab's script will use."""

    def adapt(self, environment: gymnasium.Env[Any, Any], agent: Any) -> Adapter:  # noqa: ANN401
        """Wrap an environment of Isaac Lab, and make what holds a policy for it.

        Args:
            environment: As Gymnasium made it.
            agent: The task's settings for this library, overrides applied.
        """


def find_library(name: RlLibrary) -> Library:
    """Import a library; the simulation app has started."""
    return cast("Library", importlib.import_module(f"{__name__}.{name}"))


def _move(source: Path, target: Path) -> None:
    """Bring every file of a directory to another one, and remove it."""
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    shutil.rmtree(source, ignore_errors=True)


def _layers(environment: object) -> list[object]:
    """List an environment and what it wraps, from the outside in."""
    layers = [environment]
    # Not by getattr: some wrappers pass on what they do not have themselves, and would hide the next layer.
    while (inner := vars(layers[-1]).get("env") or vars(layers[-1]).get("_env")) is not None:
        layers.append(inner)
    return layers
