"""Write the checkpoints of this folder: each by its own library, after two iterations with two tiny layers.

Run it once for each file, with the release of the library first on the path:

    PYTHONPATH=<folder of rsl-rl-lib 2.3.3> python tests/data/checkpoints/make.py rsl_rl <file>

The networks fit the cart-pole: four observations, one action. Tests then read what the libraries really write, without
having several releases of them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

HIDDEN = [8, 8]
ENVIRONMENTS, OBSERVATIONS, ACTIONS = 4, 4, 1


class Environment:
    """Noise, in the form of every release of rsl_rl and of skrl."""

    num_envs, num_actions, num_obs, num_privileged_obs, num_agents = ENVIRONMENTS, ACTIONS, OBSERVATIONS, None, 1
    max_episode_length = 10
    device = torch.device("cpu")
    cfg: dict[str, Any] = {}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATIONS,))
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (ACTIONS,))
    state_space = None

    def __init__(self, release: int) -> None:
        self.release = release
        self.episode_length_buf = torch.zeros(ENVIRONMENTS, dtype=torch.long)

    @property
    def unwrapped(self) -> Environment:
        return self

    def get_observations(self) -> Any:
        observations = torch.randn(ENVIRONMENTS, OBSERVATIONS)
        if self.release < 3:
            return observations, {"observations": {}}
        from tensordict import TensorDict

        return TensorDict({"policy": observations}, batch_size=[ENVIRONMENTS])

    def step(self, _: torch.Tensor) -> Any:
        observations = self.get_observations()
        ended = torch.rand(ENVIRONMENTS) < 0.3
        if self.release < 3:
            return observations[0], torch.rand(ENVIRONMENTS), ended.long(), observations[1]
        return observations, torch.rand(ENVIRONMENTS), ended.long(), {"time_outs": ended}


class SkrlEnvironment(Environment):
    """The same, for skrl."""

    def reset(self) -> Any:
        return torch.randn(ENVIRONMENTS, OBSERVATIONS), {}

    def state(self) -> None:
        return None

    def step(self, _: torch.Tensor) -> Any:
        column = (ENVIRONMENTS, 1)
        return self.reset()[0], torch.rand(column), torch.rand(column) < 0.3, torch.zeros(column, dtype=torch.bool), {}


def rsl_rl(path: Path, *, normalised: bool, recurrent: bool) -> None:
    """Write a checkpoint of rsl_rl."""
    from importlib.metadata import version

    from rsl_rl.runners import OnPolicyRunner

    release = int(version("rsl-rl-lib").partition(".")[0])
    algorithm = {"class_name": "PPO", "num_learning_epochs": 1, "num_mini_batches": 1}
    memory = {"rnn_type": "lstm", "rnn_hidden_dim": 8, "rnn_num_layers": 1} if recurrent else {}
    settings: dict[str, Any] = {"num_steps_per_env": 8, "save_interval": 100, "algorithm": algorithm}
    if release < 4:
        settings["policy"] = {
            "class_name": "ActorCriticRecurrent" if recurrent else "ActorCritic",
            "actor_hidden_dims": HIDDEN,
            "critic_hidden_dims": HIDDEN,
            "activation": "elu",
            **memory,
        }
        settings["empirical_normalization"] = normalised
        settings["obs_groups"] = {"policy": ["policy"], "critic": ["policy"]}
        if release == 3:
            settings["policy"] |= {"actor_obs_normalization": normalised, "critic_obs_normalization": normalised}
            del settings["empirical_normalization"]
    else:
        model = {
            "class_name": "RNNModel" if recurrent else "MLPModel",
            "hidden_dims": HIDDEN,
            "activation": "elu",
            "obs_normalization": normalised,
            **memory,
        }
        noise = (
            {"distribution_cfg": {"class_name": "GaussianDistribution", "init_std": 1.0}}
            if release > 4
            else {"stochastic": True, "init_noise_std": 1.0}
        )
        settings |= {"actor": {**model, **noise}, "critic": dict(model)}
        settings["obs_groups"] = {"actor": ["policy"], "critic": ["policy"]}
        if release == 4:
            settings["critic"] |= {"stochastic": False}
    with tempfile.TemporaryDirectory() as directory:
        runner = OnPolicyRunner(Environment(release), settings, log_dir=directory, device="cpu")
        runner.learn(2)
        runner.save(str(path))


def skrl(path: Path) -> None:
    """Write a checkpoint of skrl, with its own runner and Isaac Lab's shape of settings."""
    from importlib.metadata import version

    from skrl.utils.runner.torch import Runner

    name = "OBSERVATIONS" if version("skrl").startswith("2") else "STATES"
    network = [{"name": "net", "input": name, "layers": HIDDEN, "activations": "elu"}]
    common = {"clip_actions": False, "network": network, "output": "ACTIONS"}
    scaler = "observation_preprocessor" if version("skrl").startswith("2") else "state_preprocessor"
    settings = {
        "seed": 1,
        "models": {
            "separate": False,
            "policy": {"class": "GaussianMixin", "clip_log_std": True, "initial_log_std": 0.0, **common},
            "value": {"class": "DeterministicMixin", **common, "output": "ONE"},
        },
        "memory": {"class": "RandomMemory", "memory_size": -1},
        "agent": {
            "class": "PPO",
            "rollouts": 8,
            "learning_epochs": 1,
            "mini_batches": 1,
            scaler: "RunningStandardScaler",
            "value_preprocessor": "RunningStandardScaler",
            "experiment": {"directory": "", "experiment_name": "", "write_interval": 0, "checkpoint_interval": 0},
        },
        "trainer": {
            "class": "SequentialTrainer",
            "timesteps": 16,
            "headless": True,
            "close_environment_at_exit": False,
        },
    }
    runner = Runner(SkrlEnvironment(2), settings)
    runner.run()
    runner.agent.save(str(path))


def rl_games(path: Path) -> None:
    """Write a checkpoint of rl_games, with its own agent and its own function: the reward is NumPy's own number."""
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from rl_games.algos_torch import torch_ext
    from rl_games.algos_torch.a2c_continuous import A2CAgent

    from gaitway.simulators.common.ranks import Ranks
    from gaitway.simulators.embedded.libraries import Training, rl_games
    from gaitway.simulators.embedded.overrides import apply_overrides
    from gaitway.simulators.embedded.registry import find_task

    task = find_task("Isaac-Cartpole-Direct-v0", "rl_games")
    units = f"agent.params.network.mlp.units={HIDDEN}"
    config, agent = apply_overrides(task.environment, task.agents["rl_games"], [units])
    environment = task.make_environment(config, 1, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as directory:
        training = Training(Path(directory), Ranks(), 1)
        wrapped = rl_games._RlGamesEnvironment(environment, agent, None)
        algorithm = rl_games._Algorithm(wrapped, agent, training, Path(directory))
        algorithm.game_rewards.update(torch.ones(3, 1))
        algorithm.last_mean_rewards = algorithm.game_rewards.get_mean().reshape(-1)[0]
        algorithm.epoch_num = 2
        torch_ext.save_checkpoint(str(path.with_suffix("")), A2CAgent.get_full_state_weights(algorithm))


def sb3(path: Path) -> None:
    """Write a checkpoint of Stable-Baselines3."""
    from stable_baselines3 import PPO

    class Noise(gymnasium.Env[Any, Any]):
        observation_space, action_space = Environment.observation_space, gymnasium.spaces.Box(-1, 1, (ACTIONS,))

        def reset(self, **_: Any) -> Any:
            return np.zeros(OBSERVATIONS, np.float32), {}

        def step(self, _: Any) -> Any:
            return np.zeros(OBSERVATIONS, np.float32), 1.0, True, False, {}

    ppo = PPO("MlpPolicy", Noise(), n_steps=8, batch_size=8, n_epochs=1, policy_kwargs={"net_arch": HIDDEN})
    ppo.learn(16)
    ppo.save(path)


def exported(path: Path) -> None:
    """Write a policy as TorchScript or as ONNX, by the name's suffix."""
    network = torch.nn.Sequential(torch.nn.Linear(OBSERVATIONS, 8), torch.nn.ELU(), torch.nn.Linear(8, ACTIONS))
    example = torch.zeros(2, OBSERVATIONS)
    if path.suffix == ".onnx":
        torch.onnx.export(network, (example,), str(path), dynamo=False)
    else:
        torch.jit.trace(network, (example,)).save(str(path))  # type: ignore[no-untyped-call]


def main() -> None:
    """Write the file that the arguments name."""
    library, *words, name = sys.argv[1:]
    torch.manual_seed(0)
    path = Path(name)
    if library == "rsl_rl":
        rsl_rl(path, normalised="normalised" in words, recurrent="recurrent" in words)
    else:
        {"skrl": skrl, "rl_games": rl_games, "sb3": sb3, "exported": exported}[library](path)


if __name__ == "__main__":
    main()
