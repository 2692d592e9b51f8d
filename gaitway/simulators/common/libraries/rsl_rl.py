"""rsl_rl: its checkpoints in the layouts of all releases, and what of it is refused.

Releases 2 and 3 save one `model_state_dict` with both networks, and release 2 its normalisers beside it. Releases 4 and
5 save `actor_state_dict` and `critic_state_dict`; release 5 calls the noise a distribution. The networks are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gaitway.contracts.errors import RequestError
from gaitway.simulators.common.checkpoint_files import read_checkpoint

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
