"""construct_run refuses a package that cannot work, by ranged reads of it, before a machine is paid for."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from typing import Any

import pytest

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.inputs import InputFile
from gaitway.contracts.workload import TrainingConfig
from gaitway.packages.image import PinnedImage
from lambdas.construct_run import inputs as limits
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.packages import check_packages, pinned_images
from tests.local.control_plane.world import World

PINS = "numpy==2.4.6\ntorch==2.13.0\npillow==13.0.0\n"
IMAGE = PinnedImage("isaaclab-3", PINS, "3.12")
CODE = "import gymnasium\ngymnasium.register(id='Robots-v0')\n"
PROJECT = "[project]\nname = 'robots'\nversion = '1'\n"
MESH = b"".join(hashlib.sha256(bytes([high, low])).digest() for high in range(5) for low in range(250))
"""Noise, which no archive makes smaller."""

Files = dict[str, str | bytes]


def zipped(files: Files) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: Files) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def wheel(metadata: str = "", tag: str = "py3-none-any", place: str = "", **others: str) -> Files:
    """Write a wheel of one package."""
    info = "robots-1.0.dist-info"
    files: Files = {
        f"{place}robots/__init__.py": CODE,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: robots\nVersion: 1.0\n{metadata}",
        f"{info}/RECORD": "",
    }
    for name, content in others.items():
        files[f"{info}/{name}"] = content
    return files


def check(
    world: World, *archives: tuple[str, bytes], images: tuple[PinnedImage, ...] = (IMAGE,), **fields: Any
) -> None:
    """Check packages as construct_run does once it has found them."""
    packages = {}
    for number, (name, content) in enumerate(archives):
        uri = world.put(f"envs/{number}/{name}", content)
        packages[f"customEnvironmentS3Uri[{number}]"] = InputFile(uri=uri, size=len(content))
    training = TrainingConfig.model_validate({"task": "Robots-v0", **fields})
    check_packages(packages, training, images, Inputs(world.s3))


def refused(world: World, *archives: tuple[str, bytes], **fields: Any) -> str:
    with pytest.raises(CustomEnvironmentError) as error:
        check(world, *archives, **fields)
    return str(error.value)


NEEDS = "open3d>=0.17"
SETUP = f"setup(name='robots', install_requires=['{NEEDS}'])"
EXTENSION = f"[python.pipapi]\nrequirements = ['{NEEDS}']"
WHEEL = zipped(wheel(f"Requires-Dist: {NEEDS}\n"))
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("r.zip", {"pyproject.toml": f"{PROJECT}dependencies = ['{NEEDS}']"}, "pyproject.toml"),
        ("r.whl", WHEEL, "robots-1.0.dist-info/METADATA"),
        ("robots-1.0-py3-none-any (1).whl", WHEEL, "robots-1.0.dist-info/METADATA"),
        ("r.tgz", {"a/source/r/robots/__init__.py": CODE, "a/source/r/setup.py": SETUP}, "a/source/r/setup.py"),
        ("r.zip", {"r\\robots\\__init__.py": CODE, "r\\requirements.txt": f"{NEEDS} # x"}, "r/requirements.txt"),
        ("r.zip", {"config/extension.toml": EXTENSION}, "config/extension.toml"),
        ("all.zip", {"wheels/robots-1.0-py3-none-any.whl": WHEEL}, "robots-1.0.dist-info/METADATA"),
    ],
)  # fmt: skip
def test_a_missing_dependency_is_named_with_its_place_and_the_cure(
    world: World, name: str, content: Files | bytes, where: str
) -> None:
    if not isinstance(content, bytes):
        pack = tarred if name.endswith(".tgz") else zipped
        content = pack(content if len(content) > 1 else {"robots/__init__.py": CODE, **content})
    archive = (name, content)
    message = refused(world, archive)
    assert f"depends on what is not in the image of isaaclab-3: {NEEDS}, declared in {where}. Give" in message
    assert "Give trainingConfig.installDependencies: true" in message
    assert "(wheels for Python 3.12)" in message

    check(world, archive, installDependencies="true")


@pytest.mark.parametrize(
    "lines",
    [
        "numpy>=1\ntorch\nPIL\nPillow\n",
        "open3d; sys_platform == 'win32'\n",
        "open3d; python_version < '3.12'\n",
        "isaaclab>=2\nisaaclab-tasks\nisaacsim[all]==5.1\nomni.client\n",
        "# open3d\n--extra-index-url https://example.org\n",
        "dataclasses\ntyping\nargparse>=1.4\nPathlib\n",
    ],
)
def test_what_the_image_has_is_no_reason(world: World, lines: str) -> None:
    check(world, ("r.zip", zipped({"robots/__init__.py": CODE, "requirements.txt": lines})))


@pytest.mark.parametrize(
    "script",
    [
        "from setuptools import setup\nsetup(install_requires=open('deps').read().split())\n",
        "setup(**metadata())\n",
        "print 'Python 2'\n",
    ],
)
def test_what_only_running_a_script_would_tell_is_left_to_the_job(world: World, script: str) -> None:
    check(world, ("r.zip", zipped({"robots/__init__.py": CODE, "setup.py": script, "deps": "open3d"})))


def test_packages_of_a_list_depend_on_one_another(world: World) -> None:
    first = zipped({"robots/__init__.py": CODE, "pyproject.toml": f"{PROJECT}dependencies = ['helpers']"})
    second = zipped({"helpers/__init__.py": "", "pyproject.toml": PROJECT.replace("robots", "helpers")})
    check(world, ("a.zip", first), ("b.zip", second))
    assert "isaaclab-3: helpers, declared in pyproject.toml" in refused(world, ("a.zip", first))


def test_an_image_that_is_not_known_is_left_to_the_job(world: World) -> None:
    archive = ("r.zip", zipped({"robots/__init__.py": CODE, "requirements.txt": "open3d"}))
    check(world, archive, images=())
    # One of two that may run it has it.
    check(world, archive, images=(IMAGE, PinnedImage("embedded", f"{PINS}open3d==0.19.0\n", "3.11")))


@pytest.mark.parametrize("is_missing", [True, False])
def test_of_a_large_zip_only_what_tells_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch, is_missing: bool
) -> None:
    monkeypatch.setattr(limits, "SMALL_PACKAGE_BYTES", 1_000)
    meshes: Files = {f"robots/meshes/{number}.stl": MESH for number in range(30)}
    project: Files = {"robots/__init__.py": CODE, "requirements.txt": "open3d" if is_missing else "torch"}
    content = zipped(meshes | project)
    read = []
    real = world.s3.get_object

    def counted(**request: str) -> object:
        first, _, last = request.get("Range", f"bytes=0-{len(content)}").removeprefix("bytes=").partition("-")
        read.append(int(last) - int(first) + 1)
        return real(**request)

    monkeypatch.setattr(world.s3, "get_object", counted)
    if is_missing:
        assert "isaaclab-3: open3d, declared in requirements.txt" in refused(world, ("r.zip", content))
    else:
        check(world, ("r.zip", content))
    assert sum(read) < len(content) / 3


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_much_to_read_is_left_to_the_job(world: World, monkeypatch: pytest.MonkeyPatch, pack: object) -> None:
    assert callable(pack)
    content = pack({"robots/__init__.py": CODE, "robots/data.py": "#" * 200_000, "requirements.txt": "open3d"})
    monkeypatch.setattr(limits, "EXCERPT_BYTES", 100_000)
    check(world, ("r.zip", content))


def test_a_tar_that_unpacks_to_gigabytes_is_not_unpacked(world: World) -> None:
    bomb = tarred({"robots/__init__.py": CODE, "zeros": bytes(64 * 1024**2)})
    assert len(bomb) < 100_000
    check(world, ("r.tar.gz", bomb))


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (("r.zip", zipped({"robots/__init__.py": CODE})[:-10]), "r.zip is refused: it cannot be read"),
        (("r.tgz", tarred({"robots/__init__.py": CODE, "m": MESH})[:-9_000]), "r.tgz is refused: it cannot be read"),
        (("r.whl", b"PK\x03\x04"), "r.whl is refused: it cannot be read"),
        (("r.zip", zipped({"../robots/__init__.py": CODE})), "would be outside of it"),
        (("r.zip", zipped({"notes.md": "nothing"})), "holds no Python package"),
        (("r.zip", zipped({"robots/__init__.py": CODE, "pyproject.toml": "[project"})), "cannot be read"),
        (("r.zip", zipped({"torch/__init__.py": ""})), "holds nothing that can be imported: torch"),
        (("r.zip", zipped({"robots/__init__.py": CODE, "robots/a.usd": POINTER})), "git lfs pull"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_here_too(world: World, archive: tuple[str, bytes], said: str) -> None:
    assert said in refused(world, archive)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("r.whl", wheel(place="robots-1.0.data/purelib/")),
        ("r.whl", wheel(place="robots-1.0.data/platlib/", tag="cp312-cp312-manylinux_2_28_x86_64")),
        ("r.whl", wheel(tag="cp38-abi3-manylinux2014_x86_64")),
        ("r.whl", wheel(tag="py2.py3-none-any", metadata="Requires-Python: >=3.10,!=3.12.1\n")),
        ("r.whl", wheel("Requires-Python: >=3.12.9\n")),
        ("r.whl", wheel("Requires-Python: no version\n")),
    ],
)
def test_a_wheel_that_pip_installs_is_no_reason(world: World, name: str, files: Files) -> None:
    check(world, (name, zipped(files)))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (wheel(tag="cp39-cp39-win_amd64"), "for cp39-cp39-win_amd64, and the image of isaaclab-3 has Python 3.12"),
        (wheel(tag="py3-none-macosx_11_0_arm64"), "on Linux x86-64. Build it for that, or send the project"),
        (wheel(tag="cp311-cp311-manylinux2014_x86_64"), "is built for cp311-cp311-"),
        (wheel("Requires-Python: >=3.13\n"), "requires Python >=3.13, and the image of isaaclab-3 has Python 3.12"),
        (wheel("Requires-Python: <3.11\n"), "requires Python <3.11"),
        (wheel(WHEEL="Wheel-Version: 9.0\nTag: py3-none-any\n"), "its Wheel-Version is 9.0, and pip reads 1.x"),
        (wheel(METADATA="Name: robots\nVersion: mine!\n"), "its version 'mine!' is not valid"),
        (wheel(METADATA="Name: robots\n"), "its name, version or tags are not in it"),
        ({name: text for name, text in wheel().items() if "RECORD" not in name}, "has no robots-1.0.dist-info/RECORD"),
        ({name: text for name, text in wheel().items() if "METADATA" not in name}, "no robots-1.0.dist-info/METADATA"),
    ],
)  # fmt: skip
def test_a_wheel_that_pip_would_refuse_is_refused_here_already(world: World, files: Files, said: str) -> None:
    archive = ("r.whl", zipped(files))
    message = refused(world, archive)
    assert "the custom environment r.whl" in message
    assert said in message
    # In a zip, too.
    assert said in refused(world, ("all.zip", zipped({"wheels/r.whl": archive[1]})))


def test_where_the_image_is_not_known_the_job_says_whether_a_wheel_fits(world: World) -> None:
    check(world, ("r.whl", zipped(wheel(tag="cp311-cp311-manylinux2014_x86_64"))), images=())


def test_odd_names_and_entries_are_no_reason(world: World) -> None:
    content: Files = {"./": "", "./robots/__init__.py": CODE, "robots/ü\udcff.txt": "", "n" * 200: ""}
    check(world, (f"{'n' * 250}.tgz", tarred(content)))
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("robots/__init__.py", "")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("robots/__init__.py", CODE)
    check(world, ("r.zip", twice.getvalue()))


def test_the_images_of_a_deployment_are_known_by_their_pins() -> None:
    images = pinned_images(("isaaclab-3", "isaaclab-2", "embedded"))
    assert list(images) == ["isaaclab-3", "embedded"]
    assert all(image.version_of("torch") for image in images.values())
