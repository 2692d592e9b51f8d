"""A training by Isaac Lab's own script, as the code that watches it sees it; what an evaluation needs of a library."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import torch
from torch import Tensor, nn

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.exits import end_soon
from gaitway.simulators.common.export import Origin, export_policy, say_not_exported
from gaitway.simulators.common.policy import Memory, Policy, TrainedPolicy
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.resumption import counted, note_resumption
from gaitway.simulators.common.watch import TrainingWatch


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with the weights that a library has loaded or trained."""

    act: Policy
    """The library's own inference, without exploration, of observations (num_envs, num_observations)."""
    num_observations: int
    device: torch.device
    network: nn.Module | None
    """The same function, which can be traced; None if it does not take a single tensor."""
    normalisation: str
    """How it transforms observations and actions, in words; or why it cannot be exported."""
    forget: Callable[[Tensor], None] = lambda _: None
    """Called with the environments that begin a new episode: a recurrent policy resets its state there."""
    memory: Memory | None = None
    """The memory of a recurrent policy; None if it has none, or cannot be exported."""


@dataclass(frozen=True)
class Training:
    """A training by Isaac Lab's script, as the watching code sees it."""

    job: SimulationJob
    ranks: Ranks
    completed: int
    """Iterations of earlier attempts."""
    directory: Path | None
    """Directory of the training that is continued; None for a new training."""
    export_further: Callable[[Path, Path], None] = lambda directory, checkpoint: None
    """What the simulator makes of the training's directory and its last checkpoint besides; it raises nothing."""

    @property
    def total(self) -> int:
        """Iterations of the run, over all its attempts."""
        return self.job.asks(TrainingConfig).max_iterations

    @property
    def has_work(self) -> bool:
        """Whether there is something to train: an attempt may have ended between its last iteration and its export."""
        return self.completed < self.total

    def watch(self, steps_per_iteration: int) -> TrainingWatch:
        """Create the watch that every iteration is reported to.

        Args:
            steps_per_iteration: Environment steps of one process.
        """
        return TrainingWatch(self.ranks, self.total, self.completed, steps_per_iteration)

    def gather(self, made: Path, environment: object) -> Path:
        """Choose the training's directory, and move there what the script has written so far.

        Isaac Lab's scripts make a new one for each attempt; a run has one.

        Args:
            made: The directory that the script has made.
            environment: The environment, with the wrapper that records videos if there is one.
        """
        if self.directory is None or not self.ranks.leads:
            return self.directory or made
        for layer in _layers(environment):
            if isinstance(layer, gymnasium.wrappers.RecordVideo):
                # It counts steps from 0 again, and earlier attempts' videos have names without this.
                layer.video_folder = str(self.directory / "videos" / "train")
                layer.name_prefix = f"rl-video-from-iteration-{self.completed}"
                Path(layer.video_folder).mkdir(parents=True, exist_ok=True)
        for recorder in getattr(getattr(environment, "unwrapped", None), "video_recorders", ()):
            # Those of Isaac Lab 3, which number videos on from those in the directory.
            recorder.cfg.output_dir = str(self.directory / "videos" / "train")
            recorder._clip_index = recorder._next_clip_index()
        if made.absolute() != self.directory.absolute():
            _move(made, self.directory)
        return self.directory

    def restore_counter(self, environment: object, directory: Path, steps: int) -> None:
        """Set the environments' step counter from the iterations that are done, and note what cannot be restored.

        Isaac Lab's own curricula read it (`modify_reward_weight` and others in isaaclab/envs/mdp/curriculums.py); it
        begins at 0 with every process. Terrain levels, and what a curriculum's term keeps itself, are in no checkpoint.

        Args:
            environment: The environment, with its wrappers.
            directory: The training's directory.
            steps: Steps that each environment takes in an iteration.
        """
        if not self.completed:
            return
        unwrapped = _layers(environment)[-1]
        restored = []
        if isinstance(getattr(unwrapped, "common_step_counter", None), int):
            unwrapped.common_step_counter = self.completed * steps  # type: ignore[attr-defined]
            restored.append(counted(self.completed * steps))
        if self.ranks.leads:
            note_resumption(directory, self.completed, restored, _begins_anew(unwrapped))

    def finish(self, policy: LoadedPolicy, directory: Path, checkpoint: Path) -> None:
        """Export the training's policy, and let the process end.

        Args:
            policy: The policy with the weights of the last checkpoint.
            directory: The training's directory.
            checkpoint: The last checkpoint.
        """
        if self.ranks.leads:
            self._export(policy, directory, checkpoint)
            self.export_further(directory, checkpoint)
        end_soon()

    def _export(self, policy: LoadedPolicy, directory: Path, checkpoint: Path) -> None:
        if policy.network is None:
            say_not_exported(directory, policy.normalisation)
            return
        training = self.job.asks(TrainingConfig)
        origin = Origin(training.task, training.rl_library, checkpoint, self.total)
        trained = TrainedPolicy(policy.act, policy.network, policy.normalisation, policy.memory)
        try:
            export_policy(trained, policy.num_observations, policy.device, directory, origin)
        except Exception as error:
            # Hours of training are worth more than an export, which can be done again from the checkpoint.
            say_not_exported(directory, f"{type(error).__name__}: {error}")


class Adapter(Protocol):
    """An environment in the library's own wrapper, and a policy that the library itself runs."""

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
    """The functions of a module of this package."""

    def watch(self, training: Training) -> None:
        """Replace classes that Isaac Lab's script uses by ours, which watch, save complete checkpoints and resume."""

    def adapt(self, environment: gymnasium.Env[Any, Any], agent: Any) -> Adapter:  # noqa: ANN401
        """Wrap an environment of Isaac Lab, and create the object that holds a policy for it.

        Args:
            environment: As Gymnasium made it.
            agent: The task's settings for this library, overrides applied.
        """


def _move(source: Path, target: Path) -> None:
    """Move every file of a directory to another one, and remove the directory."""
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    shutil.rmtree(source, ignore_errors=True)


def _begins_anew(unwrapped: object) -> list[str]:
    """Name what an environment of Isaac Lab keeps in its process only."""
    terms = getattr(getattr(unwrapped, "curriculum_manager", None), "active_terms", None) or []
    anew = (
        [f"state of the curriculum's terms {', '.join(terms)} that is not read from the step counter"] if terms else []
    )
    terrain = getattr(getattr(unwrapped, "scene", None), "terrain", None)
    if getattr(terrain, "terrain_levels", None) is not None:
        anew.append("terrain levels of the environments: drawn anew")
    return anew or ["what the task keeps besides that counter"]


def _layers(environment: object) -> list[object]:
    """List an environment and what it wraps, from the outside in."""
    layers = [environment]
    # Not by getattr: some wrappers forward attributes that they lack, and would hide the next layer.
    while (inner := vars(layers[-1]).get("env") or vars(layers[-1]).get("_env")) is not None:
        layers.append(inner)
    return layers
