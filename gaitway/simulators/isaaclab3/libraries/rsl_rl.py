"""rsl_rl 5, which Isaac Lab 3.0 pins: actor and critic are models of their own."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import isaaclab_rl.rsl_rl.utils
import torch
from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper, handle_deprecated_rsl_rl_cfg
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict
from torch import Tensor, nn

from gaitway.simulators.common.isaaclab.training import LoadedPolicy, Training
from gaitway.simulators.common.libraries.rsl_rl import refuse_distillation
from gaitway.simulators.common.libraries.rsl_rl_runner import LiveWriter, WatchedRunner, load_networks, recurrent


def watch(training: Training) -> None:
    """Make Isaac Lab use our runner instead of rsl_rl's."""
    _Runner.training = training
    isaaclab_rl.rsl_rl.utils.OnPolicyRunner = _Runner
    isaaclab_rl.rsl_rl.utils.DistillationRunner = refuse_distillation


class _Runner(WatchedRunner):
    """Reports every iteration, and continues to the run's total."""

    training: ClassVar[Training]

    def __init__(
        self,
        env: Any,  # noqa: ANN401
        train_cfg: dict[str, Any],
        log_dir: str | None = None,
        device: str = "cpu",
    ) -> None:
        if train_cfg.get("logger", "tensorboard") == "tensorboard":
            train_cfg["logger"] = {"class_name": LiveWriter}
        super().__init__(env, train_cfg, log_dir=log_dir, device=device)
        assert log_dir is not None
        self._made = Path(log_dir)

    def learn(self, num_learning_iterations: int, init_at_random_ep_len: bool = False) -> None:
        training = self.training
        directory = training.gather(self._made, self.env)
        self.logger.log_dir = str(directory)
        training.restore_counter(self.env, directory, self.cfg["num_steps_per_env"])
        self.watch(training.watch(self.cfg["num_steps_per_env"] * self.env.num_envs))
        job = training.job
        given = job.continue_from or job.resume_checkpoint
        if given is not None:
            contents = load_networks(self, given, _settings(self, "actor", "critic"), torch.device(self.device))
            if job.continue_from is not None:
                self.continue_from(contents, training.completed, training.ranks)
        if training.has_work:
            self.train_on(training.total - training.completed, init_at_random_ep_len=init_at_random_ep_len)
        training.finish(_policy(self, self.env), directory, directory / f"model_{training.total - 1}.pt")


class _Adapter:
    def __init__(self, environment: gymnasium.Env[Any, Any], agent: Any) -> None:  # noqa: ANN401
        agent = handle_deprecated_rsl_rl_cfg(agent, importlib.metadata.version("rsl-rl-lib"))
        self._wrapped = RslRlVecEnvWrapper(environment, clip_actions=agent.clip_actions)
        device = str(self._wrapped.device)
        self._runner = OnPolicyRunner(self._wrapped, agent.to_dict(), log_dir=None, device=device)
        self.num_actions: int = self._wrapped.num_actions
        self.device = torch.device(device)

    def reset(self) -> Tensor:
        return self._flat(self._wrapped.reset()[0])

    def step(self, actions: Tensor) -> Tensor:
        return self._flat(self._wrapped.step(actions)[0])

    def load(self, checkpoint: Path) -> LoadedPolicy:
        load_networks(self._runner, checkpoint, _settings(self._runner, "actor"), self.device)
        return _policy(self._runner, self._wrapped)

    def _flat(self, observations: TensorDict) -> Tensor:
        return torch.cat([observations[group] for group in _groups(self._runner)], dim=-1)


adapt = _Adapter


def _policy(runner: Any, environment: Any) -> LoadedPolicy:  # noqa: ANN401
    """Describe the policy that a runner holds."""
    groups = _groups(runner)
    widths = [environment.get_observations()[group].shape[-1] for group in groups]
    actor = runner.get_inference_policy(runner.device)
    limit = environment.clip_actions

    def act(observations: Tensor) -> Tensor:
        parts = dict(zip(groups, torch.split(observations, widths, dim=-1), strict=True))
        actions: Tensor = actor(TensorDict(parts, batch_size=observations.shape[:1]))
        return actions if limit is None else actions.clamp(-limit, limit)

    clip = nn.Identity() if limit is None else nn.Hardtanh(-limit, limit)
    memory = None
    if actor.is_recurrent:
        network, memory = recurrent(actor, clip)
    else:
        network = nn.Sequential(actor.as_jit(), clip)
    normalised = "shifted and scaled" if actor.obs_normalization else "unchanged"
    clipped = "as the network gives them" if limit is None else f"clipped to [-{limit:g}, {limit:g}]"
    words = f"observations {normalised}; actions {clipped}"
    return LoadedPolicy(act, sum(widths), torch.device(runner.device), network, words, actor.reset, memory)


def _groups(runner: Any) -> list[str]:  # noqa: ANN401
    """Name the groups of observations that the policy sees, in their order."""
    groups: list[str] = runner.cfg["obs_groups"]["actor"]
    return groups


def _settings(runner: Any, *networks: str) -> dict[str, str]:  # noqa: ANN401
    """Name the setting of each network that decides whether a checkpoint fits."""
    return {name: f"agent.{name}.hidden_dims={list(runner.cfg[name].get('hidden_dims', ()))}" for name in networks}
