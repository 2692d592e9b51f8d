"""skrl: what is done around its training in the same way, whatever simulates its environments."""

from __future__ import annotations

from typing import Any


class BestCheckpoint:
    """Which checkpoint was the best so far: skrl forgets that, and would replace it by the first one after a resume."""

    def __init__(self, best: dict[str, Any]) -> None:
        self._best = best

    def state_dict(self) -> dict[str, float]:
        """Return its environment step and its mean reward."""
        return {"timestep": int(self._best["timestep"]), "reward": float(self._best["reward"])}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take them over, as of a checkpoint that is saved."""
        self._best.update(state, saved=True)
