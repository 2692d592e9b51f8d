"""rsl_rl: its checkpoints in the layouts of all releases, and what of it is refused.

Releases 2 and 3 save one `model_state_dict` with both networks, and release 2 its normalisers beside it. Releases 4 and
5 save `actor_state_dict` and `critic_state_dict`; release 5 calls the noise a distribution. The networks are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from gaitway.contracts.errors import RequestError
from gaitway.simulators.common.checkpoint_files import read_checkpoint

OPTIMISER = "optimizer_state_dict"
ANEW = "the state of the optimiser cannot be taken from a checkpoint of this other release: the optimiser starts anew"
_POLICY = "model_state_dict"
_MODELS = ("actor_state_dict", "critic_state_dict")
_NORMALISERS = ("obs_norm_state_dict", "privileged_obs_norm_state_dict")
"""Of release 2, in the order of the models."""
_NAMES = (
    # In releases 2 and 3, for a model's letter and name; in releases 4 and 5, in the model.
    ("memory_{letter}.rnn.", "rnn.rnn."),
    ("{model}_obs_normalizer.", "obs_normalizer."),
    ("{model}.", "mlp."),
)
_NOISE = {
    # In releases 2 to 4, and in release 5.
    "std": "distribution.std_param",
    "log_std": "distribution.log_std_param",
}


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint of any release.

    Raises:
        RequestError: It is not a checkpoint of rsl_rl.
    """
    return read_checkpoint(path, device, "rsl_rl")


def as_models(contents: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint in the layout of release 5: `actor_state_dict` and `critic_state_dict`."""
    if _POLICY in contents:
        models: dict[str, dict[str, Any]] = {entry: {} for entry in _MODELS}
        for name, tensor in contents[_POLICY].items():
            entry, new = _to_model(name)
            models[entry][new] = tensor
        for entry, normaliser in zip(_MODELS, _NORMALISERS, strict=True):
            for name, tensor in contents.get(normaliser, {}).items():
                models[entry][f"obs_normalizer.{name}"] = tensor
        return contents | models
    models = {entry: contents[entry] for entry in _MODELS if entry in contents}
    return contents | {
        entry: {_NOISE.get(name, name): tensor for name, tensor in model.items()} for entry, model in models.items()
    }


def as_policy(contents: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint in the layout of release 3: one `model_state_dict`."""
    if _POLICY not in contents and _MODELS[0] not in contents:
        return contents
    policy: dict[str, Any] = {}
    for entry, model in as_models(contents).items():
        if entry in _MODELS:
            policy |= {_to_policy(entry, name): tensor for name, tensor in model.items()}
    return contents | {_POLICY: policy}


def is_of_policy(contents: dict[str, Any]) -> bool:
    """Return whether a checkpoint, read as `as_models` does, was saved by release 2 or 3."""
    return _POLICY in contents


def is_of_models(contents: dict[str, Any]) -> bool:
    """Return whether a checkpoint, read as `as_policy` does, was saved by release 4 or 5."""
    return _MODELS[0] in contents


def optimiser_of_policy(contents: dict[str, Any], actor: nn.Module, critic: nn.Module) -> dict[str, Any] | None:
    """Return the state of release 3's optimiser in the order of release 5's.

    An optimiser knows its parameters by number, and torch.optim.Optimizer.load_state_dict compares neither names nor
    shapes: in the order in which it was saved, a memory would get the moments of a layer.

    Args:
        contents: A checkpoint of release 2 or 3.
        actor: The network of release 5 that the state is for.
        critic: The other one.

    Returns:
        None if their parameters are not those of the checkpoint: then the optimiser has to start anew.
    """
    saved = [_to_model(name) for name in contents[_POLICY]]
    own = [(entry, name) for entry, model in zip(_MODELS, (actor, critic), strict=True) for name in _names_in(model)]
    return _reordered(contents.get(OPTIMISER), saved, own)


def optimiser_of_models(contents: dict[str, Any], policy: nn.Module) -> dict[str, Any] | None:
    """Return the state of release 5's optimiser in the order of release 3's, as `optimiser_of_policy` the other way.

    Args:
        contents: A checkpoint of release 4 or 5.
        policy: The network of release 3 that the state is for.
    """
    saved = [(entry, _NOISE.get(name, name)) for entry in _MODELS for name in contents.get(entry, {})]
    return _reordered(contents.get(OPTIMISER), saved, [_to_model(name) for name in _names_in(policy)])


def _names_in(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def _reordered(state: Any, saved: list[tuple[str, str]], own: list[tuple[str, str]]) -> dict[str, Any] | None:  # noqa: ANN401
    """Number the parameters of an optimiser's one group anew.

    Args:
        state: The optimiser's.
        saved: Entries of the networks in the order in which they were saved: module by module, first its parameters, as
            an optimiser has them, too.
        own: The parameters in the order that is wanted.
    """
    saved = [(entry, name) for entry, name in saved if not name.startswith("obs_normalizer.")]
    groups = state.get("param_groups") if isinstance(state, dict) else None
    if not groups or len(groups) != 1 or len(groups[0]["params"]) != len(saved) or sorted(saved) != sorted(own):
        return None
    number = dict(zip(saved, groups[0]["params"], strict=True))
    moments = state["state"]
    return {
        "state": {new: moments[number[name]] for new, name in enumerate(own) if number[name] in moments},
        "param_groups": [groups[0] | {"params": list(range(len(own)))}],
    }


def _to_model(name: str) -> tuple[str, str]:
    for entry in _MODELS:
        for old, new in _names(entry):
            if name.startswith(old):
                return entry, new + name.removeprefix(old)
    return _MODELS[0], _NOISE.get(name, name)


def _to_policy(entry: str, name: str) -> str:
    for old, new in _names(entry):
        if name.startswith(new):
            return old + name.removeprefix(new)
    return next((old for old, new in _NOISE.items() if new == name), name)


def _names(entry: str) -> list[tuple[str, str]]:
    model = entry.removesuffix("_state_dict")
    return [(old.format(model=model, letter=model[0]), new) for old, new in _NAMES]


def refuse_distillation(*_: Any, **__: Any) -> None:  # noqa: ANN401
    """Stand in for rsl_rl's runner that distils a policy from another one, which nothing here watches.

    Raises:
        RequestError: Always.
    """
    raise RequestError("agent.class_name is DistillationRunner, which is not supported here, allowed: OnPolicyRunner")
