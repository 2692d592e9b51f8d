"""Names of checkpoints, as the RL libraries write them. Sorting them as text puts 75 after 100, so numbers are read.

| library | numbered | best so far, no number |
|---|---|---|
| rsl_rl | model_1499.pt | |
| skrl | agent_4800.pt | best_agent.pt |
| rl_games | last_cartpole_ep_75_rew__283.2_.pth | cartpole.pth |
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

SUFFIXES = (".pt", ".pth")

_NUMBERED = (
    re.compile(r"(?:model|agent)_(?P<iteration>\d+)\.pt", re.ASCII),
    re.compile(r".*_ep_(?P<iteration>\d+)(?:_.*)?\.pth", re.ASCII),
)


def iteration_of(name: str) -> int | None:
    """Read the iteration out of a checkpoint's name; None where it tells none.

    skrl counts time steps, rl_games epochs: comparable within one run, not between libraries.

    Args:
        name: File name, path or key.
    """
    base = PurePosixPath(name).name
    for pattern in _NUMBERED:
        if match := pattern.fullmatch(base):
            return int(match["iteration"])
    return None


def newest(names: Iterable[str]) -> str | None:
    """Choose the checkpoint that was trained longest; a "best" one, which has no number, only if no other is there.

    Other files, such as an exported `policy.pt`, are passed over.

    Args:
        names: File names, paths or keys.

    Returns:
        One of the names; None where none is a checkpoint.
    """
    candidates = sorted(names)
    numbered = [(iteration, name) for name in candidates if (iteration := iteration_of(name)) is not None]
    if numbered:
        return max(numbered)[1]
    return next((name for name in candidates if _is_best(PurePosixPath(name).name)), None)


def _is_best(base: str) -> bool:
    return base == "best_agent.pt" or base.endswith(".pth")
