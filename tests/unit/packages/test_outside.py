"""Nothing that a package's files say makes us read, or import from, what lies beside the package."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages.archive import unpack
from gaitway.packages.choice import choose
from gaitway.packages.dependencies import find_missing, refusal
from gaitway.packages.image import Image
from gaitway.packages.layout import lay_out

PROJECT = "[project]\nname = 'robots'\nversion = '1'\n"
DYNAMIC = f"{PROJECT}dynamic = ['dependencies']\n[tool.setuptools.dynamic]\n"
FIND = f"{PROJECT}[tool.setuptools.packages.find]\n"
SECRET = "aws-secret-access-key"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """What a machine has that is none of the package's business: a file, and a package."""
    (tmp_path / "secret.txt").write_text(f"{SECRET}\n= {SECRET}\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("import gymnasium\n")
    return tmp_path


def found(directory: Path, files: dict[str, str]) -> tuple[list[Path], str]:
    """Return where modules are imported from, and all that is said of a package."""
    archive, target = directory / "robots.zip", directory / "packages"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in ({"robots/__init__.py": "import gymnasium\n"} | files).items():
            packed.writestr(name, text)
    target.mkdir()
    try:
        projects = lay_out([archive], target, unpack)
        environment = choose(projects, target, Image([]))
        findings = find_missing(projects, environment, "", Image([]), install=True)
    except CustomEnvironmentError as error:
        return [], str(error)
    roots = [place for one in environment.projects for place in (one.import_root, *one.folders.values())]
    return roots, " ".join((*findings.warnings, *findings.unread, str(refusal(findings, Image([])))))


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": f"{DYNAMIC}dependencies = {{file = '../../secret.txt'}}"},
        {"pyproject.toml": f"{DYNAMIC}dependencies = {{file = ['OUTSIDE/secret.txt']}}"},
        {"pyproject.toml": f"{DYNAMIC}dependencies = {{file = 'robots/../../../secret.txt'}}"},
        {"setup.cfg": "[options]\ninstall_requires = file: ../../secret.txt\n"},
        {"setup.py": "setup(install_requires=open('../../secret.txt').read().split())"},
        {"requirements.txt": "-r ../../secret.txt\n"},
        {"requirements.txt": "--requirement OUTSIDE/secret.txt\n"},
        {"pyproject.toml": f"{DYNAMIC}dependencies = {{file = '\\u0000'}}"},
    ],
)
def test_no_file_of_the_machine_is_read(beside: Path, files: dict[str, str]) -> None:
    given = {name: text.replace("OUTSIDE", str(beside)) for name, text in files.items()}
    assert SECRET not in found(beside, given)[1]


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": f"{FIND}where = ['../..']"},
        {"pyproject.toml": f"{FIND}where = ['OUTSIDE']"},
        {"pyproject.toml": f"{FIND}where = ['/']"},
        {"pyproject.toml": f"{PROJECT}[tool.setuptools.package-dir]\nmine = '../../mine'"},
        {"pyproject.toml": f"{PROJECT}[tool.hatch.build.targets.wheel]\npackages = ['../../mine']"},
        {"setup.py": "setup(name='robots', package_dir={'': '../..'})"},
        {"setup.cfg": "[options]\npackage_dir =\n    mine = OUTSIDE/mine\n"},
        {"pyproject.toml": f"{FIND}where = ['\\u0000']"},
    ],
)
def test_no_folder_of_the_machine_is_imported_from(beside: Path, files: dict[str, str]) -> None:
    roots, _ = found(beside, {name: text.replace("OUTSIDE", str(beside)) for name, text in files.items()})
    assert roots
    assert all(root.is_relative_to((beside / "packages").resolve()) for root in roots)


@pytest.mark.parametrize("text", ["'dependencies'", "3", "{a = 1}", "[3]"])
def test_a_list_that_is_none_does_no_harm(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, {"pyproject.toml": f"{PROJECT}dynamic = {text}"})[0]


@pytest.mark.parametrize(
    "marker", ["'x' in extras", "python_version > 'abc'", "sys_platform ~= '1'", "platform_version >= '#1'"]
)
def test_a_condition_that_cannot_be_evaluated_does_no_harm(tmp_path: Path, marker: str) -> None:
    assert found(tmp_path, {"pyproject.toml": f'{PROJECT}dependencies = ["zzz; {marker}"]'})[0]
