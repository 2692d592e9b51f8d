"""Checkpoints, as the RL libraries write them. Sorting their names as text puts 75 after 100, so numbers are read.

| library | numbered | the number | best so far, no number |
|---|---|---|---|
| rsl_rl | model_1499.pt | index of the iteration, from 0 | |
| skrl | agent_4800.pt | time steps: iterations times rollouts | best_agent.pt |
| rl_games | last_cartpole_ep_75_rew__283.2_.pth | iterations (epochs) | cartpole.pth |
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from gaitway.contracts.request import RlLibrary

SUFFIXES = (".pt", ".pth")

_NUMBERED = (
    re.compile(r"(?:model|agent)_(?P<iteration>\d+)\.pt", re.ASCII),
    re.compile(r".*_ep_(?P<iteration>\d+)(?:_.*)?\.pth", re.ASCII),
)

_ROLLOUTS = re.compile(r"^ +rollouts: *(?P<rollouts>[1-9]\d*) *$", re.MULTILINE | re.ASCII)


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


def completed_iterations(library: RlLibrary, name: str, rollouts: int | None = None) -> int | None:
    """Say how many iterations a checkpoint was trained for; None where its name does not tell.

    Args:
        library: Who wrote it.
        name: File name, path or key.
        rollouts: Time steps per iteration, which skrl's names count: see `rollouts_of`.

    Raises:
        ValueError: Without `rollouts`, skrl's names tell nothing.
    """
    number = iteration_of(name)
    if number is None:
        return None
    if library == "rsl_rl":
        return number + 1
    if library == "rl_games":
        return number
    if rollouts is None:
        raise ValueError(f"{name} counts time steps: rollouts of params/agent.yaml is needed to tell its iteration")
    # Isaac Lab's own interval may fall into the middle of an iteration, which is then not complete.
    return number // rollouts


def rollouts_of(agent_yaml: str) -> int | None:
    """Read skrl's time steps per iteration out of `params/agent.yaml`; None where it does not say.

    Isaac Lab and the embedded simulator both write that file beside the checkpoints' directory.

    Args:
        agent_yaml: Text of the file.
    """
    match = _ROLLOUTS.search(agent_yaml)
    return int(match["rollouts"]) if match else None


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint is as it was written, without torch: cut off, empty or altered files are not.

    torch.save writes zip archives: the directory comes last, and every member has a checksum.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and any(_is_pickle(name) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError):
        # Altered headers show as any of these: an unknown compression, an encrypted member, an impossible offset.
        return False


def _is_pickle(member: str) -> bool:
    return PurePosixPath(member).name == "data.pkl"


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
