"""rl_games: a training that is watched, saves whole checkpoints, and resumes from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gaitway.simulators.common.checkpoint_files import load_entry, read_checkpoint
from gaitway.simulators.common.collectives import average_moments
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.watch import ENVIRONMENT, TrainingWatch

CLIP_NORMALISED = 5.0
"""Written into rl_games' `RunningMeanStd`."""


class WatchedAlgorithm:
    """Base class before one of rl_games' agents: saves complete checkpoints, and loads everything from one."""

    # Of rl_games' agents.
    model: Any
    optimizer: Any
    writer: Any
    config: dict[str, Any]
    game_rewards: Any
    obs: Any
    nn_dir: str
    save_freq: int
    epoch_num: int
    last_lr: float
    last_mean_rewards: Any
    normalize_input: bool
    normalize_value: bool

    _watch: TrainingWatch
    _ranks: Ranks
    _best_reward: float | None = None

    def watch(self, watch: TrainingWatch, ranks: Ranks) -> None:
        """Set the watch of the iterations and the ranks that train together. Called before the training begins."""
        self._watch, self._ranks = watch, ranks

    def set_full_state_weights(self, weights: dict[str, Any], set_epoch: bool = True) -> None:
        """Load all of a checkpoint's entries."""
        super().set_full_state_weights(weights, set_epoch)  # type: ignore[misc]
        # rl_games would start again with the learning rate of the settings, and without a best reward.
        self.last_lr = self.optimizer.param_groups[0]["lr"]
        self._best_reward = float(self.last_mean_rewards)

    def update_epoch(self) -> int:
        """Begin an iteration, unless the training must stop here: the previous one is logged only now."""
        self._watch.stop_if_asked(self._save_stopped)
        if self._best_reward is not None:
            self.last_mean_rewards, self._best_reward = self._best_reward, None
        epoch: int = super().update_epoch()  # type: ignore[misc]
        return epoch

    def train_epoch(self) -> tuple[Any, ...]:
        """Train an iteration, and report it."""
        try:
            result: tuple[Any, ...] = super().train_epoch()  # type: ignore[misc]
        except RuntimeError:
            # Drawing actions from NaN would fail at once, with another message.
            self._watch.check({}, {ENVIRONMENT: tensors_of(self.obs["obs"]), **self._states()})
            raise
        normalisers = [
            getattr(self.model, name)
            for name, used in (("running_mean_std", self.normalize_input), ("value_mean_std", self.normalize_value))
            if used
        ]
        average_moments([(each.running_mean, each.running_var) for each in plain_normalisers(normalisers)], self._ranks)
        actor, critic = (torch.stack(losses).detach().mean() for losses in result[4:6])
        reward = float(self.game_rewards.get_mean().reshape(-1)[0]) if self.game_rewards.current_size else None
        losses = {"actor": float(actor), "critic": float(critic)}
        self._watch.iteration_done(losses, self._states(), reward)
        return result

    def _states(self) -> dict[str, Iterable[Tensor]]:
        return {"the weights of the model": self.model.state_dict().values()}

    def get_full_state_weights(self) -> dict[str, Any]:
        """Return the entries of a checkpoint."""
        state: dict[str, Any] = super().get_full_state_weights()  # type: ignore[misc]
        # A plain number: NumPy's own type can be read only with code execution allowed.
        return state | {"last_mean_rewards": float(state["last_mean_rewards"])}

    def save(self, fn: str) -> None:
        """Save under rl_games' own name."""
        path = Path(f"{fn}.pth")
        if self.writer is not None:
            # An attempt that resumes from this checkpoint does not log the steps before it again: they must not stay in
            # a buffer.
            self.writer.flush()
        with written_whole(path) as temporary:
            torch.save(self.get_full_state_weights(), temporary)
        print(f"=> saving checkpoint '{path}'")  # noqa: T201 - the library's own message

    def save_in_silence(self, epoch: int) -> None:
        """Save at the interval when rl_games does not: until an episode has ended, it has no reward for the name."""
        if self.game_rewards.current_size == 0 and epoch % self.save_freq == 0:
            self.save(self._checkpoint(epoch))

    def _save_stopped(self) -> Path:
        name = self._checkpoint(self.epoch_num)
        self.save(name)
        self.finish()
        return Path(f"{name}.pth")

    def _checkpoint(self, epoch: int) -> str:
        """Name a checkpoint as rl_games does at its interval, without the ending."""
        reward = self.game_rewards.get_mean()[0] if self.game_rewards.current_size else "-inf"
        return str(Path(self.nn_dir) / f"last_{self.config['name']}_ep_{epoch}_rew_{reward}")

    def load(self, path: Path, device: torch.device, setting: str, everything: bool) -> None:
        """Load a checkpoint.

        Args:
            path: The checkpoint.
            device: Where the model is.
            setting: The settings that decide whether it fits, with their values.
            everything: Load also optimiser, iteration and best reward; otherwise only what the networks compute.

        Raises:
            RequestError: It cannot be read, or does not fit.
        """
        contents = read(path, device)
        load_model(self.model, contents, setting, path)
        if everything:
            self.set_full_state_weights(contents)

    def finish(self) -> None:
        """Write the remaining events."""
        if self.writer is not None:
            self.writer.close()


class MeanActions(nn.Module):
    """The part of a model without its distribution and its value."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: Any, clip_observations: float, clip_actions: float) -> None:  # noqa: ANN401
        super().__init__()
        self.network: Any = model.a2c_network
        self.normalises = bool(model.normalize_input)
        if self.normalises:
            # Not the library's own module: it is compiled, and a compiled module cannot be traced.
            normaliser = model.running_mean_std
            self.register_buffer("mean", normaliser.running_mean.float())
            self.register_buffer("deviation", torch.sqrt(normaliser.running_var.float() + normaliser.epsilon))
        self.clip_observations = clip_observations
        self.clip_actions = clip_actions

    def forward(self, observations: Tensor) -> Tensor:
        """Compute the actions that the library's player takes without noise."""
        means: Tensor = self.network({"obs": self.observed(observations)})[0]
        return means.clamp(-1, 1) * self.clip_actions

    def observed(self, observations: Tensor) -> Tensor:
        """Clip and normalise observations."""
        inputs = observations.clamp(-self.clip_observations, self.clip_observations)
        if self.normalises:
            inputs = ((inputs - self.mean) / self.deviation).clamp(-CLIP_NORMALISED, CLIP_NORMALISED)
        return inputs


class RecurrentMeanActions(MeanActions):
    """The same of a model with a memory, as a function of observations and states too."""

    def forward(self, observations: Tensor, *states: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Compute the actions, and the new states."""
        inputs = {"obs": self.observed(observations), "rnn_states": list(states)}
        means, _, _, after = self.network(inputs)
        return means.clamp(-1, 1) * self.clip_actions, *after


def states_of(model: Any) -> dict[str, tuple[int, int]]:  # noqa: ANN401
    """Describe the states of a model's memory: layers and size, by name; the critic's own are further ones."""
    shapes = [(state.shape[0], state.shape[2]) for state in model.get_default_rnn_state()]
    names = ("h", "c") if len(shapes) <= 2 else [f"state_{index}" for index in range(len(shapes))]
    return dict(zip(names, shapes, strict=False))


def describe(clip_observations: float, clip_actions: float, normalises: bool) -> str:
    """Describe how such a policy transforms observations and actions."""
    scaled = ", shifted, scaled and clipped to 5" if normalises else ""
    return f"observations clipped to {clip_observations:g}{scaled}; actions clipped to {clip_actions:g}"


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint of rl_games.

    Raises:
        RequestError: It is not a checkpoint of rl_games.
    """
    return read_checkpoint(path, device, "rl_games")


def load_model(model: nn.Module, contents: dict[str, Any], setting: str, path: Path) -> None:
    """Load a checkpoint's networks and normalisers.

    Raises:
        RequestError: They do not fit.
    """
    load_entry(model.load_state_dict, {"model": _uncompiled(contents["model"])}, "model", setting, path)


def plain_normalisers(modules: Iterable[nn.Module]) -> list[Any]:
    """Yield the normalisers of single tensors among these modules: that of several groups holds one for each."""
    return [part for module in modules for part in module.modules() if hasattr(part, "running_mean")]


def tensors_of(observations: Tensor | dict[str, Tensor]) -> Iterable[Tensor]:
    """Yield the tensors of observations that may be in groups."""
    return observations.values() if isinstance(observations, dict) else [observations]


def _uncompiled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefix that torch.compile, which rl_games uses by default, adds to the names."""
    return {name.removeprefix("_orig_mod."): tensor for name, tensor in weights.items()}
