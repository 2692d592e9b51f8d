"""sb3, Stable-Baselines3: a training that is watched, saves whole checkpoints, and resumes from them."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from gaitway.contracts.errors import RequestError
from gaitway.simulators.common.checkpoint_files import load_entry
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.watch import TrainingWatch

INTERVAL_STEPS = 1000
"""Steps of each environment between checkpoints, which Isaac Lab's train.py writes into its callback."""
_POLICY, _OPTIMISER, _NORMALISERS = "policy.pth", "policy.optimizer.pth", "normalisers.pt"
"""Files of a checkpoint; the last is ours: the library keeps that state elsewhere, and ignores other files."""
_OWN = ("_directory", "_length", "_interval", "_iterations", "_watch", "_wrapped", "_setting")


class WatchedPpo(PPO):
    """Logs each iteration when its losses are known, saves checkpoints whole, and counts on from an earlier attempt."""

    def watch(
        self,
        watch: TrainingWatch,
        environment: VecEnv,
        directory: Path,
        iterations: int,
        interval: int | None,
        setting: str,
    ) -> None:
        """Report every iteration. Called before the training begins.

        Args:
            watch: To whom.
            environment: Where it trains, with its normalisers.
            directory: The training's directory.
            iterations: Of the whole run.
            interval: Iterations between checkpoints; Isaac Lab's own when None.
            setting: The setting that decides whether a checkpoint fits, with its value.
        """
        self._watch, self._wrapped, self._directory, self._setting = watch, environment, directory, setting
        self._iterations = iterations
        self._length = self.n_steps * environment.num_envs
        self._interval = interval or -(-INTERVAL_STEPS // self.n_steps)
        self.num_timesteps = watch.completed * self._length
        self._n_updates = watch.completed * self.n_epochs
        self.set_logger(Logger(str(directory), [_LiveWriter(directory)]))

    def load_from(self, path: Path, *, everything: bool) -> None:
        """Load a checkpoint's networks and normalisers, and the optimiser's state with everything else."""
        contents = read(path, self.device)
        load_weights(self.policy, self._wrapped, contents, self._setting, path)
        if everything:
            load_entry(self.policy.optimizer.load_state_dict, contents, _OPTIMISER, self._setting, path)

    def dump_logs(self, iteration: int = 0) -> None:
        """Do nothing: it is called before the iteration's losses are known."""

    def train(self) -> None:
        """Train an iteration, and report it."""
        try:
            super().train()
        except (RuntimeError, ValueError):
            # NaN weights would fail in the next mini-batch, with another message.
            self._watch.check({}, self._states())
            raise
        losses = {name: self.logger.name_to_value[f"train/{name}_loss"] for name in ("policy_gradient", "value")}
        rewards = [episode["r"] for episode in self.ep_info_buffer or ()]
        self._watch.iteration_done(losses, self._states(), float(safe_mean(rewards)) if rewards else None)
        super().dump_logs()
        done = self.num_timesteps // self._length
        if done % self._interval == 0 or done >= self._iterations:
            self._save()
        self._watch.stop_if_asked(self._save_stopped)

    def checkpoint(self) -> Path:
        """Return where the present iteration is saved."""
        return self._directory / f"model_{self.num_timesteps}_steps.zip"

    def _save(self) -> Path:
        path = self.checkpoint()
        with written_whole(path) as temporary:
            with temporary.open("wb") as file:
                PPO.save(self, file)
            with zipfile.ZipFile(temporary, "a") as archive, archive.open(_NORMALISERS, "w") as member:
                torch.save(normalisers(self._wrapped), member)
        return path

    def _save_stopped(self) -> Path:
        path = self._save()
        self.logger.close()
        return path

    def _states(self) -> dict[str, Any]:
        return {"the weights of the policy": self.policy.state_dict().values()}

    def _excluded_save_params(self) -> list[str]:
        # Our own attributes belong to this process.
        return [*super()._excluded_save_params(), *_OWN]


class MeanActions(nn.Module):
    """The policy without its distribution, and with the environment wrapper's transformations before it."""

    low: Tensor
    high: Tensor

    def __init__(self, policy: Any, environment: VecEnv) -> None:  # noqa: ANN401
        super().__init__()
        self.policy = policy
        self.scaler: nn.Module = nn.Identity()
        if isinstance(environment, VecNormalize) and environment.norm_obs:
            self.scaler = _Scaler(environment)
        space: Any = environment.action_space
        self.register_buffer("low", torch.as_tensor(space.low))
        self.register_buffer("high", torch.as_tensor(space.high))

    def forward(self, observations: Tensor) -> Tensor:
        """Compute the actions that the library takes without noise."""
        features = self.policy.pi_features_extractor(self.scaler(observations))
        actions: Tensor = self.policy.action_net(self.policy.mlp_extractor.forward_actor(features))
        return actions.clamp(self.low, self.high)


class _Scaler(nn.Module):
    """sb3's `VecNormalize`, of observations."""

    def __init__(self, environment: VecNormalize) -> None:
        super().__init__()
        self.limit = environment.clip_obs
        moments = moments_of(environment)["observations"]
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.as_tensor(moments.mean, dtype=torch.float32))
        deviation = np.sqrt(moments.var + environment.epsilon)
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32))

    def forward(self, observations: Tensor) -> Tensor:
        return ((observations - self.mean) / self.deviation).clamp(-self.limit, self.limit)


class _LiveWriter(TensorBoardOutputFormat):
    """TensorBoard events that can be followed during training: sb3's own are up to two minutes late."""

    def __init__(self, directory: Path) -> None:
        KVWriter.__init__(self)
        self.writer = SummaryWriter(str(directory), flush_secs=1)
        self._is_closed = False


def describe(environment: VecEnv) -> str:
    """Describe how the policy of an environment transforms observations and actions."""
    taken = "unchanged"
    if isinstance(environment, VecNormalize) and environment.norm_obs:
        taken = f"shifted, scaled and clipped to {environment.clip_obs:g}"
    space: Any = environment.action_space
    return f"observations {taken}; actions clipped to [{float(space.low.min()):g}, {float(space.high.max()):g}]"


def normalise(environment: VecEnv, observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return observations in the form that the policy takes."""
    if not isinstance(environment, VecNormalize):
        return observations
    return np.asarray(environment.normalize_obs(observations))


def moments_of(environment: VecEnv) -> dict[str, RunningMeanStd]:
    """Return an environment's normalisers; nothing if it has none."""
    if not isinstance(environment, VecNormalize):
        return {}
    # Observations are one array here, so the state is not a dictionary.
    return {"observations": cast("RunningMeanStd", environment.obs_rms), "returns": environment.ret_rms}


def normalisers(environment: VecEnv) -> dict[str, dict[str, Tensor]]:
    """Return the state of the normalisers."""
    return {
        name: {key: torch.as_tensor(getattr(moments, key), dtype=torch.float64) for key in ("mean", "var", "count")}
        for name, moments in moments_of(environment).items()
    }


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint's tensors. The library's own way would run code from the file, which may not be trusted.

    Raises:
        RequestError: It is not a checkpoint, or not one of this library.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if _POLICY not in names:
                raise RequestError(
                    f"{path} is not a checkpoint of Stable-Baselines3 2: it holds {', '.join(names)}, not {_POLICY}"
                )
            return {
                name: torch.load(io.BytesIO(archive.read(name)), map_location=device, weights_only=True)
                for name in (_POLICY, _OPTIMISER, _NORMALISERS)
                if name in names
            }
    except (OSError, zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise RequestError(f"{path} cannot be read as a checkpoint of sb3: {error}") from error


def load_weights(policy: Any, environment: VecEnv, contents: dict[str, Any], setting: str, path: Path) -> None:  # noqa: ANN401
    """Load a checkpoint's networks and normalisers.

    Raises:
        RequestError: They do not fit.
    """
    load_entry(policy.load_state_dict, contents, _POLICY, setting, path)

    def load_normalisers(states: dict[str, dict[str, Tensor]]) -> None:
        for name, moments in moments_of(environment).items():
            state = states[name]
            moments.mean, moments.var = state["mean"].cpu().numpy(), state["var"].cpu().numpy()
            moments.count = float(state["count"])

    if isinstance(environment, VecNormalize):
        wanted = f"agent.normalize_input={environment.norm_obs} and agent.normalize_value={environment.norm_reward}"
        load_entry(load_normalisers, contents, _NORMALISERS, wanted, path)
