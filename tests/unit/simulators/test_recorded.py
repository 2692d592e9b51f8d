"""The settings of a checkpoint's training say how large its networks are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gaitway.contracts.inputs import AGENT_SETTINGS
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, SimulationJob
from gaitway.contracts.workload import EvaluationConfig
from gaitway.libraries import RlLibrary
from gaitway.simulators.common.recorded import recorded_overrides
from tests.unit.simulators.jobs import LIBRARIES, NUM_ENVS, TASK, Left, run_here

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
TINY = {"task": TASK, "num_envs": NUM_ENVS, "seed": 7}
OTHER = {
    "rsl_rl": ["agent.policy.actor_hidden_dims=[8, 8]", "agent.policy.actor_obs_normalization=true"],
    "skrl": [
        "agent.models.policy.network=[{name: net, input: OBSERVATIONS, layers: [8, 8, 8], activations: tanh}]",
        "agent.models.value.network=[{name: net, input: OBSERVATIONS, layers: [8, 8, 8], activations: tanh}]",
        "agent.agent.state_preprocessor=null",
    ],
    "rl_games": ["agent.params.network.mlp.units=[8]", "agent.params.config.normalize_input=false"],
    "sb3": ["agent.policy_kwargs.net_arch=[8]", "agent.policy_kwargs.activation_fn=nn.Tanh"],
}
EVALUATION = TINY | {"mode": "evaluate", "num_episodes": 4, "steps_per_episode": 5}


def job(tmp_path: Path, settings: object, library: RlLibrary = "rsl_rl", **fields: Any) -> SimulationJob:
    path = tmp_path / "agent.yaml"
    path.write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings))
    training = EvaluationConfig(rl_library=library, **fields)
    return SimulationJob(training=training, inputs={AGENT_SETTINGS: path})


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_policy_is_evaluated_with_the_settings_of_its_training(
    library: RlLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = Left(library, tmp_path / "trained")
    training = TINY | {"rl_library": library, "max_iterations": 1, "hydra_overrides": OTHER[library]}
    assert run_here(monkeypatch, left.directory, training) == 0
    given: dict[str, Any] = {"policy": str(left.checkpoints[1])}
    evaluation = EVALUATION | {"rl_library": library}
    assert run_here(monkeypatch, tmp_path / "without", evaluation, **given) == EXIT_BAD_REQUEST
    given["agent_settings"] = str(left.run / "params" / "agent.yaml")
    assert run_here(monkeypatch, tmp_path / "with", evaluation, **given) == 0
    assert "The checkpoint's own settings are used: agent." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        # Releases 2 and 3 of rsl_rl; 4 and 5; 2 with its normaliser.
        ({"policy": {"actor_hidden_dims": [8, 4], "activation": "elu"}}, ["policy.actor_hidden_dims=[8, 4]"]),
        (
            {"actor": {"hidden_dims": [8], "activation": "tanh"}},
            ["policy.actor_hidden_dims=[8]", "policy.activation=tanh"],
        ),
        (
            {"empirical_normalization": True},
            ["policy.actor_obs_normalization=true", "policy.critic_obs_normalization=true"],
        ),
        ({"clip_actions": 2.5, "seed": 9, "max_iterations": 3}, ["clip_actions=2.5"]),
    ],
)
def test_every_release_has_its_own_names(tmp_path: Path, settings: object, found: list[str]) -> None:
    policy = {
        "actor_hidden_dims": [32, 32],
        "activation": "elu",
        "actor_obs_normalization": False,
        "critic_obs_normalization": False,
    }
    agent = {"policy": policy, "clip_actions": None}
    assert recorded_overrides(job(tmp_path, settings), agent) == [f"agent.{each}" for each in found]


def test_layers_are_taken_and_names_of_another_release_are_not(tmp_path: Path) -> None:
    theirs = [{"name": "net", "input": "STATES", "layers": [8], "activations": "elu"}]
    ours = [{"name": "net", "input": "OBSERVATIONS", "layers": [32, 32], "activations": "elu"}]
    found = recorded_overrides(
        job(tmp_path, {"models": {"policy": {"network": theirs}}}, "skrl"), {"models": {"policy": {"network": ours}}}
    )
    text = "[{name: net, input: OBSERVATIONS, layers: [8], activations: elu}]"
    assert found == [f"agent.models.policy.network={text}"]


def test_the_requests_own_overrides_win(tmp_path: Path) -> None:
    settings = {"policy": {"actor_hidden_dims": [8]}}
    given = job(tmp_path, settings, hydra_overrides=["agent.policy.actor_hidden_dims=[16]"])
    assert recorded_overrides(given, {"policy": {"actor_hidden_dims": [32]}}) == []


@pytest.mark.parametrize(
    "settings",
    [
        "policy: {activation: '${oc.env:HOME}'}",
        'policy: {activation: "x\'] +agent.y=[1"}',
        "policy: !!python/object/apply:os.system ['true']",
        "policy: {activation: !!python/name:os.system }",
        "policy: [unclosed",
        "- 1",
        "",
        "\x00",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\npolicy: {activation: [*c, *c, *c]}",
    ],
)
def test_what_is_no_setting_of_a_network_is_left_alone(tmp_path: Path, settings: str) -> None:
    assert recorded_overrides(job(tmp_path, settings), {"policy": {"activation": "elu"}}) == []


def test_pythons_own_tags_are_read_as_what_they_hold(tmp_path: Path) -> None:
    settings = "policy:\n  actor_hidden_dims: !!python/tuple [8, 4]\n  x: !!python/object/apply:builtins.slice [1]\n"
    found = recorded_overrides(job(tmp_path, settings), {"policy": {"actor_hidden_dims": [32]}})
    assert found == ["agent.policy.actor_hidden_dims=[8, 4]"]
