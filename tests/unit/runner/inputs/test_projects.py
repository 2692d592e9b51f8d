"""What people really pack: every layout is unpacked, and its task is registered in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from gaitway.contracts.simulation import SIMULATION_WARNING, CustomEnvironment
from gaitway.runner.inputs.custom_environment import install

TASK = "My-Task-v0"
REGISTERS = f"import gymnasium\ngymnasium.register(id={TASK!r}, entry_point='none:None')\n"
BROKEN = "import unitree_sdk2py\n"
SETUP = "from setuptools import setup\nsetup(name='robots', packages=['robots'])\n"
PYPROJECT = "[project]\nname = 'robots'\nversion = '1'\n"
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

# As the simulators do it.
IMPORT = """
import json, sys
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import CustomEnvironment
from gaitway.simulators.common.custom_environment import *
import gaitway.simulators.common.custom_environment as common

custom = CustomEnvironment.model_validate_json(sys.argv[1])
make_importable(custom)
imported = import_custom_environment(custom, sys.argv[2])
import gymnasium
libraries = {name: getattr(sys.modules[name], "__file__", None) for name in ("numpy", "yaml") if name in sys.modules}
unknown = str(common.unknown_task(sys.argv[2], ["A"], "Isaac Lab", imported))
error = None if sys.argv[2] in gymnasium.registry else unknown
print(json.dumps({"failed": imported.failed, "libraries": libraries, "error": error}))
"""

# Isaac Lab 2.3.2's generator (tools/template) writes these files for an external project.
TEMPLATE = {
    "robots/scripts/rsl_rl/train.py": "from isaaclab.app import AppLauncher\nAppLauncher()\n",
    "robots/scripts/list_envs.py": "# lists what gym.register( registered\nimport isaaclab.app\n",
    "robots/source/robots/setup.py": (
        "import os, toml\n"
        "EXTENSION_PATH = os.path.dirname(os.path.realpath(__file__))\n"
        "EXTENSION_TOML_DATA = toml.load(os.path.join(EXTENSION_PATH, 'config', 'extension.toml'))\n"
        "INSTALL_REQUIRES = ['psutil']\n"
        "setup(name='robots', packages=['robots'], author=EXTENSION_TOML_DATA['package']['author'],"
        " install_requires=INSTALL_REQUIRES)\n"
    ),
    "robots/source/robots/pyproject.toml": "[build-system]\nrequires = ['setuptools', 'wheel', 'toml']\n",
    "robots/source/robots/config/extension.toml": "[package]\nversion = '0.1.0'\n[[python.module]]\nname = 'robots'\n",
    "robots/source/robots/robots/__init__.py": "from .tasks import *\n",
    "robots/source/robots/robots/tasks/__init__.py": "from . import walk\n",
    "robots/source/robots/robots/tasks/walk/__init__.py": REGISTERS,
    "robots/pyproject.toml": "[tool.ruff]\nline-length = 120\n",
}

LAYOUTS: dict[str, Mapping[str, str | bytes]] = {
    "the project template of Isaac Lab 2": TEMPLATE,
    "the project template of Isaac Lab 3": {
        "robots/pyproject.toml": PYPROJECT + "[project.entry-points.'isaaclab.tasks']\nrobots = 'robots.tasks'\n",
        "robots/src/robots/__init__.py": "",
        "robots/src/robots/tasks/__init__.py": REGISTERS,
    },
    "the older template of extensions": {
        "orbit.robots/exts/robots/setup.py": SETUP,
        "orbit.robots/exts/robots/config/extension.toml": "[package]\nversion = '0.1.0'\n",
        "orbit.robots/exts/robots/robots/__init__.py": REGISTERS,
        "orbit.robots/standalone/rsl_rl/play.py": "raise SystemExit(1)\n",
    },
    "two projects below source": {
        "p/source/a/setup.py": SETUP.replace("robots", "a"),
        "p/source/a/a/__init__.py": "",
        "p/source/b/setup.py": SETUP.replace("robots", "b"),
        "p/source/b/b/__init__.py": "import a\n" + REGISTERS,
    },
    "a project, and beside it a folder that cannot be imported": TEMPLATE
    | {"robots/deploy/__init__.py": BROKEN, "robots/deploy/real.py": BROKEN},
    "a broken project below source, before the one that is meant": TEMPLATE
    | {
        "robots/source/a_real/setup.py": SETUP.replace("robots", "a_real"),
        "robots/source/a_real/a_real/__init__.py": BROKEN,
    },
    "a fork of an RL library beside the project": {
        "legged_gym/setup.py": SETUP.replace("robots", "legged_gym"),
        "legged_gym/legged_gym/__init__.py": REGISTERS,
        "rsl_rl/setup.py": SETUP.replace("robots", "rsl_rl"),
        "rsl_rl/rsl_rl/__init__.py": BROKEN,
    },
    "a fork of an RL library inside the project": {
        "p/setup.py": SETUP,
        "p/robots/__init__.py": REGISTERS,
        "p/rsl_rl/setup.py": SETUP.replace("robots", "rsl_rl"),
        "p/rsl_rl/rsl_rl/__init__.py": BROKEN,
    },
    "folders with the names of libraries": {
        "p/robots/__init__.py": "import numpy, yaml\n" + REGISTERS,
        "p/torch/__init__.py": BROKEN,
        "p/numpy/__init__.py": BROKEN,
        "p/yaml/__init__.py": BROKEN,
        "p/utils/__init__.py": "",
    },
    "a workspace of ROS 2 with what colcon built": {
        "ws/src/robots/package.xml": "<package/>",
        "ws/src/robots/setup.py": "name = 'robots'\nsetup(name=name, packages=[name])\n",
        "ws/src/robots/robots/__init__.py": REGISTERS,
        "ws/src/drivers/setup.py": SETUP.replace("robots", "drivers"),
        "ws/src/drivers/drivers/__init__.py": BROKEN,
        "ws/install/robots/lib/python3.11/site-packages/robots/__init__.py": BROKEN,
        "ws/build/robots/robots/__init__.py": BROKEN,
    },
    "a package of ROS 1": {
        "ws/src/robots/setup.py": (
            "d = generate_distutils_setup(packages=['robots'], package_dir={'': 'python'})\nsetup(**d)\n"
        ),
        "ws/src/robots/python/robots/__init__.py": REGISTERS,
    },
    "a module beside a package": {"robots/__init__.py": "", "my_task.py": "import robots\n" + REGISTERS},
    "modules that import each other relatively, without an __init__.py": {
        "walk/env.py": "from .settings import GAIN\n" + REGISTERS,
        "walk/settings.py": "GAIN = 1\n",
    },
    "modules that import each other by the folder's name": {
        "p/walk/env.py": "from walk.settings import GAIN\n" + REGISTERS,
        "p/walk/settings.py": "GAIN = 1\n",
    },
    "the same in a project": {
        "p/pyproject.toml": PYPROJECT,
        "p/robots/env.py": "from .settings import GAIN\n" + REGISTERS,
        "p/robots/settings.py": "GAIN = 1\n",
    },
    "a package without a folder of its own": {
        "__init__.py": "from .env import GAIN\n" + REGISTERS,
        "env.py": "GAIN = 1\n",
    },
    "a folder whose name is no module's, with relative imports": {
        "my-walk/env.py": "from .settings import GAIN\n" + REGISTERS,
        "my-walk/settings.py": "GAIN = 1\n",
    },
    "a project inside its package": {
        "robots/pyproject.toml": PYPROJECT,
        "robots/__init__.py": "from . import tasks\n",
        "robots/tasks/__init__.py": "from .. import __name__\n" + REGISTERS,
    },
    "src": {"pyproject.toml": PYPROJECT, "src/robots/__init__.py": REGISTERS, "train.py": "raise SystemExit(2)\n"},
    "a package in a namespace in src": {
        "pyproject.toml": PYPROJECT,
        "src/acme/robots/__init__.py": "from acme.robots import env\n",
        "src/acme/robots/env.py": REGISTERS,
    },
    "packages of a namespace in src, without a project file": {
        "src/acme/robots/__init__.py": REGISTERS,
        "src/acme/helpers/__init__.py": "",
    },
    "a module in src": {"pyproject.toml": PYPROJECT, "src/robots.py": REGISTERS},
    "a namespace that is imported by its whole name": {
        "p/robots/tasks/env.py": "from robots.tasks import settings\nimport robots.tasks.settings\n" + REGISTERS,
        "p/robots/tasks/settings.py": "",
        "p/scripts/train.py": "raise SystemExit(1)\n",
    },
    "modules below a folder, which use its name": {
        "robots/util.py": "GAIN = 1\n",
        "robots/tasks/env.py": "from robots.util import GAIN\n" + REGISTERS,
    },
    "maturin": {
        "pyproject.toml": PYPROJECT + "[tool.maturin]\npython-source = 'python'\n",
        "python/robots/__init__.py": "import robots.env\n",
        "python/robots/env.py": REGISTERS,
    },
    "package-dir in pyproject.toml": {
        "pyproject.toml": PYPROJECT + "[tool.setuptools.package-dir]\n'' = 'python'\n",
        "python/robots/__init__.py": REGISTERS,
    },
    "a package in a folder of another name": {
        "pyproject.toml": PYPROJECT + "[tool.setuptools.package-dir]\nrobots = 'code/lib'\n",
        "code/lib/__init__.py": "from . import tasks\n",
        "code/lib/tasks.py": "import robots\n" + REGISTERS,
    },
    "a package that is the project's folder": {
        "p/setup.py": "setup(name='robots', packages=['robots'], package_dir={'robots': '.'})\n",
        "p/__init__.py": "from . import tasks\n",
        "p/tasks/__init__.py": "from robots import __name__\n" + REGISTERS,
    },
    "find_packages in setup.py": {
        "setup.py": "setup(name='robots', packages=find_packages(where='lib'), package_dir={'': 'lib'})\n",
        "lib/robots/__init__.py": REGISTERS,
    },
    "setup.cfg": {
        "setup.cfg": "[metadata]\nname = robots\n[options]\npackage_dir =\n    = lib\npackages = find:\n",
        "setup.py": "import setuptools\nsetuptools.setup()\n",
        "lib/robots/__init__.py": REGISTERS,
    },
    "poetry": {
        "pyproject.toml": "[tool.poetry]\nname = 'robots'\npackages = [{include = 'robots', from = 'lib'}]\n",
        "lib/robots/__init__.py": REGISTERS,
    },
    "hatch": {
        "pyproject.toml": PYPROJECT + "[tool.hatch.build.targets.wheel]\npackages = ['lib/robots']\n",
        "lib/robots/__init__.py": REGISTERS,
    },
    "a project among examples": {
        "repo/pyproject.toml": "[tool.ruff]\n",
        "repo/docs/conf.py": "",
        "repo/examples/walk/pyproject.toml": PYPROJECT,
        "repo/examples/walk/robots/__init__.py": REGISTERS,
    },
    "a package among examples": {"repo/README.md": "", "repo/examples/robots/__init__.py": REGISTERS},
    "byte order marks": {
        "pyproject.toml": BYTE_ORDER_MARK + PYPROJECT,
        "setup.cfg": BYTE_ORDER_MARK + "[metadata]\nname = robots\n",
        "setup.py": BYTE_ORDER_MARK + SETUP,
        "robots/__init__.py": REGISTERS,
    },
    "UTF-16, as PowerShell writes it": {
        "pyproject.toml": PYPROJECT.encode("utf-16"),
        "setup.cfg": "[metadata]\nname = robots\n".encode("utf-16"),
        "robots/__init__.py": REGISTERS,
    },
    "tasks that no __init__.py imports": {
        "robots/__init__.py": "",
        "robots/direct/walk/__init__.py": REGISTERS,
        "robots/direct/other/__init__.py": REGISTERS.replace(TASK, "Other-v0"),
        "robots/direct/broken/__init__.py": BROKEN + "gymnasium.register()\n",
    },
    "entry points in setup.cfg": {
        "setup.cfg": "[options.entry_points]\ngaitway.tasks =\n    mine = robots.hidden:register\n",
        "robots/__init__.py": "",
        "robots/hidden.py": REGISTERS,
    },
    "entry points in setup.py": {
        "setup.py": "GROUP = 'gaitway.tasks'\nsetup(name='robots', entry_points={GROUP: ['mine = robots.hidden']})\n",
        "robots/__init__.py": "",
        "robots/hidden.py": REGISTERS,
    },
    "entry points in setup.py as text": {
        "setup.py": "setup(entry_points='''\n[gaitway.tasks]\nmine = robots.hidden\n''')\n",
        "robots/__init__.py": "",
        "robots/hidden.py": REGISTERS,
    },
}


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def imported(environment: CustomEnvironment, task: str = TASK) -> dict[str, dict[str, str] | str | None]:
    """Import an environment in a process, and say what became of it."""
    command = [sys.executable, "-c", IMPORT, environment.model_dump_json(), task]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, dict[str, str] | str | None] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Import all layouts, each in a fork of one process: Python and Gymnasium start once."""
    directory = tmp_path_factory.mktemp("layouts")
    environments = {}
    for number, (name, files) in enumerate(LAYOUTS.items()):
        run = directory / str(number)
        run.mkdir()
        environments[name] = json.loads(install([zipped(run / "my task (1).ZIP", files)], run).model_dump_json())
    script = (
        "import json, os, sys, traceback, gymnasium\n"
        "import gaitway.contracts.simulation, gaitway.simulators.common.custom_environment\n"
        f"code = {IMPORT!r}\n"
        "for name, environment in json.load(sys.stdin).items():\n"
        "    sys.stdout.flush()\n"
        "    if os.fork() == 0:\n"
        f"        sys.argv[1:] = [json.dumps(environment), {TASK!r}]\n"
        "        print('\\x1e', json.dumps(name))\n"
        "        try:\n"
        "            exec(code, {'__name__': 'imported'})\n"
        "        except BaseException as error:\n"
        "            print(json.dumps({'error': traceback.format_exc()}))\n"
        "        sys.stdout.flush()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(environments), capture_output=True, text=True, check=True
    )
    printed = [text.strip().split("\n") for text in ended.stdout.split("\x1e")[1:]]
    return {json.loads(name): json.loads(outcome) | {"warned": warned} for name, *warned, outcome in printed}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_task_is_registered(outcomes: dict[str, dict[str, object]], layout: str) -> None:
    assert outcomes[layout]["error"] is None
    # A program beside the packages never runs, and what is broken has not come in the way.
    failed = outcomes[layout]["failed"]
    assert isinstance(failed, dict)
    assert all("unitree_sdk2py" in reason for reason in failed.values()), failed
    # results.json lists each of them as a warning.
    warned = outcomes[layout]["warned"]
    assert isinstance(warned, list)
    texts = [match["text"] for line in warned if (match := SIMULATION_WARNING.match(line))]
    assert [text.partition(" of the custom environment could not be imported")[0] for text in texts] == [*failed]
    libraries = outcomes[layout]["libraries"]
    assert isinstance(libraries, dict)
    assert all("site-packages" in file for file in libraries.values()), libraries
