"""Checkpoints of every release are read by this one: real ones, which the libraries' own releases have written."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gaitway.contracts.errors import RequestError
from gaitway.libraries import RlLibrary
from gaitway.simulators.common.checkpoint_files import load_entry
from gaitway.simulators.common.libraries import rl_games, rsl_rl
from gaitway.simulators.common.policy import TrainedPolicy
from gaitway.simulators.embedded.libraries import find_library
from gaitway.simulators.embedded.overrides import apply_overrides
from gaitway.simulators.embedded.registry import find_task
from tests.checkpoints import FILES, OF_LIBRARY, checkpoint
from tests.unit.simulators.jobs import LIBRARIES, TASK
from tests.unit.simulators.other_task import is_weights, of_48_observations, write_of_another_task

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
CPU = torch.device("cpu")
RELEASES = ("2.3.3", "3.1.2", "4.0.1", "5.5.1")
VARIANTS = ("", "-normalised", "-recurrent")
SIZES = {
    "rsl_rl": ["agent.policy.actor_hidden_dims=[8, 8]", "agent.policy.critic_hidden_dims=[8, 8]"],
    "skrl": [
        f"agent.models.{model}.network=[{{name: net, input: OBSERVATIONS, layers: [8, 8], activations: elu}}]"
        for model in ("policy", "value")
    ],
    "rl_games": ["agent.params.network.mlp.units=[8, 8]"],
    "sb3": ["agent.policy_kwargs.net_arch=[8, 8]"],
}
"""Of the networks in these checkpoints."""
NORMALISED = [f"agent.policy.{name}_obs_normalization=true" for name in ("actor", "critic")]


def loaded(library: RlLibrary, path: Path, *more: str) -> TrainedPolicy:
    task = find_task(TASK, library)
    config, agent = apply_overrides(task.environment, task.agents[library], [*SIZES[library], *more])
    environment = task.make_environment(config, 1, CPU)
    return find_library(library).load_policy(path, environment, agent)


def rsl_rl_file(release: str, variant: str = "") -> Path:
    return FILES / f"rsl_rl-{release}{variant}.pt"


def computed(weights: dict[str, Tensor], observations: Tensor, normaliser: dict[str, Tensor] | None) -> Tensor:
    """Compute a policy's actions from its layers, without any library."""
    values = observations
    if normaliser:
        values = (values - normaliser["_mean"]) / (normaliser["_std"] + 1e-2)
    *hidden, last = sorted({name.rpartition(".")[0] for name in weights})
    for layer in hidden:
        values = nn.functional.elu(values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    return values @ weights[f"{last}.weight"].T + weights[f"{last}.bias"]


def part(weights: dict[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    return {name.removeprefix(each): weights[name] for each in prefixes for name in weights if name.startswith(each)}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("normalised", [False, True])
def test_a_policy_of_any_release_of_rsl_rl_acts_as_its_layers_say(release: str, normalised: bool) -> None:
    path = rsl_rl_file(release, "-normalised" if normalised else "")
    contents = torch.load(path, weights_only=True)
    weights = contents.get("model_state_dict") or contents["actor_state_dict"]
    scales = part(weights, "actor_obs_normalizer.", "obs_normalizer.") or contents.get("obs_norm_state_dict")
    assert bool(scales) == normalised
    observations = 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(3))
    expected = computed(part(weights, "actor.", "mlp."), observations, scales)
    with torch.no_grad():
        acted = loaded("rsl_rl", path, *(NORMALISED if normalised else [])).act(observations)
    assert acted == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_layouts_are_made_of_both(release: str, variant: str) -> None:
    contents = rsl_rl.read(rsl_rl_file(release, variant), CPU)
    models, policy = rsl_rl.as_models(contents), rsl_rl.as_policy(contents)
    newest, older = (torch.load(rsl_rl_file(each, variant), weights_only=True) for each in ("5.5.1", "3.1.2"))
    for entry in ("actor_state_dict", "critic_state_dict"):
        assert models[entry].keys() == newest[entry].keys()
    assert policy["model_state_dict"].keys() == older["model_state_dict"].keys()
    # There and back again, nothing is lost or exchanged.
    again = rsl_rl.as_models({"model_state_dict": policy["model_state_dict"]})
    for entry in ("actor_state_dict", "critic_state_dict"):
        assert all(torch.equal(again[entry][name], tensor) for name, tensor in models[entry].items())


def test_the_logarithm_of_the_noise_is_kept_as_it_is() -> None:
    weights = {"log_std": torch.ones(1), "actor.0.weight": torch.ones(1), "critic.0.weight": torch.ones(1)}
    models = rsl_rl.as_models({"model_state_dict": weights})
    assert set(models["actor_state_dict"]) == {"distribution.log_std_param", "mlp.0.weight"}
    assert rsl_rl.as_policy(models)["model_state_dict"] == weights
    assert rsl_rl.as_policy({"actor_state_dict": {"log_std": weights["log_std"]}})["model_state_dict"].keys() == {
        "log_std"
    }


@pytest.mark.parametrize("release", ["1.4.3", "2.1.1"])
def test_a_policy_of_both_releases_of_skrl_acts_as_its_layers_say(release: str) -> None:
    path = FILES / f"skrl-{release}.pt"
    contents = torch.load(path, weights_only=True)
    scaler = contents.get("state_preprocessor") or contents["observation_preprocessor"]
    observations = torch.randn(50, 4, generator=torch.Generator().manual_seed(3))
    scaled = (observations - scaler["running_mean"].float()) / (scaler["running_variance"].float().sqrt() + 1e-8)
    layers = part(contents["policy"], "net_container.") | {
        f"9.{name}": tensor for name, tensor in part(contents["policy"], "policy_layer.").items()
    }
    expected = computed(layers, scaled.clamp(-5, 5), None)
    with torch.no_grad():
        assert loaded("skrl", path).act(observations) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("release", [1, 2])
def test_a_checkpoint_of_rl_games_is_read_across_releases_of_numpy(release: int) -> None:
    path = FILES / f"rl_games-numpy-{release}.pth"
    reward = rl_games.read(path, CPU)["last_mean_rewards"]
    assert (type(reward), reward) == (np.float32, 1)
    assert loaded("rl_games", path).act(torch.zeros(3, 4)).shape == (3, 1)


@pytest.mark.parametrize("array", [np.arange(3), np.eye(2, dtype=np.float32), np.array([True, False])])
def test_an_environments_state_in_a_checkpoint_of_rl_games_may_be_arrays(tmp_path: Path, array: Any) -> None:
    path = tmp_path / "c.pth"
    torch.save({"model": {"a": torch.zeros(1)}, "env_state": {"curriculum": array}}, path)
    assert np.array_equal(rl_games.read(path, CPU)["env_state"]["curriculum"], array)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_policy_of_another_task_is_refused_with_both_numbers_of_observations(
    library: RlLibrary, tmp_path: Path
) -> None:
    given = tmp_path / f"given{OF_LIBRARY[library]}"
    write_of_another_task(library, given)
    with pytest.raises(RequestError, match="was trained with 48 observations, and the policy of this task has 4"):
        loaded(library, given, *(NORMALISED if library == "rsl_rl" else []))


@pytest.mark.parametrize("entry", ["policy", "observation_preprocessor"])
def test_each_entry_is_refused_in_the_same_words_by_what_all_simulators_load_with(entry: str, tmp_path: Path) -> None:
    scaler = nn.Module()
    scaler.register_buffer("running_mean", torch.zeros(4))
    module = nn.Sequential(nn.Linear(4, 8)) if entry == "policy" else scaler
    contents = {entry: of_48_observations(dict(module.state_dict()))}
    with pytest.raises(RequestError, match="was trained with 48 observations, and the policy of this task has 4"):
        load_entry(module.load_state_dict, contents, entry, "agent.models", tmp_path / "agent_9.pt")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("library", ["rsl_rl", "rl_games", "skrl"])
def test_weights_that_were_saved_in_a_wrapper_of_torch_are_those_without_it(
    library: RlLibrary, prefix: str, tmp_path: Path
) -> None:
    """Of DistributedDataParallel and torch.compile."""
    original = FILES / OF_LIBRARY[library]
    contents = torch.load(original, weights_only=False)
    wrapped = {
        entry: {f"{prefix}{name}": tensor for name, tensor in part.items()}
        for entry, part in contents.items()
        if is_weights(part)
    }
    assert wrapped
    path = tmp_path / f"given{original.suffix}"
    torch.save(contents | wrapped, path)
    observations = torch.randn(3, 4)
    plain, own = (loaded(library, each).act(observations) for each in (original, path))
    assert torch.equal(plain, own)


@pytest.mark.parametrize("weights", [None, 3, "weights", {}, [torch.zeros(3)]])
@pytest.mark.parametrize(
    ("library", "entry"), [("rsl_rl", "model_state_dict"), ("skrl", "policy"), ("rl_games", "model")]
)
def test_an_entry_without_weights_is_refused(library: RlLibrary, entry: str, weights: object, tmp_path: Path) -> None:
    path = tmp_path / "given.pt"
    torch.save({entry: weights}, path)
    with pytest.raises(RequestError, match=f"is not a checkpoint of {library}: its {entry} holds no weights"):
        loaded(library, path)


@pytest.mark.parametrize(
    "unfit", [{"weight": 3}, {"weight": np.zeros((2, 4))}, {"weight": "text"}, {4: torch.zeros(1)}]
)
def test_weights_that_are_no_tensors_do_not_fit(unfit: dict[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"holds no policy that fits agent\.models"):
        load_entry(
            nn.Linear(4, 2).load_state_dict, {"policy": unfit}, "policy", "agent.models", tmp_path / "agent_9.pt"
        )


def test_what_cannot_be_loaded_safely_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model_9.pt"
    torch.save({"model_state_dict": {"a": torch.zeros(1)}, "infos": np.array(["text"])}, path)
    with pytest.raises(RequestError) as refused:
        rsl_rl.read(path, CPU)
    assert "\n" not in str(refused.value)
    assert "weights_only" not in str(refused.value)


class Hostile:
    """What would create a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("where", ["entry", "array", "weights"])
def test_nothing_but_weights_is_loaded(library: RlLibrary, where: str, tmp_path: Path) -> None:
    hurt = Hostile(tmp_path / "hurt")
    path = tmp_path / {"sb3": "model_9_steps.zip", "rl_games": "c.pth"}.get(library, "model_9.pt")
    if library == "sb3":
        write_hostile_sb3(path, hurt)
    else:
        given = tmp_path / "given"
        given.write_bytes(checkpoint(library))
        contents = torch.load(given, weights_only=False)
        entry = next(name for name in contents if isinstance(contents[name], dict))
        match where:
            case "entry":
                contents["infos"] = hurt
            case "array":
                contents["infos"] = np.array([hurt, None], dtype=object)
            case _:
                contents[entry] = dict(contents[entry]) | {"extra": hurt}
        torch.save(contents, path)
    with pytest.raises(RequestError, match="cannot be read as a checkpoint"):
        loaded(library, path)
    assert not hurt.path.exists()
    if library != "sb3":
        torch.load(path, weights_only=False)
        assert hurt.path.exists(), "the file is as dangerous as it should be"


def write_hostile_sb3(path: Path, hurt: Hostile) -> None:
    stream = io.BytesIO()
    torch.save({"extra": hurt}, stream)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy.pth", stream.getvalue())
