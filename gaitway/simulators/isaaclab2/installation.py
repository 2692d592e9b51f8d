"""Where Isaac Sim and Isaac Lab are, and the environment that their Python needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gaitway.contracts.errors import PlatformError
from gaitway.libraries import RlLibrary

_SCRIPTS = Path("scripts", "reinforcement_learning")
_LAUNCHER = "GAITWAY_LAUNCHER_PID"
_SET_BY_PYTHON_SH = ("CARB_APP_PATH", "EXP_PATH", "ISAAC_PATH")


def isaac_sim() -> Path:
    """Isaac Sim's root; the variable is set by Isaac Lab's image."""
    return Path(os.environ.get("ISAACSIM_ROOT_PATH", "/isaac-sim"))


def isaac_lab() -> Path:
    """Isaac Lab's root; the variable is set by its image."""
    return Path(os.environ.get("ISAACLAB_PATH", "/workspace/isaaclab"))


def train_script(library: RlLibrary) -> Path:
    """Isaac Lab's own script that trains with a library.

    Raises:
        PlatformError: The script does not exist.
    """
    script = isaac_lab() / _SCRIPTS / library / "train.py"
    if not script.is_file():
        raise PlatformError(f"there is no {script}: the image must hold Isaac Lab 2.3.2 (ISAACLAB_PATH says where)")
    return script


def enter_isaac_sim(module: str, arguments: Sequence[str]) -> None:
    """Restart this process through Isaac Sim's python.sh, unless it was started through it.

    python.sh sets library paths and preloads libcarb.so, which a process cannot do for itself. If the job was started
    through it, its simulators inherit that. Its shell stays between this process and its parent.

    Args:
        module: The module to run.
        arguments: Arguments of the command line.

    Raises:
        PlatformError: Isaac Sim is not installed.
    """
    if all(name in os.environ for name in _SET_BY_PYTHON_SH):
        return
    launcher = isaac_sim() / "python.sh"
    if not launcher.is_file():
        raise PlatformError(
            f"there is no {launcher}: this simulator runs in an image that holds Isaac Sim (ISAACSIM_ROOT_PATH says "
            "where); on a machine without it, set GAITWAY_SIMULATOR=embedded"
        )
    variables = os.environ | {_LAUNCHER: str(os.getppid())}
    os.execve(launcher, [str(launcher), "-m", module, *arguments], variables)  # noqa: S606 - no shell, and no return


def launcher_pid() -> int | None:
    """The process that started this one, before python.sh came between them; None if it did not."""
    pid = os.environ.get(_LAUNCHER)
    return int(pid) if pid else None
