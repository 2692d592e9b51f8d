"""Packages from somebody else: what is refused, what is installed, and what is imported of it."""

from __future__ import annotations

import io
import logging
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages import archive as archives
from gaitway.runner.inputs.custom_environment import DIRECTORY
from gaitway.runner.inputs.custom_environment import install as install_all

PROJECT = {
    "project/pyproject.toml": "[project]\nname = 'robots'\nversion = '1'\n",
    "project/robots/__init__.py": "",
    "project/robots/mesh.obj": "a mesh",
}


def install(archive: Path, directory: Path) -> Installed:
    """Install one archive that holds one project."""
    environment = install_all([archive], directory)
    (project,) = environment.projects
    return Installed(project.import_root, project.modules)


class Installed(NamedTuple):
    path: Path
    modules: tuple[str, ...]


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def wheel(directory: Path, files: dict[str, str], metadata: str = "") -> Path:
    info = "robots-1.dist-info"
    files = files | {
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: robots\nVersion: 1\n{metadata}",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    return zipped(directory / "robots-1-py3-none-any.whl", files | {f"{info}/RECORD": record})


def refused(archive: Path, directory: Path) -> str:
    with pytest.raises(CustomEnvironmentError) as error:
        install(archive, directory)
    return str(error.value)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_project_stays_as_it_lies(tmp_path: Path, make: Callable[[Path, dict[str, str]], Path]) -> None:
    name = "package.zip" if make is zipped else "package.tar.gz"

    environment = install(make(tmp_path / name, PROJECT), tmp_path)

    assert environment.path == tmp_path / DIRECTORY / "package" / "project"
    assert environment.modules == ("robots",)
    assert (environment.path / "robots" / "mesh.obj").read_text() == "a mesh"


def test_a_wheel_is_installed(tmp_path: Path) -> None:
    environment = install(wheel(tmp_path, {"robots/__init__.py": "", "robots/mesh.obj": "a mesh"}), tmp_path)

    assert environment.path == tmp_path / DIRECTORY / "robots_1_py3_none_any"
    assert environment.modules == ("robots",)
    assert (environment.path / "robots" / "mesh.obj").is_file()


@pytest.mark.parametrize(
    ("files", "root", "modules"),
    [
        ({"robots/__init__.py": ""}, ".", ("robots",)),
        ({"src/robots/__init__.py": "", "train.py": "", "tests/__init__.py": ""}, "src", ("robots",)),
        # The layout of Isaac Lab's project template.
        (
            {
                "p/scripts/rsl_rl/train.py": "",
                "p/source/robots/setup.py": "",
                "p/source/robots/config/extension.toml": "",
                "p/source/robots/robots/__init__.py": "",
                "p/source/robots/robots/tasks/__init__.py": "",
            },
            "p/source/robots",
            ("robots",),
        ),
        ({"a/__init__.py": "", "b/__init__.py": "", "b/c/__init__.py": ""}, ".", ("a", "b")),
        ({"my_task.py": "", "setup.py": ""}, ".", ("my_task",)),
        ({"__MACOSX/p/robots/__init__.py": "", "p/robots/__init__.py": ""}, "p", ("robots",)),
        (
            {
                "p/pyproject.toml": "[project.entry-points.'gaitway.tasks']\nmine = 'robots.tasks:register'\n",
                "p/src/robots/__init__.py": "",
                "p/src/helpers/__init__.py": "",
            },
            "p/src",
            ("robots.tasks",),
        ),
    ],
)
def test_what_registers_tasks_is_found(
    tmp_path: Path, files: dict[str, str], root: str, modules: tuple[str, ...]
) -> None:
    environment = install(zipped(tmp_path / "package.zip", files), tmp_path)

    assert environment.path == tmp_path / DIRECTORY / "package" / root
    assert environment.modules == modules


def test_a_wheel_may_hold_packages_in_a_namespace_and_name_the_modules_to_import(tmp_path: Path) -> None:
    files = {"lab/robots/__init__.py": "", "lab/robots/tasks/__init__.py": ""}
    assert install(wheel(tmp_path, files), tmp_path).modules == ("lab.robots",)

    named = files | {"robots-1.dist-info/entry_points.txt": "[gaitway.tasks]\nmine = lab.robots.tasks\n"}
    assert install(wheel(tmp_path, named), tmp_path).modules == ("lab.robots.tasks",)


def test_another_attempt_finds_the_package_installed_and_another_archive_takes_its_place(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "package.zip", PROJECT)
    first = install(archive, tmp_path)
    (first.path / "left").touch()
    assert install(archive, tmp_path) == first
    assert (first.path / "left").exists()

    zipped(archive, {"robots/__init__.py": "", "robots/new.py": ""})
    second = install(archive, tmp_path)
    assert (second.path / "robots" / "new.py").exists()
    assert not (first.path / "left").exists()


def test_what_a_killed_attempt_left_half_done_is_done_again(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY / "project").mkdir(parents=True)
    assert install(zipped(tmp_path / "package.zip", PROJECT), tmp_path).modules == ("robots",)


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize(
    "name",
    [
        "/etc/robots.py",
        "../robots.py",
        "a/../../robots.py",
        "..\\robots.py",
        "C:/robots.py",
        "a\\..\\..\\robots.py",
        "C:\\robots.py",
        "\\\\server\\robots.py",
    ],
)
def test_no_file_lands_outside(tmp_path: Path, make: Callable[[Path, dict[str, str]], Path], name: str) -> None:
    archive = make(tmp_path / ("package.zip" if make is zipped else "package.tar.gz"), PROJECT | {name: ""})

    message = refused(archive, tmp_path / "runs" / "run")

    assert f"{archive.name} is refused: " in message
    assert "would be outside of it" in message
    assert not list(tmp_path.glob("**/robots.py"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tmp_path / "package.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        member = tarfile.TarInfo("robots/passwords")
        member.type = kind
        member.linkname = "/etc/passwd"
        file.addfile(member)

    message = refused(archive, tmp_path)

    assert "'robots/passwords' is a link or a device" in message or "cannot be read" in message
    assert not list(tmp_path.glob("**/passwords"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        link = zipfile.ZipInfo("robots/passwords")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")

    assert "is a link or a device" in refused(archive, tmp_path)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, make: Callable[[Path, dict[str, str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1_000_000)
    archive = make(tmp_path / ("bomb.zip" if make is zipped else "bomb.tar.gz"), {"robots.py": "0" * 1_000_001})
    assert archive.stat().st_size < 10_000

    assert "unpacked it is larger than" in refused(archive, tmp_path)
    assert not list(tmp_path.glob("**/robots.py"))


def test_a_bomb_in_the_headers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(archives, "MAX_FILES", 10)
    archive = tmp_path / "bomb.tar.gz"
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo("robots.py")
        member.pax_headers = {"comment": "0" * 2_000_000}
        file.addfile(member)

    assert "unpacked it is larger than" in refused(archive, tmp_path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    files = {f"robots/{number}.py": "" for number in range(4)}
    assert "more than 3 entries" in refused(zipped(tmp_path / "package.zip", files), tmp_path)
    assert "more than 3 entries" in refused(wheel(tmp_path, files), tmp_path)


@pytest.mark.parametrize("name", ["package.zip", "package.tar.gz", "robots-1-py3-none-any.whl"])
@pytest.mark.parametrize("content", ["", "no archive", "torn"])
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str) -> None:
    archive = tmp_path / name
    if content == "torn":
        make = tarred if name.endswith(".tar.gz") else zipped
        # What does not compress, so that half of the file is half of the content.
        make(archive, {"robots/__init__.py": os.urandom(5000).hex()})
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    else:
        archive.write_text(content)

    assert ("it cannot be read" if content else "it is empty: upload it again") in refused(archive, tmp_path)


def test_a_file_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "package.tar.gz", {"robots": "", "robots/__init__.py": ""})
    assert "both a file and a directory" in refused(archive, tmp_path)


@pytest.mark.parametrize("files", [{"README.md": ""}, {"tests/__init__.py": ""}, {"robots/mesh.obj": ""}])
def test_an_archive_without_code_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    assert "holds no Python package" in refused(zipped(tmp_path / "package.zip", files), tmp_path)


def test_several_projects_are_not_guessed_between(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "package.zip", {"a/robots/__init__.py": "", "b/robots/__init__.py": ""})
    assert "several folders (a, b)" in refused(archive, tmp_path)


def test_modules_of_the_names_of_pythons_own_are_passed_over(tmp_path: Path) -> None:
    files = {"types.py": "# register", "gaitway/__init__.py": "", "torch/__init__.py": ""}
    archive = zipped(tmp_path / "package.zip", files | {"robots/__init__.py": ""})
    environment = install_all([archive], tmp_path)
    assert environment.projects[0].modules == ("robots",)
    assert environment.passed_over == (
        "gaitway of package, whose name is Gaitway's",
        "torch of package, which the image has",
        "types of package, whose name is Python's own",
    )
    message = refused(zipped(archive, files), tmp_path)
    assert "holds nothing that can be imported: " in message
    assert "'gaitway.replaces'" in message


DEPENDENCIES = (
    "torch",
    "Gymnasium>=1",
    "no-such-library>=2",
    "isaacsim",
    "colorama; sys_platform == 'win32'",
    "extra-only; extra == 'dev'",
)


def test_dependencies_that_the_image_lacks_are_named(tmp_path: Path) -> None:
    project = "[project]\nname = 'robots'\nversion = '1'\ndependencies = [" + ", ".join(f'"{d}"' for d in DEPENDENCIES)
    archive = zipped(tmp_path / "package.zip", PROJECT | {"project/pyproject.toml": project + "]\n"})
    required = "".join(f"Requires-Dist: {dependency}\n" for dependency in DEPENDENCIES)

    for package, file in (
        (archive, "project/pyproject.toml"),
        (wheel(tmp_path, {"robots/__init__.py": ""}, required), "robots-1.dist-info/METADATA"),
    ):
        message = refused(package, tmp_path)
        assert f"depends on what is not in the image: no-such-library>=2, declared in {file}. " in message


def test_a_version_that_differs_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    required = "Requires-Dist: torch<1\nRequires-Dist: no requirement at all\n"
    with caplog.at_level(logging.WARNING):
        assert install(wheel(tmp_path, {"robots/__init__.py": ""}, required), tmp_path).modules == ("robots",)
    assert "requires torch<1, the image has" in caplog.text


@pytest.mark.parametrize("text", ["[project", "project = 5\n", "[project]\ndependencies = 'torch'\n"])
def test_a_broken_project_file_is_named(tmp_path: Path, text: str) -> None:
    archive = zipped(tmp_path / "package.zip", PROJECT | {"project/pyproject.toml": text})
    assert "pyproject.toml that cannot be read" in refused(archive, tmp_path)


def test_pips_own_words_are_told(tmp_path: Path) -> None:
    good = wheel(tmp_path, {"robots/__init__.py": ""}, "Requires-Python: <3\n")
    assert "requires a different Python" in refused(good, tmp_path)
    renamed = good.rename(tmp_path / "robots.whl")
    assert "the custom environment robots.whl cannot be installed: " in refused(renamed, tmp_path)
