"""skrl: code around its training that is the same for every simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gaitway.simulators.common.checkpoint_files import read_checkpoint

_SCALERS = ("observation_preprocessor", "state_preprocessor")
"""Names of the scaler of what the policy sees: in release 2, and in release 1."""


def read(path: Path, device: torch.device, scaler: str) -> dict[str, Any]:
    """Read a checkpoint of any release.

    Args:
        path: The file.
        device: Device of its tensors.
        scaler: What the release that reads it calls the scaler of what the policy sees.

    Raises:
        RequestError: It is not a checkpoint of skrl.
    """
    contents = read_checkpoint(path, device, "skrl")
    other = next((name for name in _SCALERS if name != scaler and name in contents), None)
    return contents | {scaler: contents[other]} if other is not None and scaler not in contents else contents


class BestCheckpoint:
    """The reward of the best checkpoint so far: skrl forgets it, and would replace that checkpoint after a resume."""

    def __init__(self, best: dict[str, Any]) -> None:
        self._best = best

    def state_dict(self) -> dict[str, float]:
        """Return its environment step and its mean reward."""
        return {"timestep": int(self._best["timestep"]), "reward": float(self._best["reward"])}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore them from a saved checkpoint."""
        self._best.update(state, saved=True)
