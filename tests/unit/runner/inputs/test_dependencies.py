"""What a package depends on: found wherever it is declared, named when it is missing, and installed if asked to.

The package index is a folder of wheels, which pip's own variables name; pip itself is the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.errors import CancelledError, CustomEnvironmentError, SimulationError
from gaitway.contracts.simulation import CustomEnvironment, CustomProject
from gaitway.packages.image import Image
from gaitway.packages.projects import ProjectRoot
from gaitway.runner.inputs import pip_install
from gaitway.runner.inputs.custom_environment import DEPENDENCIES, install
from gaitway.runner.inputs.dependencies import provide

ABSENT = "gaitway-absent"
"""A distribution that no machine has."""
PROJECT = "[project]\nname = 'robots'\nversion = '1'\n"


def project(directory: Path, files: dict[str, str]) -> Path:
    """Pack a package's files."""
    archive = directory / "robots.zip"
    some = {} if any(name.endswith("__init__.py") for name in files) else {"robots/__init__.py": ""}
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in (some | files).items():
            file.writestr(name, text)
    return archive


def wheel(
    index: Path, name: str, version: str = "1.0", requires: tuple[str, ...] = (), more: dict[str, str] | None = None
) -> Path:
    """Write a wheel with a module of its distribution's name."""
    index.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    lines = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{module}/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}",
    } | (more or {})
    path = index / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD")))
    return path


def refusal(directory: Path, files: dict[str, str], *, with_dependencies: bool = False) -> str:
    with pytest.raises(CustomEnvironmentError) as error:
        install([project(directory, files)], directory, with_dependencies=with_dependencies)
    return str(error.value)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that pip can reach."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


ISAAC_LAB_TEMPLATE = f"""\
import os
import toml
from setuptools import setup

EXTENSION_PATH = os.path.dirname(os.path.realpath(__file__))
EXTENSION_TOML_DATA = toml.load(os.path.join(EXTENSION_PATH, "config", "extension.toml"))
INSTALL_REQUIRES = [
    # NOTE: Add dependencies
    "psutil",
]
INSTALL_REQUIRES += ["{ABSENT}>=2"]
setup(name="robots", version=EXTENSION_TOML_DATA["package"]["version"], install_requires=INSTALL_REQUIRES)
"""


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"pyproject.toml": f"{PROJECT}dependencies = ['torch', '{ABSENT}>=2']\n"}, f"{ABSENT}>=2"),
        ({"pyproject.toml": f"\ufeff{PROJECT}dependencies = ['{ABSENT}']\n"}, ABSENT),
        (
            {
                "pyproject.toml": f"{PROJECT}dynamic = ['dependencies']\n"
                "[tool.setuptools.dynamic]\ndependencies = {file = ['needs.txt']}\n",
                "needs.txt": f"# what it needs\ntorch\n{ABSENT} >= 2  # for the arm\n",
            },
            f"{ABSENT}>=2",
        ),
        (
            {"pyproject.toml": f"[tool.poetry.dependencies]\npython = '^3.9'\n{ABSENT} = '^1.2'\n"},
            f"{ABSENT}<2,>=1.2",
        ),
        ({"setup.cfg": f"[options]\ninstall_requires =\n    torch\n    {ABSENT}>=2; python_version > '3'\n"}, ABSENT),
        ({"setup.cfg": "[options]\ninstall_requires = file: needs.txt\n", "needs.txt": ABSENT}, ABSENT),
        ({"setup.py": ISAAC_LAB_TEMPLATE, "config/extension.toml": "[package]\nversion = '1'\n"}, f"{ABSENT}>=2"),
        (
            {"setup.py": f"from setuptools import setup\nsetup(install_requires=['torch', f'{ABSENT}'] + ['numpy'])"},
            ABSENT,
        ),
        (
            {"setup.py": f"import setuptools as s\nM = dict(install_requires='''\n{ABSENT}\n''')\ns.setup(**M)\n"},
            ABSENT,
        ),
        (
            {
                "setup.py": "from setuptools import setup\nwith open('requirements.txt') as f:\n    r = f.readlines()\n"
                "setup(install_requires=r)\n",
                "requirements.txt": ABSENT,
            },
            ABSENT,
        ),
        (
            {"requirements.txt": "--extra-index-url https://example.com\n-r more.txt\n-e .\n", "more.txt": ABSENT},
            ABSENT,
        ),
        ({"requirements.txt": f"{ABSENT}==1.0 \\\n    --hash=sha256:00\n"}, f"{ABSENT}==1.0"),
        ({"requirements.txt": f"git+https://example.com/somebody/{ABSENT}.git@main\n"}, f"{ABSENT} @ git+https"),
        ({"config/extension.toml": f"[python.pipapi]\nrequirements = ['{ABSENT}']\n"}, ABSENT),
        ({"PKG-INFO": f"Metadata-Version: 2.1\nName: robots\nVersion: 1\nRequires-Dist: {ABSENT}\n"}, ABSENT),
    ],
)
def test_what_the_image_lacks_is_named_wherever_it_is_declared(
    tmp_path: Path, files: dict[str, str], named: str
) -> None:
    message = refusal(tmp_path, files)

    assert f"the custom environment depends on what is not in the image: {named}" in message
    assert "trainingConfig.installDependencies: true" in message


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": f"{PROJECT}dependencies = ['torch', 'Gymnasium>=1', 'isaaclab', 'isaacsim[all]']\n"},
        # By the names of their modules, and by those of other distributions with the same module.
        {"requirements.txt": "PIL\nyaml\npillow\nPyYAML\ntensorboardX\n"},
        {"setup.cfg": "[options.extras_require]\ndev = " + ABSENT},
        {"pyproject.toml": f"{PROJECT}optional-dependencies.x = ['{ABSENT}']\n[dependency-groups]\nx = ['{ABSENT}']\n"},
        {"pyproject.toml": f"{PROJECT}dependencies = [\"{ABSENT}; sys_platform == 'win32'\", 'robots']\n"},
        # Something else in the archive is what it needs.
        {"requirements.txt": "helpers\n", "robots/__init__.py": "", "helpers/__init__.py": ""},
    ],
)
def test_what_is_there_or_not_needed_is_not_missing(tmp_path: Path, files: dict[str, str]) -> None:
    assert "robots" in install([project(tmp_path, files)], tmp_path).projects[0].modules


def test_tools_that_somebody_had_installed_are_missing_only_if_the_package_imports_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    declared = {"pyproject.toml": f"{PROJECT}dependencies = ['torch']\n", "requirements.txt": f"{ABSENT}\ntorch\n"}

    assert install([project(tmp_path, declared)], tmp_path).projects[0].modules == ("robots",)
    assert f"requirements.txt lists {ABSENT}, which the image lacks" in caplog.text

    imported = declared | {"robots/arm.py": "from gaitway_absent.arms import Arm\n"}
    assert f"not in the image: {ABSENT}, declared in" in refusal(tmp_path, imported)


@pytest.mark.parametrize(
    "script",
    [
        "from setuptools import setup\nsetup(install_requires=read('needs'))\n",
        "from setuptools import setup\nR = ['torch']\nif cuda():\n    R.append('more')\nsetup(install_requires=R)\n",
        "from setuptools import setup\nsetup(**everything())\n",
        "print 'Python 2'\n",
    ],
)
def test_a_setup_script_that_would_have_to_run_is_reported(
    tmp_path: Path, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert install([project(tmp_path, {"setup.py": script})], tmp_path).projects[0].modules == ("robots",)
    assert "setup.py computes what it depends on" in caplog.text


def test_a_setup_script_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    archive = project(tmp_path, {"setup.py": f"open({str(trace)!r}, 'w')\nsetup(install_requires=[])\n"})
    install([archive], tmp_path)
    assert not trace.exists()


def test_what_isaac_sims_app_puts_on_the_path_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, place in enumerate(("exts/omni.isaac.ml_archive", "kit/extscache/omni.kit.pip_archive-0.0.0+1.lx64")):
        prebundled = tmp_path / "isaac-sim" / place / "pip_prebundle"
        prebundled.mkdir(parents=True)
        with zipfile.ZipFile(wheel(tmp_path / "wheels", f"{ABSENT}-{number}")) as archive:
            archive.extractall(prebundled)
    files = {"pyproject.toml": f"{PROJECT}dependencies = ['{ABSENT}-0', '{ABSENT}-1']\n"}
    assert f"not in the image: {ABSENT}-0, {ABSENT}-1, declared in" in refusal(tmp_path, files)

    monkeypatch.setenv("ISAACSIM_ROOT_PATH", str(tmp_path / "isaac-sim"))

    assert install([project(tmp_path, files)], tmp_path).projects[0].modules == ("robots",)


def test_the_runners_own_libraries_are_not_the_simulators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = tmp_path / "libraries"
    with zipfile.ZipFile(wheel(tmp_path / "wheels", ABSENT)) as archive:
        archive.extractall(libraries)
    monkeypatch.syspath_prepend(str(libraries))
    files = {"requirements.txt": ABSENT}
    assert install([project(tmp_path, files)], tmp_path).projects[0].modules == ("robots",)

    monkeypatch.setenv("GAITWAY_LIBRARIES", str(libraries))

    other = tmp_path / "other"
    other.mkdir()
    assert f"not in the image: {ABSENT}, declared in" in refusal(other, files)


def run_with(environment: CustomEnvironment, code: str) -> str:
    """Run code in a new process, once it has imported the package as a simulator does."""
    start = (
        "import sys; from pathlib import Path\n"
        "from gaitway.contracts.simulation import CustomEnvironment\n"
        "from gaitway.simulators.common.custom_environment import import_custom_environment, make_importable\n"
        "environment = CustomEnvironment.model_validate_json(sys.argv[1])\n"
        "make_importable(environment); import_custom_environment(environment, 'Robots-v0')\n"
    )
    command = (sys.executable, "-c", start + code, environment.model_dump_json())
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


PROJECTS = {
    "source/robots/pyproject.toml": "[project]\nname = 'robots'\ndependencies = ['helpers']\n",
    "source/robots/robots/__init__.py": "import gymnasium\ngymnasium.register(id='Robots-v0')\n",
    "source/helpers/pyproject.toml": "[project]\nname = 'helpers'\n",
    "source/helpers/helpers/__init__.py": "",
    "source/other/pyproject.toml": "[project]\nname = 'other'\n",
    "source/other/other/__init__.py": "",
    "deploy/pyproject.toml": "[project]\nname = 'deploy'\n",
    "deploy/deploy/__init__.py": "",
}


@pytest.mark.parametrize(
    "files",
    [
        {"source/robots/setup.cfg": f"[options]\ninstall_requires = {ABSENT}"},
        {"source/helpers/setup.cfg": f"[options]\ninstall_requires = {ABSENT}"},
        # Beside all projects stands what somebody had installed.
        {"requirements.txt": ABSENT, "source/robots/robots/arm.py": "import gaitway_absent"},
    ],
)
def test_of_several_projects_those_count_that_the_task_needs(tmp_path: Path, files: dict[str, str]) -> None:
    archive = project(tmp_path, PROJECTS | files)
    with pytest.raises(CustomEnvironmentError, match=f"not in the image: {ABSENT}"):
        install([archive], tmp_path, task="Robots-v0")


@pytest.mark.parametrize("name", ["source/other", "deploy"])
def test_what_another_project_lacks_is_a_warning(tmp_path: Path, name: str) -> None:
    environment = install(
        [project(tmp_path, PROJECTS | {f"{name}/requirements.txt": ABSENT})], tmp_path, task="Robots-v0"
    )
    assert environment.warnings == (f"{name} depends on what is not in the image: {ABSENT}",)


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The variables of every pip that is started."""
    seen: list[dict[str, str]] = []
    real = subprocess.Popen

    def watched(*args: Any, **kwargs: Any) -> Any:
        if "pip" in args[0]:
            seen.append(dict(kwargs["env"]))
        return real(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", watched)
    return seen


def test_what_is_missing_is_installed_for_the_run_with_what_it_needs_in_turn(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, environments: list[dict[str, str]]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    wheel(index, ABSENT, "1.0")
    wheel(index, ABSENT, "2.5", requires=("gaitway-deeper", "numpy"))
    wheel(index, "gaitway-deeper", "0.3")
    # Newer than the image's, which stays as it is.
    wheel(index, "numpy", "999.0")
    files = {
        "pyproject.toml": f"{PROJECT}dependencies = ['torch', '{ABSENT}']\n",
        "robots/__init__.py": "import gaitway_absent",
    }

    archive = project(tmp_path, files)
    environment = install([archive], tmp_path, with_dependencies=True)

    assert len(environments) == 2
    assert all("AWS_SECRET_ACCESS_KEY" not in variables for variables in environments)
    assert all(variables["HTTPS_PROXY"] == "http://127.0.0.1:9" for variables in environments)
    assert environment.installed == {ABSENT: "2.5", "gaitway-deeper": "0.3"}
    assert environment.dependencies == tmp_path / DEPENDENCIES
    names = {path.name for path in environment.dependencies.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"gaitway_absent", "gaitway_deeper"}
    code = "import gaitway_absent, gaitway_deeper, numpy; print(gaitway_absent.VERSION, numpy.__version__ < '999')"
    assert run_with(environment, code) == "2.5 True"
    # Another attempt finds it there, without an index.
    for path in index.iterdir():
        path.unlink()
    assert install([archive], tmp_path, with_dependencies=True) == environment


def test_a_dependency_by_the_name_of_its_module_is_installed_as_its_distribution(tmp_path: Path, index: Path) -> None:
    wheel(index, "opencv-python", "4.9", more={"cv2/__init__.py": ""})
    (tmp_path / "requirements.txt").write_text("cv2>=4\n")
    projects = [ProjectRoot("robots", tmp_path, tmp_path, (), ("robots",))]
    imported = CustomProject(name="robots", import_root=tmp_path, modules=("robots",))
    chosen = CustomEnvironment(path=tmp_path, projects=(imported,))

    def provided(*, install: bool) -> CustomEnvironment:
        target, image = tmp_path / "to", Image([])
        return provide(projects, chosen, "", target=target, install=install, pause=time.sleep, image=image)

    assert provided(install=True).installed == {"opencv-python": "4.9"}
    with pytest.raises(CustomEnvironmentError, match=r"cv2>=4 \(its distribution is called opencv-python\)"):
        provided(install=False)


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        # It wants another version of what the image has; one that is older, newer or different.
        (("numpy<1",), "The image has numpy"),
        (("numpy>=999",), "The image has numpy"),
        (("gaitway-nowhere",), "nothing that matches gaitway-nowhere"),
    ],
)
def test_what_the_image_pins_stays_as_it_is(
    tmp_path: Path, index: Path, requires: tuple[str, ...], expected: str
) -> None:
    wheel(index, ABSENT, requires=requires)
    wheel(index, "numpy", "0.9")
    wheel(index, "numpy", "999.0")

    message = refusal(tmp_path, {"requirements.txt": ABSENT}, with_dependencies=True)

    assert "what the custom environment depends on cannot be installed: " in message
    assert expected in message
    assert not (tmp_path / DEPENDENCIES).exists()


def test_a_version_that_the_index_does_not_have_is_named_with_those_that_it_has(tmp_path: Path, index: Path) -> None:
    wheel(index, ABSENT, "1.0")
    wheel(index, ABSENT, "1.1")
    message = refusal(tmp_path, {"requirements.txt": f"{ABSENT}>=2"}, with_dependencies=True)
    assert f"nothing that matches {ABSENT}>=2 for Python 3." in message
    assert "it has 1.0, 1.1" in message


def test_nothing_is_built(tmp_path: Path, index: Path) -> None:
    sources = index / f"{ABSENT}-1.0.zip"
    trace = tmp_path / "ran"
    with zipfile.ZipFile(sources, "w") as archive:
        archive.writestr(f"{ABSENT}-1.0/setup.py", f"open({str(trace)!r}, 'w')\n")
    assert "nothing that matches" in refusal(tmp_path, {"requirements.txt": ABSENT}, with_dependencies=True)

    built = refusal(tmp_path, {"requirements.txt": f"{ABSENT} @ {sources.as_uri()}"}, with_dependencies=True)
    assert f"needs what has to be built first: {ABSENT} @ file://" in built
    assert not trace.exists()


def test_an_index_that_cannot_be_reached_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    # Nothing listens on the discard port.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(pip_install, "_OPTIONS", ("--no-input", "--retries", "1", "--timeout", "2"))
    with pytest.raises(SimulationError, match="the package index cannot be reached from this machine") as error:
        install([project(tmp_path, {"requirements.txt": ABSENT})], tmp_path, with_dependencies=True)
    assert error.value.retryable


def test_what_is_too_large_is_refused(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(index, ABSENT, more={"gaitway_absent/weights.bin": "0" * 3_000_000})
    monkeypatch.setattr(pip_install, "MAX_BYTES", 1_000_000)
    message = refusal(tmp_path, {"requirements.txt": ABSENT}, with_dependencies=True)
    assert "is too large to install for a run" in message


def test_what_takes_too_long_is_ended_and_so_is_a_run_that_is_to_stop(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(index, ABSENT)
    archive = project(tmp_path, {"requirements.txt": ABSENT})
    monkeypatch.setattr(pip_install, "_POLL_SECONDS", 0.01)

    def stopped(_: float) -> None:
        raise CancelledError("somebody stopped the run")

    with pytest.raises(CancelledError):
        install([archive], tmp_path, with_dependencies=True, pause=stopped)

    monkeypatch.setattr(pip_install, "INSTALL_SECONDS", 0)
    with pytest.raises(CustomEnvironmentError, match="took longer to install than"):
        install([archive], tmp_path, with_dependencies=True)
