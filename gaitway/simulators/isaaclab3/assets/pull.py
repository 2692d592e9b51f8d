"""Fetch what tasks need: `python -m gaitway.simulators.isaaclab3.assets.pull TASK...`, with Isaac Lab on the path.

ISAACSIM_ASSET_ROOT says where to. A job fetches the same by itself on first use.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.simulators.common.exits import KNOWN_ERRORS, report
from gaitway.simulators.isaaclab3.assets.found import Assets
from gaitway.simulators.isaaclab3.assets.origins import set_roots


def pull(tasks: Sequence[str]) -> None:
    """Fetch what is missing, and say what it was.

    Args:
        tasks: Names of Isaac Lab 3.0.

    Raises:
        RequestError: There is no such task, or it does not run on Newton.
        PlatformError: Files are neither there nor fetched.
    """
    assets = Assets(set_roots(os.environ))
    assets.watch()
    for task in tasks:
        before = len(assets.fetched)
        # What Isaac Lab says while it reads is not our answer.
        with contextlib.redirect_stdout(sys.stderr):
            named = assets.require(task, _config(task))
        size = sum(Path(path).stat().st_size for path in assets.fetched[before:])
        sys.stdout.write(
            f"{task}: {len(named)} files named, {len(assets.fetched) - before} fetched with what they refer to "
            f"({size / 1e6:.1f} MB)\n"
        )


def _config(task: str) -> object:
    """Return the configuration of a task's environment on Newton."""
    import gymnasium
    import isaaclab_tasks  # noqa: F401 - registers the tasks
    from isaaclab.app import add_launcher_args
    from isaaclab_tasks.utils import resolve_task_config, setup_preset_cli

    if task not in gymnasium.registry:
        near = difflib.get_close_matches(task, list(gymnasium.registry), n=1)
        raise RequestError(f"Isaac Lab 3.0 has no task {task}" + (f": did you mean {near[0]}?" if near else ""))
    agents = [name for name in gymnasium.registry[task].kwargs if name.endswith("_cfg_entry_point")]
    agent = next((name for name in agents if name != "env_cfg_entry_point"), None)
    parser = argparse.ArgumentParser()
    add_launcher_args(parser)
    _, rest = setup_preset_cli(parser, ["--device", "cpu", "physics=newton_mjwarp"])
    sys.argv[1:] = rest
    config, _ = resolve_task_config(task, agent)
    return config


if __name__ == "__main__":
    try:
        pull(sys.argv[1:])
    except KNOWN_ERRORS as error:
        sys.exit(report(error))
