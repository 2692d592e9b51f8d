"""rsl_rl 3, as Isaac Lab 2.3.2 pins it: one `policy` holds both networks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import rsl_rl.runners
import torch
from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper
from tensordict import TensorDict
from torch import Tensor, nn

from gaitway.simulators.common.checkpoint_files import load_entry
from gaitway.simulators.common.errors import NotANumberError
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.isaaclab.training import LoadedPolicy, Training
from gaitway.simulators.common.libraries.rsl_rl import (
    ANEW,
    OPTIMISER,
    as_policy,
    is_of_models,
    optimiser_of_models,
    read,
    refuse_distillation,
)
from gaitway.simulators.common.optional import warn
from gaitway.simulators.common.policy import Memory
from gaitway.simulators.common.recurrent import RecurrentActions, states_of
from gaitway.simulators.common.watch import ENVIRONMENT

_NAN = ("NaN", "invalid values", "std >= 0")
"""Messages of PyTorch and rsl_rl about NaN, when they draw actions."""


_OF_NETWORKS = ("actor_hidden_dims", "critic_hidden_dims", "actor_obs_normalization", "critic_obs_normalization")
"""Settings that decide whether a checkpoint fits."""


def watch(training: Training) -> None:
    """Make Isaac Lab's script use our runner instead of rsl_rl's."""
    _Runner.training = training
    rsl_rl.runners.OnPolicyRunner = _Runner
    # The script imports both; unwatched, it would train to no checkpoint that a run knows.
    rsl_rl.runners.DistillationRunner = refuse_distillation


class _Runner(rsl_rl.runners.OnPolicyRunner):  # type: ignore[misc]
    """Reports every iteration, saves checkpoints whole, and continues to the run's total."""

    training: ClassVar[Training]

    def __init__(
        self,
        env: Any,  # noqa: ANN401
        train_cfg: dict[str, Any],
        log_dir: str | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(env, train_cfg, log_dir=log_dir, device=device)
        assert log_dir is not None
        self._made = Path(log_dir)

    def learn(self, num_learning_iterations: int, init_at_random_ep_len: bool = False) -> None:
        training = self.training
        directory = training.gather(self._made, self.env)
        self.log_dir = str(directory)
        training.restore_counter(self.env, directory, self.num_steps_per_env)
        steps_per_iteration = self.num_steps_per_env * self.env.num_envs
        self._watch = training.watch(steps_per_iteration)
        self._update, self.alg.update = self.alg.update, self._update_watched
        self._load(steps_per_iteration)
        if training.has_work:
            try:
                super().learn(training.total - training.completed, init_at_random_ep_len)
            except (RuntimeError, ValueError) as error:
                if not any(words in str(error) for words in _NAN):
                    raise
                raise NotANumberError(ENVIRONMENT, self._watch.completed + 1) from error
        if self.writer is not None:
            self.writer.flush()
        training.finish(_policy(self, self.env), directory, directory / f"model_{training.total - 1}.pt")

    def log(self, locs: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().log(locs, *args, **kwargs)
        rewards = locs["rewbuffer"]
        self._watch.iteration_done({}, {}, statistics.mean(rewards) if rewards else None)
        self._watch.stop_if_asked(self._save_stopped)

    def _save_stopped(self) -> Path:
        path = Path(self.log_dir, f"model_{self.current_learning_iteration}.pt")
        self.save(str(path))
        return path

    def save(self, path: str, infos: dict[str, Any] | None = None) -> None:
        if self.writer is not None:
            self.writer.flush()
        with written_whole(Path(path)) as temporary:
            super().save(str(temporary), infos)

    def _update_watched(self, *args: Any, **kwargs: Any) -> dict[str, float]:  # noqa: ANN401
        try:
            losses: dict[str, float] = self._update(*args, **kwargs)
        except (RuntimeError, ValueError):
            # NaN weights would fail in the next mini-batch, with another message.
            self._watch.check({}, self._states())
            raise
        self._watch.check(losses, self._states())
        if not self.training.ranks.leads:
            # Only the leading process logs.
            self._watch.iteration_done({}, {})
        return losses

    def _states(self) -> dict[str, Iterable[Tensor]]:
        return {"the weights of the policy": self.alg.policy.state_dict().values()}

    def _load(self, steps_per_iteration: int) -> None:
        job, completed = self.training.job, self.training.completed
        given = job.continue_from or job.resume_checkpoint
        if given is None:
            return
        contents = _load_policy(self, given)
        if job.continue_from is None:
            return
        is_foreign = is_of_models(contents)
        if is_foreign:
            contents |= {OPTIMISER: optimiser_of_models(contents, self.alg.policy)}
        if is_foreign and contents[OPTIMISER] is None:
            warn(ANEW)
        else:
            load_entry(self.alg.optimizer.load_state_dict, contents, OPTIMISER, _setting(self), given)
        # rsl_rl 3 would start again with the learning rate of the settings.
        self.alg.learning_rate = self.alg.optimizer.param_groups[0]["lr"]
        if getattr(self.alg, "rnd", None):
            for name, part in (("rnd", self.alg.rnd), ("rnd_optimizer", self.alg.rnd_optimizer)):
                load_entry(part.load_state_dict, contents, f"{name}_state_dict", "agent.algorithm.rnd_cfg", given)
        # Its own loader would repeat the iteration that is done.
        self.current_learning_iteration = completed
        self.tot_timesteps = completed * steps_per_iteration * self.training.ranks.world_size


class _Adapter:
    def __init__(self, environment: gymnasium.Env[Any, Any], agent: Any) -> None:  # noqa: ANN401
        self._wrapped = RslRlVecEnvWrapper(environment, clip_actions=agent.clip_actions)
        self._runner = rsl_rl.runners.OnPolicyRunner(self._wrapped, agent.to_dict(), log_dir=None, device=agent.device)
        self.num_actions: int = self._wrapped.num_actions
        self.device = torch.device(self._wrapped.device)

    def reset(self) -> Tensor:
        return self._flat(self._wrapped.reset()[0])

    def step(self, actions: Tensor) -> Tensor:
        return self._flat(self._wrapped.step(actions)[0])

    def load(self, checkpoint: Path) -> LoadedPolicy:
        _load_policy(self._runner, checkpoint)
        return _policy(self._runner, self._wrapped)

    def _flat(self, observations: TensorDict) -> Tensor:
        return torch.cat([observations[group] for group in _groups(self._runner)], dim=-1)


adapt = _Adapter


def _policy(runner: Any, environment: Any) -> LoadedPolicy:  # noqa: ANN401
    """Describe the policy that a runner holds."""
    policy = runner.alg.policy
    groups = _groups(runner)
    widths = [environment.get_observations()[group].shape[-1] for group in groups]
    infer = runner.get_inference_policy(runner.device)
    limit = environment.clip_actions

    def act(observations: Tensor) -> Tensor:
        parts = dict(zip(groups, torch.split(observations, widths, dim=-1), strict=True))
        actions: Tensor = infer(TensorDict(parts, batch_size=observations.shape[:1]))
        return actions if limit is None else actions.clamp(-limit, limit)

    network: nn.Module
    memory = None
    if policy.is_recurrent:
        rnn = policy.memory_a.rnn
        network = RecurrentActions(policy.actor_obs_normalizer, rnn, _Head(policy, limit))
        memory = Memory(states_of(rnn), policy.reset)
    else:
        network = nn.Sequential(policy.actor_obs_normalizer, _Head(policy, limit))
    normalised = "shifted and scaled" if policy.actor_obs_normalization else "unchanged"
    clipped = "as the network gives them" if limit is None else f"clipped to [-{limit:g}, {limit:g}]"
    words = f"observations {normalised}; actions {clipped}"
    return LoadedPolicy(act, sum(widths), torch.device(runner.device), network, words, policy.reset, memory)


class _Head(nn.Module):
    """From normalised observations, or the memory's output, to actions: without distribution and value."""

    def __init__(self, policy: Any, limit: float | None) -> None:  # noqa: ANN401
        super().__init__()
        self.actor: Any = policy.actor
        self.has_std = bool(getattr(policy, "state_dependent_std", False))
        self.limit = limit

    def forward(self, features: Tensor) -> Tensor:
        means: Tensor = self.actor(features)
        if self.has_std:
            means = means[..., 0, :]
        return means if self.limit is None else means.clamp(-self.limit, self.limit)


def _groups(runner: Any) -> list[str]:  # noqa: ANN401
    """Name the groups of observations that the policy sees, in their order."""
    groups: list[str] = runner.cfg["obs_groups"]["policy"]
    return groups


def _load_policy(runner: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    entry = "model_state_dict"
    contents = as_policy(read(path, runner.device))
    load_entry(runner.alg.policy.load_state_dict, contents, entry, _setting(runner), path)
    return contents


def _setting(runner: Any) -> str:  # noqa: ANN401
    policy = runner.policy_cfg
    return ", ".join(f"agent.policy.{name}={policy[name]}" for name in _OF_NETWORKS if name in policy)
