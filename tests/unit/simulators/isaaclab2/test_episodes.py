"""Why episodes of Isaac Lab's tasks end, and which of them are successes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium
import torch
from torch import Tensor

from gaitway.simulators.common.evaluate import Episode, evaluate
from gaitway.simulators.common.isaaclab.episodes import IsaacLabEpisodes, Signals
from gaitway.simulators.common.isaaclab.training import LoadedPolicy

LENGTH = 4
"""Steps after which time is out."""


class Manager:
    """Isaac Lab's TerminationManager, as far as it is asked: a term per name, and the steps after which it holds."""

    def __init__(self, **terms: tuple[bool, list[int]]) -> None:
        self.terms = terms
        self.active_terms = list(terms)
        self.steps = torch.zeros(1)

    def get_term_cfg(self, name: str) -> Any:
        return SimpleNamespace(time_out=self.terms[name][0])

    def get_term(self, name: str) -> Tensor:
        return self.steps == torch.tensor(self.terms[name][1])


class Environment(gymnasium.Env[Any, Any]):
    """Isaac Lab's interface, without physics."""

    num_envs, device = 3, "cpu"

    def __init__(self, manager: Manager | None, terminates_at: list[int]) -> None:
        if manager is not None:
            self.termination_manager = manager
        self._manager = manager or Manager()
        self._terminates_at = torch.tensor(terminates_at)
        self._steps = torch.zeros(3)

    def reset(self, **_: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
        self._steps[:] = 0
        return {"policy": self._steps[:, None]}, {}

    def step(self, action: Tensor) -> tuple[dict[str, Tensor], Any, Any, Any, dict[str, Any]]:
        self._steps += 1
        self._manager.steps = self._steps.clone()
        terminated = self._steps == self._terminates_at
        time_outs = self._steps == LENGTH
        self._steps[terminated | time_outs] = 0
        return {"policy": self._steps[:, None]}, torch.ones(3), terminated, time_outs, {}


class Adapter:
    """The thinnest wrapper."""

    num_actions, device = 1, torch.device("cpu")

    def __init__(self, environment: Signals) -> None:
        self._environment = environment

    def reset(self) -> Tensor:
        observations: Tensor = self._environment.reset()[0]["policy"]
        return observations

    def step(self, actions: Tensor) -> Tensor:
        observations: Tensor = self._environment.step(actions)[0]["policy"]
        return observations

    def load(self, checkpoint: object) -> LoadedPolicy:
        raise NotImplementedError


def run(manager: Manager | None, terminates_at: list[int]) -> tuple[list[Episode], str, list[Tensor]]:
    forgotten: list[Tensor] = []
    policy = LoadedPolicy(lambda obs: torch.zeros(len(obs), 1), 1, torch.device("cpu"), None, "", forgotten.append)
    signals = Signals(Environment(manager, terminates_at))
    episodes = IsaacLabEpisodes(Adapter(signals), signals, policy)
    return evaluate(episodes, policy.act, 3, 100), episodes.success_definition, forgotten


def test_without_named_terms_an_episode_that_lasts_is_a_success() -> None:
    episodes, definition, _ = run(None, [2, 99, 99])
    assert [(each.termination, each.success, each.length) for each in episodes] == [
        ("terminated", False, 2),
        ("time_out", True, LENGTH),
        ("time_out", True, LENGTH),
    ]
    assert "names no success" in definition


def test_the_tasks_own_terms_tell_why() -> None:
    manager = Manager(time_out=(True, [LENGTH] * 3), base_contact=(False, [2, 0, 0]), tipped=(False, [0, 3, 0]))
    episodes, _, _ = run(manager, [2, 3, 99])
    assert [(each.termination, each.success) for each in episodes] == [
        ("base_contact", False),
        ("tipped", False),
        ("time_out", True),
    ]


def test_where_a_task_names_a_success_lasting_is_none() -> None:
    manager = Manager(time_out=(True, [LENGTH] * 3), success=(False, [3, 0, 0]), dropped=(False, [0, 2, 0]))
    episodes, definition, _ = run(manager, [3, 2, 99])
    assert [(each.termination, each.success) for each in episodes] == [
        ("success", True),
        ("dropped", False),
        ("time_out", False),
    ]
    assert definition == "The episode ends for the task's own reason success."


def test_a_policy_with_a_memory_is_told_where_episodes_begin() -> None:
    _, _, forgotten = run(None, [2, 99, 99])
    assert [each.tolist() for each in forgotten] == [
        [True, True, True],
        [False, False, False],
        [True, False, False],
        [False, False, False],
        [True, True, True],
    ]
