"""What tasks each release of Isaac Lab has: `python -m handbook.tasks` writes gaitway/libraries/tasks.json.

Those of 3.0 are read from the installed packages (`make isaaclab3`), with their configurations, which say whether a
task has physics for Newton; those of 2.3.2 from the sources in its wheel, which cannot be imported without Isaac Sim.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gaitway.libraries.tasks import TABLE
from gaitway.local import isaaclab3
from gaitway.simulators.embedded.registry import registered

_ISAACLAB2 = Path(sys.prefix) / "isaaclab" / "isaaclab" / "source" / "isaaclab_tasks"
"""Where `make test` puts the wheel of 2.3.2."""
_OF_ISAACLAB3 = """
import json, pathlib, sys
import gymnasium
import isaaclab_tasks
from gaitway.contracts.errors import RequestError
from gaitway.simulators.isaaclab3.tasks import physics_preset

def has_newton(task):
    try:
        physics_preset(task)
    except RequestError:
        return False
    except Exception:
        return None  # its configuration imports what is not installed: the job's simulator will say so
    return True

tasks = [name for name, spec in gymnasium.registry.items() if "env_cfg_entry_point" in spec.kwargs]
loaded = {task: has_newton(task) if sys.argv[2] == "physics" else None for task in sorted(tasks)}
pathlib.Path(sys.argv[1]).write_text(json.dumps(loaded))
"""


def tasks_of_isaaclab2() -> list[str]:
    """List the ids that isaaclab_tasks 2.3.2 registers."""
    return sorted({name for file in _ISAACLAB2.rglob("__init__.py") for name in _registered(file)})


def tasks_of_isaaclab3(*, with_physics: bool = True) -> dict[str, bool | None]:
    """Read the ids that isaaclab_tasks 3.0 registers, and whether each has physics for Newton.

    Args:
        with_physics: Whether to load the configurations, which takes half a minute.

    Returns:
        By id; None where the configuration cannot be loaded here.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "tasks.json"
        what = "physics" if with_physics else "names"
        command = [sys.executable, "-c", _OF_ISAACLAB3, str(file), what]
        subprocess.run(command, env=os.environ | isaaclab3.variables(), check=True, stdout=subprocess.DEVNULL)
        tasks: dict[str, bool | None] = json.loads(file.read_text(encoding="utf-8"))
        return tasks


def tasks_of_the_embedded_simulator() -> list[str]:
    """List the ids that the embedded simulator has."""
    return registered()


def _registered(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("register"):
            for keyword in node.keywords:
                if keyword.arg == "id" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)


def written() -> str:
    """Return the table, as its file holds it."""
    tables = {
        "isaaclab-2": tasks_of_isaaclab2(),
        "isaaclab-3": tasks_of_isaaclab3(),
        "embedded": tasks_of_the_embedded_simulator(),
    }
    return json.dumps(tables, indent=1) + "\n"


if __name__ == "__main__":
    TABLE.write_text(written(), encoding="utf-8")
