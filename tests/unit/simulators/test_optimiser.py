"""A training that goes on from a checkpoint of another release of rsl_rl takes its optimiser along: same steps.

The checkpoints are real ones, which the releases have written. The networks are built from their own entries: what
counts is the order in which each release hands its parameters to the optimiser.
"""

from __future__ import annotations

import copy
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gaitway.simulators.common.libraries import rsl_rl
from gaitway.simulators.common.libraries.rsl_rl_runner import WatchedRunner
from gaitway.simulators.common.ranks import Ranks
from tests.checkpoints import FILES

CPU = torch.device("cpu")
VARIANTS = ("", "-normalised", "-recurrent")
OLD, NEW = ("2.3.3", "3.1.2"), ("4.0.1", "5.5.1")


def read(release: str, variant: str) -> dict[str, Any]:
    return rsl_rl.read(Path(FILES / f"rsl_rl-{release}{variant}.pt"), CPU)


def network(entries: dict[str, Tensor]) -> nn.Module:
    """Build a module with these parameters, in this order, under their names."""
    root = nn.Module()
    for name, tensor in entries.items():
        if "obs_normalizer." in name:
            continue
        *folders, last = name.split(".")
        module = root
        for folder in folders:
            if not hasattr(module, folder):
                module.add_module(folder, nn.Module())
            module = getattr(module, folder)
        module.register_parameter(last, nn.Parameter(tensor.clone()))
    return root


def stepped(modules: dict[str, nn.Module], state: dict[str, Any]) -> dict[str, Tensor]:
    """Take one step with gradients that depend on a parameter's name alone; return the weights by that name."""
    named = {f"{entry}.{name}": each for entry, module in modules.items() for name, each in module.named_parameters()}
    optimiser = torch.optim.Adam(named.values(), lr=1.0)
    # A step changes the tensors that it is given.
    optimiser.load_state_dict(copy.deepcopy(state))
    weights = {}
    for name, parameter in named.items():
        common = ".".join(rsl_rl._to_model(name.removeprefix("policy."))) if "policy." in name else name
        seed = torch.Generator().manual_seed(zlib.crc32(common.encode()))
        parameter.grad = torch.randn(parameter.shape, generator=seed)
        weights[common] = parameter
    optimiser.step()
    return {name: parameter.detach() for name, parameter in weights.items()}


def models(release: str, variant: str, order: str) -> dict[str, nn.Module]:
    """Networks of a release with the weights of another."""
    contents = rsl_rl.as_models(read(release, variant))
    own = rsl_rl.as_models(read(order, variant))
    entries = ("actor_state_dict", "critic_state_dict")
    return {entry: network({name: contents[entry][name] for name in own[entry]}) for entry in entries}


def policy(release: str, variant: str, order: str) -> nn.Module:
    contents = rsl_rl.as_policy(read(release, variant))["model_state_dict"]
    return network({name: contents[name] for name in read(order, variant)["model_state_dict"]})


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("release", OLD)
def test_release_5_goes_on_where_an_older_one_stopped(release: str, variant: str) -> None:
    contents = read(release, variant)
    expected = stepped({"policy": policy(release, variant, release)}, contents["optimizer_state_dict"])
    newer = models(release, variant, "5.5.1")
    state = rsl_rl.optimiser_of_policy(contents, *newer.values())
    assert state is not None
    assert equal(stepped(newer, state), expected)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("release", NEW)
def test_release_3_goes_on_where_a_newer_one_stopped(release: str, variant: str) -> None:
    contents = read(release, variant)
    own = {entry: network(rsl_rl.as_models(contents)[entry]) for entry in ("actor_state_dict", "critic_state_dict")}
    expected = stepped(own, contents["optimizer_state_dict"])
    older = policy(release, variant, "3.1.2")
    state = rsl_rl.optimiser_of_models(contents, older)
    assert state is not None
    assert equal(stepped({"policy": older}, state), expected)


def changed(contents: dict[str, Any], what: str) -> dict[str, Any]:
    """Return a checkpoint whose optimiser cannot be translated."""
    state = contents["optimizer_state_dict"]
    group = state["param_groups"][0]
    match what:
        case "two groups":
            state |= {
                "param_groups": [group | {"params": group["params"][:3]}, group | {"params": group["params"][3:]}]
            }
        case "a parameter fewer":
            state |= {"param_groups": [group | {"params": group["params"][:-1]}]}
        case "none":
            return {name: entry for name, entry in contents.items() if name != "optimizer_state_dict"}
        case _:
            return contents | {"optimizer_state_dict": "text"}
    return contents


@pytest.mark.parametrize("what", ["two groups", "a parameter fewer", "none", "text"])
def test_what_cannot_be_translated_starts_anew_and_is_said(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    contents = rsl_rl.as_models(changed(read("3.1.2", "-recurrent"), what))
    loaded = []
    networks = models("3.1.2", "-recurrent", "5.5.1")
    algorithm = SimpleNamespace(
        _raw_actor=networks["actor_state_dict"],
        _raw_critic=networks["critic_state_dict"],
        load=lambda _, parts, strict: loaded.append((parts, strict)),
    )
    runner = SimpleNamespace(
        alg=algorithm, cfg={"num_steps_per_env": 8}, env=SimpleNamespace(num_envs=2), logger=SimpleNamespace()
    )
    WatchedRunner.continue_from(runner, contents, 3, Ranks())  # type: ignore[arg-type]
    assert loaded == [({"optimizer": False, "rnd": True}, True)]
    assert "Warning of the simulation: the state of the optimiser cannot be taken" in capsys.readouterr().out


def test_moments_that_are_not_there_yet_stay_so() -> None:
    contents = read("3.1.2", "-recurrent")
    contents["optimizer_state_dict"]["state"] = {}
    state = rsl_rl.optimiser_of_policy(contents, *models("3.1.2", "-recurrent", "5.5.1").values())
    assert state is not None
    assert state["state"] == {}
    assert state["param_groups"][0]["lr"] == contents["optimizer_state_dict"]["param_groups"][0]["lr"]
