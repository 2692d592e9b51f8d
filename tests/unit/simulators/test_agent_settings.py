"""Isaac Lab's settings of skrl and rl_games, and how they are made to fit a request."""

from __future__ import annotations

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.simulators.common.libraries.minibatch import fit_minibatches, fitting_minibatch
from gaitway.simulators.embedded.libraries import skrl_config
from gaitway.simulators.embedded.overrides import apply_overrides
from gaitway.simulators.embedded.registry import find_task


@pytest.mark.parametrize(
    ("num_envs", "minibatch", "parts"),
    [(4096, 16384, 8), (1024, 16384, 2), (256, 8192, 1), (100, 3200, 1), (700, 11200, 2), (521, 521 * 16, 2)],
)
def test_a_minibatch_divides_the_batch_and_is_no_larger_than_isaac_labs(
    num_envs: int, minibatch: int, parts: int
) -> None:
    batch = 32 * num_envs
    assert fitting_minibatch(batch, 16384) == minibatch
    assert batch == minibatch * parts


@pytest.mark.parametrize(
    ("num_envs", "wanted", "network", "size"),
    [(16, 32768, {}, 256), (100, 24, {}, 20), (16, 12, {"rnn": {"name": "lstm"}}, 8), (16, 64, {}, 64)],
)
def test_rl_games_takes_every_number_of_environments_in_isaac_lab_as_in_the_embedded_simulator(
    num_envs: int, wanted: int, network: dict[str, object], size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    critic = {"minibatch_size": wanted, "network": network}
    config = {"horizon_length": 16, "num_actors": num_envs, "minibatch_size": wanted, "central_value_config": critic}
    fit_minibatches({"config": config, "network": network})
    assert config["minibatch_size"] == critic["minibatch_size"] == size
    assert (f"minibatch_size is {size} instead of {wanted}" in capsys.readouterr().out) is (size != wanted)


@pytest.mark.parametrize(
    ("iterations", "interval", "steps"),
    [(80, None, 256), (80, 10, 320), (5, None, 32), (1, None, 32), (150, None, 480), (33, None, 128)],
)
def test_skrl_saves_after_whole_iterations(iterations: int, interval: int | None, steps: int) -> None:
    request = TrainingConfig(max_iterations=iterations, checkpoint_interval=interval)
    agent = skrl_config.CARTPOLE_DIRECT.requested(request)
    assert agent.checkpoint_steps == steps
    assert agent.trainer.timesteps == iterations * 32


def test_names_that_python_keeps_for_itself_are_overridden_under_their_own() -> None:
    task = find_task("Isaac-Cartpole-v0", "skrl")
    overrides = ["agent.agent.lambda=0.9", "agent.models.policy.network=[{layers: [64], activations: tanh}]"]
    _, agent = apply_overrides(task.environment, task.agents["skrl"], overrides)
    assert agent.agent.lambda_ == 0.9
    assert agent.models.policy.network[0].layers == (64,)


@pytest.mark.parametrize(
    ("library", "override", "message"),
    [
        ("skrl", "agent.trainer.timesteps=100", r"set by trainingConfig\.maxIterations"),
        ("rl_games", "agent.params.config.max_epochs=100", r"set by trainingConfig\.maxIterations"),
        ("sb3", "agent.n_timesteps=100", r"set by trainingConfig\.maxIterations"),
        ("sb3", "agent.policy_kwargs.activation_fn=os.system", r"'os\.system', allowed: 'nn\.ELU'"),
        ("skrl", "agent.agent.lamda=0.9", r"did you mean agent\.agent\.lambda\?"),
        ("skrl", "agent.agent.learning_rate_scheduler=os.system", r"'os\.system', allowed: 'KLAdaptiveLR'"),
        ("rl_games", "agent.params.config.minibatch_size=0", r"greater than or equal to 1"),
    ],
)
def test_a_wrong_override_is_refused_in_isaac_labs_terms(library: RlLibrary, override: str, message: str) -> None:
    task = find_task("Isaac-Cartpole-Direct-v0", library)
    with pytest.raises(RequestError, match=message):
        apply_overrides(task.environment, task.agents[library], [override])


@pytest.mark.parametrize("wanted", [0, -1, -16384, 2.5, float("inf"), float("nan"), "16384", True, [64]])
@pytest.mark.parametrize("name", ["minibatch_size", "horizon_length"])
def test_a_size_that_is_none_is_refused_with_its_name(name: str, wanted: object) -> None:
    config = {"horizon_length": 16, "num_actors": 4, "minibatch_size": 32} | {name: wanted}
    with pytest.raises(
        RequestError, match=rf"agent\.params\.config\.{name} is .*, allowed: a whole number of at least 1"
    ):
        fit_minibatches({"config": config})


@pytest.mark.parametrize(("wanted", "size"), [(32.0, 32), (1e9, 64), (7.0, 4), (1, 1)])
def test_a_whole_float_is_a_size(wanted: float, size: int) -> None:
    config = {"horizon_length": 16, "num_actors": 4, "minibatch_size": wanted}
    fit_minibatches({"config": config})
    assert config["minibatch_size"] == size
    assert isinstance(config["minibatch_size"], int)


def test_a_size_that_is_not_given_stays_so() -> None:
    config = {"horizon_length": 16, "num_actors": 4, "minibatch_size_per_env": 4}
    fit_minibatches({"config": config})
    assert "minibatch_size" not in config
