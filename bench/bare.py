"""Train as a user of the library would without Gaitway: `python -m bench.bare simulation.json`.

The same environment, settings, seed and number of threads as the embedded simulator's, and the library's own loop:
nothing watches for NaN, reports progress, or makes sure that a checkpoint is whole.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.embedded.__main__ import CPU_THREADS
from gaitway.simulators.embedded.files import make_run_directory
from gaitway.simulators.embedded.registry import find_task
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

# Each library, and with it the adapter's private translation of its settings, is imported where it is used.
# ruff: noqa: ANN401 - the agent's settings are of another type in each library


def main(job_file: Path) -> None:
    """Train in the working directory, as the job says."""
    training = SimulationJob.model_validate_json(job_file.read_text()).asks(TrainingConfig)
    torch.set_num_threads(CPU_THREADS)
    task = find_task(training.task, training.rl_library)
    agent = task.agents[training.rl_library].requested(training)
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(agent.seed)
    config = replace(task.environment, scene=replace(task.environment.scene, num_envs=training.num_envs))
    environment = task.make_environment(config, agent.seed, torch.device("cpu"))
    directory = make_run_directory(training.rl_library, agent.experiment, agent.run_suffix)
    train = {"rsl_rl": train_rsl_rl, "skrl": train_skrl, "rl_games": train_rl_games}[training.rl_library]
    train(environment, agent, directory)


def train_rsl_rl(environment: VectorEnvironment, agent: Any, directory: Path) -> None:
    """Train with rsl_rl's `OnPolicyRunner`."""
    from rsl_rl.runners import OnPolicyRunner

    from gaitway.simulators.embedded.libraries import rsl_rl as adapter
    from gaitway.simulators.embedded.libraries.rsl_rl_config import translate

    wrapped = adapter._RslRlEnvironment(environment, agent.clip_actions, None)
    runner = OnPolicyRunner(wrapped, translate(agent), log_dir=str(directory), device=str(environment.device))
    runner.learn(agent.max_iterations, init_at_random_ep_len=True)


def train_skrl(environment: VectorEnvironment, agent: Any, directory: Path) -> None:
    """Train with skrl's `PPO` and `SequentialTrainer`."""
    from skrl.agents.torch.ppo import PPO
    from skrl.memories.torch import RandomMemory
    from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg

    from gaitway.simulators.embedded.libraries import skrl as adapter

    wrapped = adapter._SkrlEnvironment(environment, None)
    ppo = PPO(
        models=adapter._make_models(wrapped, agent),
        memory=RandomMemory(memory_size=agent.agent.rollouts, num_envs=environment.num_envs, device=environment.device),
        observation_space=wrapped.observation_space,
        action_space=wrapped.action_space,
        device=environment.device,
        cfg=adapter._translate(wrapped, agent, directory),
    )
    settings = SequentialTrainerCfg(
        timesteps=agent.trainer.timesteps, headless=True, disable_progressbar=True, close_environment_at_exit=False
    )
    SequentialTrainer(cfg=settings, env=wrapped, agents=ppo).train()
    # Write the remaining events: skrl itself writes them only at the end of the process.
    ppo.writer.close()


def train_rl_games(environment: VectorEnvironment, agent: Any, directory: Path) -> None:
    """Train with rl_games' `A2CAgent`."""
    from rl_games.algos_torch.a2c_continuous import A2CAgent
    from rl_games.common.algo_observer import AlgoObserver
    from rl_games.common.tr_helpers import DefaultRewardsShaper

    from gaitway.simulators.embedded.libraries import rl_games as adapter
    from gaitway.simulators.embedded.libraries.rl_games_config import translate

    wrapped = adapter._RlGamesEnvironment(environment, agent, None)
    params = translate(agent, environment.num_envs)
    params["config"] |= {
        "device": str(environment.device),
        "env_info": wrapped.get_env_info(),
        "vec_env": wrapped,
        "train_dir": str(directory.parent),
        "full_experiment_name": directory.name,
        "features": {"observer": AlgoObserver()},
        "reward_shaper": DefaultRewardsShaper(**params["config"]["reward_shaper"]),
    }
    algorithm = A2CAgent("run", params)
    algorithm.train()
    algorithm.writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
