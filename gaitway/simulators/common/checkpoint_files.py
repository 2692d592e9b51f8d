"""Checkpoints on disk: read without running code from them, and compared with the agent's networks."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gaitway.contracts.errors import RequestError
from gaitway.libraries import RlLibrary, record_of

_NUMPY: list[Any] = [
    # Both releases' names of the same functions: NumPy 2 has called its module numpy._core since, and whichever wrote a
    # file may differ from the one that reads it. numpy.org/doc/stable/numpy_2_0_migration_guide.html
    *(
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in (
            ("scalar", np.float32(0).__reduce__()[0]),
            ("_reconstruct", np.zeros(0).__reduce__()[0]),
        )
    ),
    np.dtype,
    np.ndarray,
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd"),
]
"""rl_games saves a reward as NumPy's own number, and the state of an environment as its arrays. Objects in an array are
not allowed."""


_WRAPPERS = ("module.", "_orig_mod.")
"""What torch's DistributedDataParallel and torch.compile put in front of the names of a network's parameters."""
_LAYER = 2
"""Dimensions of a layer's weights: outputs and inputs."""
_MEAN = "running_mean"


def read_checkpoint(path: Path, device: torch.device, library: RlLibrary) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: The file.
        device: Device of its tensors.
        library: The library that should have written it.

    Raises:
        RequestError: It is not a checkpoint, or not one of this library.
    """
    try:
        # A checkpoint may come from an untrusted source: tensors are loaded, code is not.
        with torch.serialization.safe_globals(_NUMPY):
            contents = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise RequestError(f"{path} cannot be read as a checkpoint of {library}: {_in_words(error)}") from error
    entries = record_of(library).checkpoints.entries
    if not isinstance(contents, dict) or contents.keys().isdisjoint(entries):
        found = ", ".join(map(str, contents)) if isinstance(contents, dict) else type(contents).__name__
        raise RequestError(f"{path} is not a checkpoint of {library}: it holds {found}, not {' or '.join(entries)}")
    empty = next((entry for entry in entries if entry in contents and not _is_table(contents[entry])), None)
    if empty is not None:
        raise RequestError(f"{path} is not a checkpoint of {library}: its {empty} holds no weights")
    return {entry: _unwrapped(part) if _is_table(part) else part for entry, part in contents.items()}


def load_entry(
    load: Callable[[Any], object], checkpoint: Mapping[str, Any], entry: str, setting: str, path: Path
) -> None:
    """Load one entry of a checkpoint into an object.

    Args:
        load: Usually a `load_state_dict`.
        checkpoint: The checkpoint's content.
        entry: Key in it.
        setting: The agent's setting that decides whether it fits, with its value.
        path: The checkpoint's file.

    Raises:
        RequestError: It is missing or does not fit.
    """
    try:
        load(checkpoint[entry])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        # The last two where something else stands in the place of tensors.
        sizes = _observations(load, checkpoint.get(entry))
        if sizes is not None:
            raise RequestError(
                f"{path} was trained with {sizes[0]} observations, and the policy of this task has {sizes[1]}: give "
                "the task, and the hydraOverrides of its observations, that it was trained with"
            ) from error
        raise RequestError(
            f"{path} holds no {entry} that fits {setting}: give the hydraOverrides that it was trained with ({error})"
        ) from error


def _observations(load: Callable[[Any], object], weights: object) -> tuple[int, int] | None:
    """Return what the first layers of a checkpoint and of the agent's network take, if that differs."""
    network = getattr(load, "__self__", None)
    if not isinstance(network, nn.Module) or not isinstance(weights, Mapping):
        return None
    # skrl's scaler, which is an entry of its own, has no layers.
    layers = (
        (weights.get(name), own) for name, own in network.state_dict().items() if own.dim() == _LAYER or name == _MEAN
    )
    saved, own = next(layers, (None, None))
    if not isinstance(saved, Tensor) or own is None or saved.dim() != own.dim() or saved.shape[-1] == own.shape[-1]:
        return None
    return saved.shape[-1], own.shape[-1]


def _is_table(part: object) -> bool:
    return isinstance(part, Mapping) and bool(part)


def _unwrapped(weights: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Remove what a wrapper around the whole network has put in front of every name."""
    for prefix in _WRAPPERS:
        if all(isinstance(name, str) and name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _in_words(error: Exception) -> str:
    """Leave out torch's advice to load the file with its code: of the rest, the first line says what is wrong."""
    text = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return text.splitlines()[0] if text else type(error).__name__
