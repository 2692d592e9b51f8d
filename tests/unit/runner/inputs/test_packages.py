"""What packages are taken, and which are refused: lists of them, wheels in a zip, archives from Windows, Git LFS."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.packages import Format, package_format
from gaitway.contracts.simulation import CustomEnvironment
from gaitway.runner.inputs.custom_environment import install
from tests.unit.runner.inputs.test_custom_environment import tarred, zipped

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
BROKEN = "import unitree_sdk2py\n"


def registers(task: str) -> str:
    return f"import gymnasium\ngymnasium.register(id={task!r}, entry_point='none:None')\n"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of two projects, built by setuptools: the task in one needs the other."""
    directory = tmp_path_factory.mktemp("wheels")
    for name, code in (("robots_base", "GAIN = 1\n"), ("robots", f"import robots_base\n{registers('My-Task-v0')}")):
        project = directory / "source" / name
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text(code)
        (project / "pyproject.toml").write_text(
            f"[project]\nname = '{name}'\nversion = '1.0'\n[build-system]\nrequires = ['setuptools']\n"
            "build-backend = 'setuptools.build_meta'\n"
        )
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
        command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(directory), str(project)]
        subprocess.run(command, check=True)
    return directory


BASE, ROBOTS = "robots_base-1.0-py3-none-any.whl", "robots-1.0-py3-none-any.whl"


def modules(environment: CustomEnvironment) -> list[str]:
    return [module for project in environment.projects for module in project.modules]


def refused(*archives: Path, directory: Path) -> str:
    with pytest.raises(CustomEnvironmentError) as error:
        install(archives, directory)
    return str(error.value)


def simulated(environment: CustomEnvironment, task: str, then: str = "") -> subprocess.CompletedProcess[str]:
    """Import an environment in a process, as a simulator does."""
    script = (
        "import sys\n"
        "from gaitway.contracts.simulation import CustomEnvironment\n"
        "from gaitway.simulators.common.custom_environment import *\n"
        "custom = CustomEnvironment.model_validate_json(sys.argv[1])\n"
        "make_importable(custom)\n"
        "imported = import_custom_environment(custom, sys.argv[2])\n"
        "print(unknown_task(sys.argv[2], ['Isaac-Ant-v0'], 'Isaac Lab', imported))\n"
    )
    command = [sys.executable, "-c", script + then, environment.model_dump_json(), task]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_several_packages_are_installed_side_by_side(wheels: Path, tmp_path: Path) -> None:
    environment = install([wheels / ROBOTS, wheels / BASE], tmp_path)

    assert sorted(modules(environment)) == ["robots", "robots_base"]
    ended = simulated(environment, "My-Task-v0", "import gymnasium; print('My-Task-v0' in gymnasium.registry)")
    assert ended.stdout.splitlines()[-1] == "True", ended.stderr


@pytest.mark.parametrize("folder", ["", "wheelhouse/", "project/dist/"])
def test_wheels_in_a_zip_are_installed(wheels: Path, tmp_path: Path, folder: str) -> None:
    archive = tmp_path / "packages.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in (ROBOTS, BASE):
            file.write(wheels / name, folder + name)
    assert sorted(modules(install([archive], tmp_path))) == ["robots", "robots_base"]


def test_wheels_left_over_from_a_build_do_not_stand_in_for_the_project_beside_them(
    wheels: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "project.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(wheels / ROBOTS, f"p/dist/{ROBOTS}")
        file.write(wheels / BASE, f"p/wheels/{BASE}")
        file.writestr("p/robots/__init__.py", registers("Newer-v0"))
    environment = install([archive], tmp_path)
    assert sorted(modules(environment)) == ["robots", "robots_base"]
    assert all(
        "_1_0_" not in str(project.import_root) for project in environment.projects if project.name != "robots_base"
    )


@pytest.mark.parametrize(
    "name",
    ["robots-1.0-py3-none-any (1).whl", "my robots.whl", "robots.zip", "Robots.WHL", "robots-1.0-py3-none-any.whl.zip"],
)
def test_a_wheel_is_known_by_its_content(wheels: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(wheels / BASE, tmp_path / name)
    environment = install([tmp_path / name], tmp_path)
    assert modules(environment) == ["robots_base"]
    assert list(environment.path.glob("*/*.dist-info"))


@pytest.mark.parametrize("name", ["robots.tgz", "robots.TAR.GZ", "robots.zip", "robots (2).tar.gz"])
def test_a_gzipped_tar_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    archive = tarred(tmp_path / name, {"p/robots/__init__.py": ""})
    assert modules(install([archive], tmp_path)) == ["robots"]


@pytest.mark.parametrize("name", ["robots.zip", "robots.ZIP", "robots.tar.gz"])
def test_a_zip_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / name, {"p/robots/__init__.py": ""})
    assert modules(install([archive], tmp_path)) == ["robots"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_backslashes_of_windows_are_slashes(tmp_path: Path, make: Callable[[Path, dict[str, str]], Path]) -> None:
    files = {"p\\source\\robots\\": "", "p\\source\\robots\\robots\\__init__.py": "", "p\\source\\robots\\setup.py": ""}
    if make is tarred:
        del files["p\\source\\robots\\"]
    environment = install([make(tmp_path / "windows.zip", files)], tmp_path)
    assert modules(environment) == ["robots"]
    assert environment.projects[0].import_root == environment.path / "windows" / "p" / "source" / "robots"


@pytest.mark.parametrize("name", ["robot.usd", "robots/policy.pt", "assets/meshes/link.stl"])
def test_pointers_of_git_lfs_are_refused(wheels: Path, tmp_path: Path, name: str) -> None:
    cure = "pointers of Git LFS instead of files: run git lfs pull before packing"
    files = {"robots/__init__.py": "", name: LFS_POINTER}
    for archive in (zipped(tmp_path / "robots.zip", files), tarred(tmp_path / "robots.tar.gz", files)):
        message = refused(archive, directory=tmp_path)
        assert f"{name} in it are {cure}" in message
    wheel = Path(shutil.copy(wheels / ROBOTS, tmp_path / ROBOTS))
    with zipfile.ZipFile(wheel, "a") as file:
        file.writestr(name, LFS_POINTER)
    assert cure in refused(wheel, directory=tmp_path)


def test_many_pointers_are_counted_and_those_of_pages_do_not_matter(tmp_path: Path) -> None:
    pages = {f"docs/{number}.png": LFS_POINTER for number in range(5)} | {".github/a.png": LFS_POINTER}
    assert modules(install([zipped(tmp_path / "robots.zip", pages | {"robots/__init__.py": ""})], tmp_path)) == [
        "robots"
    ]
    many = {f"robots/{number}.usd": LFS_POINTER for number in range(5)}
    message = refused(zipped(tmp_path / "robots.zip", many | {"robots/__init__.py": ""}), directory=tmp_path)
    assert "robots/0.usd, robots/1.usd, robots/2.usd and 2 more in it are pointers" in message


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"a/robots/__init__.py": "", "b/robots/__init__.py": ""}, "a, b"),
        ({"source/a/setup.py": "", "source/a/robots/__init__.py": "", "source/b/setup.py": "",
          "source/b/robots/__init__.py": ""}, "source/a, source/b"),
        ({"v1/pyproject.toml": "", "v1/robots/__init__.py": "", "v2/pyproject.toml": "", "v2/robots/__init__.py": ""},
         "v1, v2"),
    ],
)  # fmt: skip
def test_the_same_project_twice_is_refused(tmp_path: Path, files: dict[str, str], names: str) -> None:
    message = refused(zipped(tmp_path / "robots.zip", files), directory=tmp_path)
    assert f"holds robots in several folders ({names}): leave out all but one of them" in message


def test_the_same_package_twice_is_refused(tmp_path: Path, wheels: Path) -> None:
    again = Path(shutil.copy(wheels / ROBOTS, tmp_path / "again.whl"))
    assert "holds robots in several folders" in refused(wheels / ROBOTS, again, directory=tmp_path)


def test_a_folder_that_two_projects_have_is_taken_from_the_first(tmp_path: Path) -> None:
    files = {f"source/{name}/{file}": "" for name in "ab" for file in ("setup.py", "utils/__init__.py")}
    files |= {"source/a/a/__init__.py": "", "source/b/b/__init__.py": ""}
    environment = install([zipped(tmp_path / "robots.zip", files)], tmp_path)
    assert modules(environment) == ["a", "utils", "b"]
    assert environment.passed_over == ("utils of source/b, which source/a has too",)


REPLACING = {
    "pyproject.toml": "[project.entry-points.'gaitway.replaces']\nlibrary = 'colorsys_of_ours'\nyaml = 'yaml'\n",
    "setup.cfg": "[options.entry_points]\ngaitway.replaces =\n    yaml = yaml\n",
    "setup.py": "setup(entry_points={'gaitway.replaces': ['yaml = yaml']})\n",
}


@pytest.mark.parametrize("file", REPLACING)
def test_a_package_hides_a_library_of_the_image_only_if_it_says_so(tmp_path: Path, file: str) -> None:
    files = {"p/yaml/__init__.py": "MINE = True\n", "p/robots/__init__.py": "import yaml\n" + registers("My-v0")}
    then = "import yaml; print(hasattr(yaml, 'MINE'))"
    for says_so, metadata in ((True, {f"p/{file}": REPLACING[file]}), (False, {})):
        directory = tmp_path / str(says_so)
        directory.mkdir()
        environment = install([zipped(directory / "robots.zip", files | metadata)], directory)
        ended = simulated(environment, "My-v0", then)
        assert ended.stdout.splitlines()[-1] == str(says_so), ended.stderr
        assert environment.passed_over == (() if says_so else ("yaml of p, which the image has",))


def test_a_library_that_is_in_use_cannot_be_replaced(tmp_path: Path) -> None:
    files = {"setup.cfg": "[options.entry_points]\ngaitway.replaces =\n    p = pydantic\n", "pydantic/__init__.py": ""}
    ended = simulated(install([zipped(tmp_path / "robots.zip", files)], tmp_path), "My-v0")
    assert (
        "RequestError: the custom environment's robots replaces pydantic, which the simulator itself uses"
        in ended.stderr
    )


def test_what_is_all_in_the_image_is_refused_unless_it_names_its_tasks(tmp_path: Path) -> None:
    files = {"rsl_rl/setup.py": "setup(name='rsl-rl-lib')", "rsl_rl/rsl_rl/__init__.py": ""}
    message = refused(zipped(tmp_path / "fork.zip", files), directory=tmp_path)
    assert "holds nothing that can be imported: rsl_rl of rsl_rl, which the image has" in message
    assert "'gaitway.replaces'" in message
    named = files | {"rsl_rl/setup.cfg": "[options.entry_points]\ngaitway.tasks =\n    mine = rsl_rl.tasks\n"}
    environment = install([zipped(tmp_path / "fork.zip", named)], tmp_path)
    assert (modules(environment), environment.projects[0].replaces) == (["rsl_rl.tasks"], ("rsl_rl",))


def test_a_task_that_is_missing_is_told_with_all_that_was_imported(tmp_path: Path) -> None:
    files = {
        "source/a/setup.py": "", "source/a/a/__init__.py": registers("A-v0"),
        "source/b/setup.py": "", "source/b/b/__init__.py": BROKEN,
        "source/torch/setup.py": "", "source/torch/torch/__init__.py": "",
    }  # fmt: skip
    ended = simulated(install([zipped(tmp_path / "robots.zip", files)], tmp_path), "B-v0")

    told = ended.stdout
    assert "trainingConfig.task is 'B-v0', which Isaac Lab does not have" in told, ended.stderr
    assert "a was imported and registered A-v0" in told
    assert "b could not be imported (ModuleNotFoundError: No module named 'unitree_sdk2py', robots/source/b/b/" in told
    assert "passed over: torch of source/torch, which the image has" in told


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (BROKEN, "ModuleNotFoundError: No module named 'unitree_sdk2py'"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(0)\n", "ImportError: robots ended the process when it was imported: it is a program"),
    ],
)
def test_if_nothing_is_registered_the_first_error_is_raised(tmp_path: Path, code: str, said: str) -> None:
    ended = simulated(install([zipped(tmp_path / "p.zip", {"robots/__init__.py": code})], tmp_path), "My-v0")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(said)
    assert f'File "{tmp_path}/custom_environment/p/robots/__init__.py", line 1' in ended.stderr


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("a.zip", b"", "it is empty"),
        ("a.whl", LFS_POINTER.encode(), "run git lfs pull"),
        ("a.tar.gz", b"<!DOCTYPE html>", "a page in HTML"),
        ("a.zip", b"7z\xbc\xaf\x27\x1c\0", "a 7-Zip archive"),
        ("a.zip", b"Rar!\x1a\x07\x01", "a RAR archive"),
        ("a.tar.gz", b"\xfd7zXZ\0", "compressed with xz"),
        ("a.tar.gz", b"BZh91AY", "compressed with bzip2"),
        ("a.tar.gz", b"robots/".ljust(257, b"\0") + b"ustar\x0000", "not compressed"),
        ("a.whl", b"\x1f\x8b\x08", "a wheel is a .zip"),
        ("a.zip", b"\xef\xbb\xbf\r\n <html>", "a page in HTML"),
        ("a.zip", b"import gymnasium\nx = 1", "a text file (it begins with 'import gymnasium')"),
        ("a.whl", b'{"message": "Not Found"}', "a text file"),
        ("a.zip", b"\x7fELF\x02", "it begins like none of them"),
    ],
)
def test_what_is_no_package_is_told_by_its_first_bytes(name: str, head: bytes, said: str) -> None:
    found = package_format(name, head)
    assert isinstance(found, str)
    assert said in found


def test_the_first_bytes_of_real_archives_tell_their_format(tmp_path: Path, wheels: Path) -> None:
    gzipped = tarred(tmp_path / "a.tgz", {"a.py": ""})
    assert package_format("a.tgz", gzipped.read_bytes()) is Format.TAR_GZ
    for archive in (wheels / ROBOTS, zipped(tmp_path / "a.zip", {"a.py": ""})):
        assert package_format(archive.name, archive.read_bytes()) is Format.ZIP


def test_another_list_of_packages_is_installed_anew(tmp_path: Path) -> None:
    first, second = (zipped(tmp_path / f"{name}.zip", {f"{name}/__init__.py": ""}) for name in ("first", "second"))
    both = install([first, second], tmp_path)
    assert modules(both) == ["first", "second"]
    assert install([first, second], tmp_path) == both
    assert modules(install([second], tmp_path)) == ["second"]


def test_projects_of_one_name_in_two_packages_are_told_apart(tmp_path: Path) -> None:
    archives = [
        zipped(tmp_path / f"{name}.zip", {"p/setup.py": "", f"p/{name}/__init__.py": ""})
        for name in ("first", "second")
    ]
    environment = install(archives, tmp_path)
    assert [(one.name, one.modules) for one in environment.projects] == [
        ("first/p", ("first",)),
        ("second/p", ("second",)),
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["my-robots/__init__.py"], "Python cannot import my-robots by this name, allowed: letters, digits and _"),
        (["repo/3d_walk/__init__.py", "repo/README.md"], "cannot import repo/3d_walk by this name"),
        (["my-robots.py", "a b/c.d.py"], "cannot import my-robots.py, a b/c.d.py by this name"),
        (["notes.md"], "allowed are a wheel"),
    ],
)
def test_code_that_cannot_be_imported_by_its_name_is_named(tmp_path: Path, names: list[str], said: str) -> None:
    archive = zipped(tmp_path / "a.zip", dict.fromkeys(names, "GAIN = 1\n"))
    assert said in refused(archive, directory=tmp_path)


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("folders", [["d"] * 1_500, ["d" * 200] * 40, ["d"] * 65])
def test_a_path_that_is_too_long_to_unpack_is_refused(
    tmp_path: Path, make: Callable[[Path, dict[str, str]], Path], folders: list[str]
) -> None:
    archive = make(tmp_path / "a.zip", {"/".join([*folders, "__init__.py"]): ""})
    assert "too long a path, allowed: 64 folders in each other, and 1024 bytes" in refused(archive, directory=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project]\nname = 3\n", "project.name is 3, allowed: a text"),
        ("project = [1]\n", "project is [1], allowed: a table"),
        ("[project]\ndependencies = 'numpy'\n", "project.dependencies is 'numpy', allowed: a list of texts"),
        ("[project.entry-points]\nmine = 'robots'\n", "project.entry-points.mine is 'robots', allowed: a table"),
    ],
)
def test_a_project_file_of_the_wrong_types_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    message = refused(zipped(tmp_path / "a.zip", {"r/__init__.py": "", "pyproject.toml": text}), directory=tmp_path)
    assert message.endswith(f"a/pyproject.toml that cannot be read: {said}")


def test_an_archive_with_nothing_in_it_is_named_as_such(tmp_path: Path) -> None:
    assert "a.tgz is refused: it is an empty archive" in refused(tarred(tmp_path / "a.tgz", {}), directory=tmp_path)


def test_a_compression_that_python_does_not_know_is_named_with_its_cure(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"robots/__init__.py": "GAIN = 1\n"})
    data = bytearray(archive.read_bytes())
    for header, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = data.index(header) + offset
        data[place : place + 2] = (9).to_bytes(2, "little")  # Deflate64
    archive.write_bytes(data)
    assert "pack it again, as a .zip with Deflate" in refused(archive, directory=tmp_path)
