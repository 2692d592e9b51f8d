"""skrl: trains with its own PPO and trainer, and loads what it saved."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from skrl.agents.torch import base as skrl_base
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.memories.torch import RandomMemory
from skrl.resources.preprocessors.torch import RunningStandardScaler
from skrl.resources.schedulers.torch import KLAdaptiveLR
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg
from skrl.utils.model_instantiators.torch import deterministic_model, gaussian_model, shared_model
from skrl.utils.tensorboard import SummaryWriter
from torch import Tensor, nn

from gaitway.simulators.common.checkpoint_files import load_entry
from gaitway.simulators.common.collectives import average_moments
from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.libraries.skrl import BestCheckpoint, read
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.common.ranks import replaced
from gaitway.simulators.common.watch import TrainingWatch
from gaitway.simulators.embedded.libraries import Training
from gaitway.simulators.embedded.libraries.skrl_config import AgentConfig
from gaitway.simulators.embedded.overrides import key_of
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

OnStep = Callable[[Step], None]

CHECKPOINTS = "checkpoints"
_BEST = "best"
_WEIGHTS = ("policy", "value", "observation_preprocessor", "value_preprocessor")
"""Entries of a checkpoint that define what the networks compute."""


def train(environment: VectorEnvironment, agent: AgentConfig, training: Training) -> None:
    """Train to `agent.iterations` iterations; the last checkpoint is `agent_{iterations * rollouts}.pt`."""
    random.seed(training.seed)
    np.random.seed(training.seed % 2**32)
    torch.manual_seed(training.seed)
    wrapped = _SkrlEnvironment(environment, training.on_step)
    ppo = _Ppo(wrapped, agent, training)
    given = training.continue_from or training.initial_weights
    if given is not None:
        contents = _read(given, environment.device)
        entries = (
            ppo.checkpoint_modules
            if training.continue_from
            else [name for name in _WEIGHTS if name in ppo.checkpoint_modules]
        )
        for name in entries:
            _load(ppo.checkpoint_modules[name], contents, name, agent, given)
    first = training.completed_iterations * agent.agent.rollouts
    settings = SequentialTrainerCfg(
        timesteps=agent.trainer.timesteps - first,
        headless=True,
        # The bar is made for terminals: it writes carriage returns between the lines that the runner follows.
        disable_progressbar=True,
        close_environment_at_exit=False,
    )
    trainer = SequentialTrainer(cfg=settings, env=wrapped, agents=ppo)
    trainer.train()
    ppo.finish()


def load_policy(checkpoint: Path, environment: VectorEnvironment, agent: AgentConfig) -> TrainedPolicy:
    """Load a checkpoint's policy, which then acts by its mean actions."""
    contents = _read(checkpoint, environment.device)
    policy = _make_models(_SkrlEnvironment(environment, None), agent)["policy"]
    _load(policy, contents, "policy", agent, checkpoint)
    policy.enable_training_mode(False)
    scaler: nn.Module = nn.Identity()
    if agent.agent.state_preprocessor is not None:
        scaler = RunningStandardScaler(environment.observe().shape[1], device=environment.device)
        _load(scaler, contents, "observation_preprocessor", agent, checkpoint)

    def act(observations: Tensor) -> Tensor:
        _, outputs = policy.act({"observations": scaler(observations)}, role="policy")
        actions: Tensor = outputs["mean_actions"]
        return actions

    normalised = "unchanged" if agent.agent.state_preprocessor is None else "shifted, scaled and clipped to 5"
    words = f"observations {normalised}; actions as the network gives them"
    return TrainedPolicy(act, _MeanActions(scaler, policy), words)


class _MeanActions(nn.Module):
    """The policy without its distribution."""

    def __init__(self, scaler: nn.Module, policy: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.scaler = scaler
        self.policy: Any = policy

    def forward(self, observations: Tensor) -> Tensor:
        actions: Tensor = self.policy.compute({"observations": self.scaler(observations)}, role="policy")[0]
        return actions


class _SkrlEnvironment:
    """The environment as skrl's trainer wants it: spaces, and two flags of shape (num_envs, 1)."""

    state_space = None

    def __init__(self, environment: VectorEnvironment, on_step: OnStep | None) -> None:
        self.num_envs = environment.num_envs
        self.device = environment.device
        self.observation_space = _unbounded(environment.observe().shape[1])
        self.action_space = _unbounded(environment.num_actions)
        self._environment = environment
        self._on_step = on_step

    def reset(self) -> tuple[Tensor, dict[str, Any]]:
        return self._environment.observe(), {}

    def state(self) -> None:
        return None

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        step = self._environment.step(actions)
        if self._on_step is not None:
            self._on_step(step)
        return step.observations, step.rewards[:, None], step.terminated[:, None], step.time_outs[:, None], {}


class _Ppo(PPO):  # type: ignore[misc]
    """Continues the count of an earlier attempt, and saves checkpoints whole.

    A checkpoint holds two more entries than skrl's own, which skips them with a warning: the scheduler, and the reward
    of the best checkpoint.
    """

    def __init__(self, environment: _SkrlEnvironment, agent: AgentConfig, training: Training) -> None:
        super().__init__(
            models=_make_models(environment, agent),
            memory=RandomMemory(
                memory_size=agent.agent.rollouts, num_envs=environment.num_envs, device=environment.device
            ),
            observation_space=environment.observation_space,
            action_space=environment.action_space,
            device=environment.device,
            cfg=_translate(environment, agent, training.directory),
        )
        if self.scheduler is not None:
            self.checkpoint_modules["scheduler"] = self.scheduler
        self.checkpoint_modules[_BEST] = BestCheckpoint(self.checkpoint_best_modules)
        self._first = training.completed_iterations * agent.agent.rollouts
        self._total = agent.trainer.timesteps
        self._ranks = training.ranks
        steps_per_iteration = agent.agent.rollouts * environment.num_envs
        self._watch = TrainingWatch(
            training.ranks, agent.iterations, training.completed_iterations, steps_per_iteration
        )

    def init(self, *, trainer_cfg: Any = None) -> None:  # noqa: ANN401
        # skrl's own events are up to two minutes late.
        with replaced(skrl_base, "SummaryWriter", functools.partial(SummaryWriter, flush_seconds=1)):
            super().init(trainer_cfg=trainer_cfg)

    def update(self, *, timestep: int, timesteps: int) -> None:
        super().update(timestep=timestep, timesteps=timesteps)
        scalers = [module for module in self.checkpoint_modules.values() if isinstance(module, RunningStandardScaler)]
        average_moments([(scaler.running_mean, scaler.running_variance) for scaler in scalers], self._ranks)
        losses = {name: self.tracking_data[f"Loss / {name.capitalize()} loss"][-1] for name in ("policy", "value")}
        states = {
            f"the weights of the {name}": module.state_dict().values()
            for name, module in self.checkpoint_modules.items()
            if isinstance(module, nn.Module)
        }
        rewards = self.tracking_data.get("Reward / Total reward (mean)")
        self._watch.iteration_done(losses, states, float(rewards[-1]) if rewards else None)

    def post_interaction(self, *, timestep: int, timesteps: int) -> None:
        super().post_interaction(timestep=self._first + timestep, timesteps=self._total)
        done = self._first + timestep + 1
        if done % self.cfg.rollouts == 0:
            self._watch.stop_if_asked(lambda: self._finish(done))

    def write_checkpoint(self, *, timestep: int, timesteps: int) -> None:
        if not timestep % self.write_interval:
            # skrl would do so afterwards, but an attempt that resumes from this checkpoint does not log the steps
            # before it.
            self.write_tracking_data(timestep=timestep, timesteps=timesteps)
            self.writer.flush()
        path = self._checkpoint(timestep)
        modules = {name: self._get_internal_value(module) for name, module in self.checkpoint_modules.items()}
        _save(modules, path)
        best = self.checkpoint_best_modules
        if best["modules"] and not best["saved"]:
            _save(best["modules"], path.with_name("best_agent.pt"))
            best["saved"] = True

    def finish(self) -> None:
        """Write the last checkpoint and the remaining events."""
        if self._ranks.leads:
            self._finish(self._total)

    def _finish(self, timestep: int) -> Path:
        """Write a checkpoint, unless the interval has just done that, and the remaining events."""
        if timestep % self.checkpoint_interval:
            self.write_checkpoint(timestep=timestep, timesteps=self._total)
        self.writer.close()
        return self._checkpoint(timestep)

    def _checkpoint(self, timestep: int) -> Path:
        return Path(self.experiment_dir, CHECKPOINTS, f"agent_{timestep}.pt")


def _translate(environment: _SkrlEnvironment, agent: AgentConfig, directory: Path) -> PPO_CFG:
    """Write an agent's settings as skrl 2 reads them; its own runner would evaluate text from the request."""
    settings = agent.agent
    scaler = {"size": environment.observation_space, "device": environment.device}
    value_scaler = {"size": 1, "device": environment.device}
    return PPO_CFG(
        rollouts=settings.rollouts,
        learning_epochs=settings.learning_epochs,
        mini_batches=settings.mini_batches,
        discount_factor=settings.discount_factor,
        gae_lambda=settings.lambda_,
        learning_rate=settings.learning_rate,
        learning_rate_scheduler=KLAdaptiveLR if settings.learning_rate_scheduler else None,
        learning_rate_scheduler_kwargs=asdict(settings.learning_rate_scheduler_kwargs),
        observation_preprocessor=RunningStandardScaler if settings.state_preprocessor else None,
        observation_preprocessor_kwargs=scaler if settings.state_preprocessor else {},
        value_preprocessor=RunningStandardScaler if settings.value_preprocessor else None,
        value_preprocessor_kwargs=value_scaler if settings.value_preprocessor else {},
        grad_norm_clip=settings.grad_norm_clip,
        ratio_clip=settings.ratio_clip,
        value_clip=settings.value_clip if settings.clip_predicted_values else 0,
        entropy_loss_scale=settings.entropy_loss_scale,
        value_loss_scale=settings.value_loss_scale,
        kl_threshold=settings.kl_threshold,
        rewards_shaper=lambda rewards, *_: rewards * settings.rewards_shaper_scale,
        time_limit_bootstrap=settings.time_limit_bootstrap,
        experiment=skrl_base.ExperimentCfg(
            directory=str(directory.parent),
            experiment_name=directory.name,
            # A row for every iteration; "auto" would give none to a training of less than 100 time steps.
            write_interval=settings.rollouts,
            checkpoint_interval=agent.checkpoint_steps,
        ),
    )


def _make_models(environment: _SkrlEnvironment, agent: AgentConfig) -> dict[str, Any]:
    spaces = {
        "observation_space": environment.observation_space,
        "action_space": environment.action_space,
        "device": environment.device,
    }
    parameters = [_parameters(agent.models.policy), _parameters(agent.models.value)]
    if agent.models.separate:
        models = {
            "policy": gaussian_model(**spaces, **parameters[0]),
            "value": deterministic_model(**spaces, **parameters[1]),
        }
    else:
        structure = [agent.models.policy.class_, agent.models.value.class_]
        shared = shared_model(**spaces, structure=structure, roles=["policy", "value"], parameters=parameters)
        models = {"policy": shared, "value": shared}
    for role, model in models.items():
        model.init_state_dict(role=role)
    return models


def _parameters(config: Any) -> dict[str, Any]:  # noqa: ANN401
    parameters = {key_of(name): value for name, value in asdict(config).items()}
    del parameters["class"]
    parameters["network"] = [{**layers, "layers": list(layers["layers"])} for layers in parameters["network"]]
    return parameters


def _unbounded(size: int) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(-np.inf, np.inf, (size,))


def _save(modules: dict[str, Any], path: Path) -> None:
    with written_whole(path) as temporary:
        torch.save(modules, temporary)


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    return read(path, device, "observation_preprocessor")


def _load(module: Any, contents: dict[str, Any], entry: str, agent: AgentConfig, path: Path) -> None:  # noqa: ANN401
    if entry.endswith("preprocessor"):
        name = entry.replace("observation", "state")
        setting = f"agent.agent.{name}={getattr(agent.agent, name)}"
    else:
        layers = [list(config.layers) for config in agent.models.policy.network]
        setting = f"agent.models.policy.network with layers {layers}"
    load_entry(module.load_state_dict, contents, entry, setting, path)
