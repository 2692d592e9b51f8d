"""skrl: the training of its own `Runner`, watched and continued. It uses only calls that releases 1.4.3 and 2 have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import skrl.utils.runner.torch
import torch
from isaaclab_rl.skrl import SkrlVecEnvWrapper
from skrl.resources.preprocessors.torch import RunningStandardScaler
from torch import Tensor, nn

from gaitway.contracts.errors import RequestError
from gaitway.libraries import record_of
from gaitway.simulators.common.checkpoint_files import load_entry
from gaitway.simulators.common.collectives import average_moments
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.isaaclab.training import LoadedPolicy, Training
from gaitway.simulators.common.libraries.skrl import BestCheckpoint, read

_BEST = "best"
_OF_TRAINING = ("optimizer", "scheduler", _BEST)
"""Entries of a checkpoint that do not define what the networks compute."""


def watch(training: Training) -> None:
    """Make Isaac Lab's script use our runner instead of skrl's."""
    _Runner.training = training
    skrl.utils.runner.torch.Runner = _Runner


class _Runner(skrl.utils.runner.torch.Runner):  # type: ignore[misc]
    """Reports every iteration, saves checkpoints whole, and continues to the run's total.

    A checkpoint holds two more entries than skrl's own, which skips them with a warning: the scheduler, and the reward
    of the best checkpoint.
    """

    training: ClassVar[Training]

    def __init__(self, env: Any, cfg: dict[str, Any]) -> None:  # noqa: ANN401
        experiment = cfg["agent"]["experiment"]
        directory = self.training.gather(Path(experiment["directory"], experiment["experiment_name"]), env)
        experiment |= {"directory": str(directory.absolute().parent), "experiment_name": directory.name}
        self._rollouts: int = cfg["agent"]["rollouts"]
        if experiment.get("write_interval", "auto") == "auto":
            # A row for every iteration; "auto" would give none to a training of less than 100 time steps.
            experiment["write_interval"] = self._rollouts
        # The bar is made for terminals: it writes between the lines that the runner follows.
        cfg["trainer"]["disable_progressbar"] = True
        super().__init__(env, cfg)
        self._environment = env

    def run(self, mode: str = "train") -> None:
        training, agent = self.training, self.agent
        training.restore_counter(self._environment, Path(agent.experiment_dir), self._rollouts)
        self._first = training.completed * self._rollouts
        self._total = training.total * self._rollouts
        self._watch = training.watch(self._rollouts * self._environment.num_envs)
        if getattr(agent, "scheduler", None) is not None:
            agent.checkpoint_modules["scheduler"] = agent.scheduler
        agent.checkpoint_modules[_BEST] = BestCheckpoint(agent.checkpoint_best_modules)
        self._load()
        update = "_update" if hasattr(agent, "_update") else "update"
        setattr(agent, update, self._watched(getattr(agent, update)))
        agent.write_checkpoint = self._write_checkpoint
        agent.post_interaction = self._counted_on(agent.post_interaction)
        if training.has_work:
            super().run(mode)
        checkpoint = self._checkpoint(self._total)
        if training.ranks.leads and not checkpoint.exists():
            # skrl saves only at its interval, which need not coincide with the end.
            self._write_checkpoint(self._total, self._total)
        if training.ranks.leads and hasattr(agent, "writer"):
            agent.writer.flush()
        # Isaac Lab 3 saves once more, under the number of this attempt's own steps.
        agent.write_checkpoint = lambda **_: None
        training.finish(_policy(agent, self._environment), Path(agent.experiment_dir), checkpoint)

    def _load(self) -> None:
        training, agent = self.training, self.agent
        job = training.job
        given = job.continue_from or job.resume_checkpoint
        if given is None:
            return
        if job.continue_from is not None and record_of("skrl").number_of(given.name) != self._first:
            raise RequestError(
                f"{given.name} counts steps, and {training.completed} iterations are {self._first} with "
                f"agent.agent.rollouts={self._rollouts}: continue with the settings that it was trained with"
            )
        contents = _read(agent, given, self._environment.device)
        for name, module in agent.checkpoint_modules.items():
            if job.continue_from is not None or name not in _OF_TRAINING:
                _load_entry(agent, module, contents, name, given)

    def _watched(self, update: Callable[..., None]) -> Callable[..., None]:
        agent = self.agent

        def watched(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            update(*args, **kwargs)
            scalers = [each for each in agent.checkpoint_modules.values() if isinstance(each, RunningStandardScaler)]
            average_moments([(each.running_mean, each.running_variance) for each in scalers], self.training.ranks)
            tracked = agent.tracking_data
            losses = {
                name: tracked[tag][-1]
                for name in ("policy", "value")
                if (tag := f"Loss / {name.title()} loss") in tracked
            }
            states: dict[str, Iterable[Tensor]] = {
                f"the weights of the {name}": module.state_dict().values()
                for name, module in agent.checkpoint_modules.items()
                if isinstance(module, nn.Module)
            }
            rewards = tracked.get("Reward / Total reward (mean)")
            self._watch.iteration_done(losses, states, float(rewards[-1]) if rewards else None)

        return watched

    def _counted_on(self, post_interaction: Callable[..., None]) -> Callable[..., None]:
        """Count time steps from where the run stopped: skrl's trainer starts at 0 again."""

        def counted(timestep: int, timesteps: int) -> None:
            post_interaction(timestep=self._first + timestep, timesteps=self._total)
            done = self._first + timestep + 1
            if done % self._rollouts == 0:
                self._watch.stop_if_asked(lambda: self._save_stopped(done))

        return counted

    def _save_stopped(self, timestep: int) -> Path:
        self._write_checkpoint(timestep, self._total)
        return self._checkpoint(timestep)

    def _checkpoint(self, timestep: int) -> Path:
        return Path(self.agent.experiment_dir, "checkpoints", f"agent_{timestep}.pt")

    def _write_checkpoint(self, timestep: int, timesteps: int) -> None:
        agent = self.agent
        if hasattr(agent, "writer"):
            agent.writer.flush()
        path = self._checkpoint(timestep)
        path.parent.mkdir(exist_ok=True)
        _save({name: _state(module) for name, module in agent.checkpoint_modules.items()}, path)
        best = agent.checkpoint_best_modules
        if best["modules"] and not best["saved"]:
            _save(best["modules"], path.with_name("best_agent.pt"))
            best["saved"] = True


class _Adapter:
    def __init__(self, environment: gymnasium.Env[Any, Any], agent: dict[str, Any]) -> None:
        self._wrapped = SkrlVecEnvWrapper(environment)
        agent["trainer"]["close_environment_at_exit"] = False
        agent["agent"]["experiment"] |= {"write_interval": 0, "checkpoint_interval": 0}
        self._agent = skrl.utils.runner.torch.Runner(self._wrapped, agent).agent
        self.num_actions: int = gymnasium.spaces.flatdim(self._wrapped.action_space)
        self.device = torch.device(self._wrapped.device)

    def reset(self) -> Tensor:
        # It resets the environments once; after that they reset themselves.
        self._wrapped._reset_once = True
        observations: Tensor = self._wrapped.reset()[0]
        return observations

    def step(self, actions: Tensor) -> Tensor:
        observations: Tensor = self._wrapped.step(actions)[0]
        return observations

    def load(self, checkpoint: Path) -> LoadedPolicy:
        contents = _read(self._agent, checkpoint, self.device)
        for name, module in self._agent.checkpoint_modules.items():
            if name not in _OF_TRAINING:
                _load_entry(self._agent, module, contents, name, checkpoint)
        return _policy(self._agent, self._wrapped)


adapt = _Adapter


def _policy(agent: Any, environment: Any) -> LoadedPolicy:  # noqa: ANN401
    """Describe the policy that an agent holds."""
    policy = agent.models["policy"]
    policy.eval()
    scaler = getattr(agent, "_observation_preprocessor", None) or getattr(agent, "_state_preprocessor", None)
    scales = isinstance(scaler, nn.Module)
    module = scaler if isinstance(scaler, nn.Module) else nn.Identity()

    def act(observations: Tensor) -> Tensor:
        result = policy.act(_inputs(module(observations)), role="policy")
        actions: Tensor = result[-1].get("mean_actions", result[0])
        return actions

    normalised = "shifted, scaled and clipped to 5" if scales else "unchanged"
    words = f"observations {normalised}; actions as the network gives them"
    return LoadedPolicy(
        act,
        gymnasium.spaces.flatdim(environment.observation_space),
        torch.device(environment.device),
        _MeanActions(module, policy),
        words,
    )


class _MeanActions(nn.Module):
    """The policy without its distribution."""

    def __init__(self, scaler: nn.Module, policy: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.scaler = scaler
        self.policy: Any = policy

    def forward(self, observations: Tensor) -> Tensor:
        actions: Tensor = self.policy.compute(_inputs(self.scaler(observations)), role="policy")[0]
        return actions


def _inputs(observations: Tensor) -> dict[str, Tensor]:
    # Release 2 gave the observations their own name.
    return {"states": observations, "observations": observations}


def _read(agent: Any, path: Path, device: torch.device) -> dict[str, Any]:  # noqa: ANN401
    scaler = (
        "observation_preprocessor" if "observation_preprocessor" in agent.checkpoint_modules else "state_preprocessor"
    )
    return read(path, device, scaler)


def _load_entry(agent: Any, module: Any, contents: dict[str, Any], name: str, path: Path) -> None:  # noqa: ANN401
    if name in ("scheduler", _BEST) and name not in contents:
        # Written only by skrl.
        return
    setting = "agent.models and agent.agent"
    if isinstance(module, nn.Module) and name == "policy":
        layers = [layer.out_features for layer in agent.models["policy"].modules() if isinstance(layer, nn.Linear)]
        setting = f"agent.models.policy.network with layers {layers[:-1]}"
    load_entry(module.load_state_dict, contents, name, setting, path)


def _state(module: Any) -> Any:  # noqa: ANN401
    return module.state_dict() if hasattr(module, "state_dict") else module


def _save(modules: dict[str, Any], path: Path) -> None:
    with written_whole(path) as temporary:
        torch.save(modules, temporary)
