"""Checkpoints on disk: read without running what is in them, and matched against the agent's networks."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaitway.contracts.errors import RequestError

_NUMPY_SCALARS: list[Any] = [np.float32(0).__reduce__()[0], np.dtype, np.dtypes.Float32DType, np.dtypes.Float64DType]
"""rl_games saves a reward as NumPy's own kind of number."""


def read_checkpoint(path: Path, device: torch.device, library: str, release: str, required: str) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: The file.
        device: Where its tensors go.
        library: Who is to have written it, for the error.
        release: In what format, for the error.
        required: An entry that all of its checkpoints have.

    Raises:
        RequestError: It is none, or none of this library's.
    """
    try:
        # A checkpoint may come from anybody: tensors are loaded, code is not.
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            contents = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise RequestError(f"{path} cannot be read as a checkpoint of {library}: {error}") from error
    if not isinstance(contents, dict) or required not in contents:
        found = ", ".join(map(str, contents)) if isinstance(contents, dict) else type(contents).__name__
        raise RequestError(f"{path} is no checkpoint of {release}: it holds {found}, not {required}")
    return contents


def load_entry(
    load: Callable[[Any], object], checkpoint: Mapping[str, Any], entry: str, setting: str, path: Path
) -> None:
    """Load one entry of a checkpoint into what takes it.

    Args:
        load: Usually some `load_state_dict`.
        checkpoint: What was read.
        entry: Key in it.
        setting: The agent's setting that decides whether it fits, with its value.
        path: Where it was read from.

    Raises:
        RequestError: It is missing or does not fit.
    """
    try:
        load(checkpoint[entry])
    except (KeyError, RuntimeError, ValueError) as error:
        raise RequestError(
            f"{path} holds no {entry} that fits {setting}: give the hydraOverrides that it was trained with ({error})"
        ) from error
