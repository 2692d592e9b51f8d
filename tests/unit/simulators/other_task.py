"""Checkpoints that a task with other observations would have left."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gaitway.libraries import RlLibrary
from tests.checkpoints import FILES, OF_LIBRARY


def of_48_observations(weights: dict[str, Any]) -> dict[str, Any]:
    """Return what a task with 48 observations instead of four would have written."""
    return {
        name: torch.zeros(*tensor.shape[:-1], 48) if tensor.dim() and tensor.shape[-1] == 4 else tensor
        for name, tensor in weights.items()
    }


def write_of_another_task(library: RlLibrary, given: Path) -> None:
    name = "rsl_rl-5.5.1-normalised.pt" if library == "rsl_rl" else OF_LIBRARY[library]
    if library != "sb3":
        contents = torch.load(FILES / name, weights_only=False)
        tables = {entry: of_48_observations(part) for entry, part in contents.items() if is_weights(part)}
        torch.save(contents | tables, given)
        return
    with zipfile.ZipFile(FILES / name) as archive, zipfile.ZipFile(given, "w") as written:
        for member in archive.namelist():
            data = archive.read(member)
            if member == "policy.pth":
                stream = io.BytesIO()
                torch.save(of_48_observations(torch.load(io.BytesIO(data), weights_only=True)), stream)
                data = stream.getvalue()
            written.writestr(member, data)


def is_weights(part: object) -> bool:
    return isinstance(part, dict) and bool(part) and all(isinstance(value, Tensor) for value in part.values())
