"""Evaluate a policy in an environment of Isaac Lab: its own play.py measures nothing, and ends only with a video."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import EvaluationConfig
from gaitway.simulators.common.evaluate import evaluate, write_metrics, write_summary
from gaitway.simulators.common.exits import end_soon
from gaitway.simulators.common.export import is_exported, load_exported
from gaitway.simulators.common.isaaclab.episodes import IsaacLabEpisodes, Signals
from gaitway.simulators.common.isaaclab.training import Library, LoadedPolicy


def evaluate_policy(
    job: SimulationJob,
    environment: gymnasium.Env[Any, Any],
    agent: Any,  # noqa: ANN401
    library: Library,
    seed: int,
    finish_video: Callable[[], None],
) -> None:
    """Count the episodes of the job's policy, and write what the runner reads.

    Args:
        job: An evaluation.
        environment: As Gymnasium made it.
        agent: The task's settings for the library, overrides applied.
        library: The library of the policy.
        seed: Of the first reset.
        finish_video: Called when all episodes are counted.
    """
    training = job.asks(EvaluationConfig)
    assert job.policy is not None
    base: Any = environment.unwrapped
    signals = Signals(environment)
    adapter = library.adapt(signals, agent)
    if is_exported(job.policy):
        observations = adapter.reset()
        act = load_exported(job.policy, observations, adapter.num_actions)
        policy = LoadedPolicy(act, observations.shape[1], adapter.device, None, "")
    else:
        policy = adapter.load(job.policy)
    episodes = IsaacLabEpisodes(adapter, signals, policy)

    def tell(done: int) -> None:
        print(f"Evaluated episodes: {done}/{training.num_episodes}", flush=True)  # noqa: T201 - the contract's line

    # The libraries' wrappers have reset it a different number of times, but the episodes must be the same for all.
    base.seed(seed)
    counted = evaluate(episodes, policy.act, training.num_episodes, training.steps_per_episode, tell)
    write_metrics(counted)
    finish_video()
    # Last: it signals to the runner that everything is written.
    write_summary(counted, episodes.success_definition)
    end_soon()
    environment.close()
