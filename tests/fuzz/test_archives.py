"""No archive, however odd, is anything but packages to import or a refusal; nothing is written beside its folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.packages.archive import TooLargeError, unpack
from gaitway.packages.choice import choose
from gaitway.packages.dependencies import find_missing, refusal
from gaitway.packages.excerpt import excerpt
from gaitway.packages.image import Image
from gaitway.packages.layout import lay_out
from gaitway.runner.inputs.custom_environment import DEPENDENCIES, DIRECTORY, install
from tests.fuzz.effort import examples

PYPROJECT = b'[project]\nname = "walkers"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n'
NAMES = st.sampled_from(
    [
        "walkers/__init__.py", "walkers/tasks.py", "source/walkers/walkers/__init__.py", "source/walkers/setup.py",
        "source/b/pyproject.toml", "source/b/b/__init__.py", "pyproject.toml", "setup.py", "setup.cfg",
        "requirements.txt",
        "config/extension.toml", "exts/x/config/extension.toml", "src/walkers/__init__.py", "walkers.py", "README.md",
        "../outside.py", "../../outside.py", "/tmp/outside.py", "C:\\outside.py", "source\\walkers\\__init__.py",
        "walkers\\..\\..\\outside.py", "deploy/run.py", "torch/__init__.py", "é/__init__.py", "e\u0301/__init__.py",
        "a b/__init__.py", "__MACOSX/._walkers", "walkers-1.0-py3-none-any.whl", ".git/HEAD",
        "x" * 200 + "/__init__.py",
        "walkers", "a/" * 60 + "b.py", "con.py", "walkers/__init__.py/again.py",
    ]
)  # fmt: skip
CONTENTS = st.sampled_from(
    [
        b"", b"import gymnasium\n", PYPROJECT, b"\xef\xbb\xbf" + PYPROJECT, b"[project\n", b"\xff\xfe\x00",
        b"\x00" * 100,
        b"from setuptools import setup\nsetup(name='walkers', packages=['walkers'])\n", b"raise SystemExit(3)\n",
        b'[project]\nname = "w"\nversion = "1"\ndependencies = ["no-such-thing>1", "@@"]\n',
        b"[metadata]\nname = walkers\n[options]\ninstall_requires =\n    torch<1\n",
        b"torch==0.1\n-r other.txt\n--hash\n",
        b'[package]\nversion = "1"\n[python.pipapi]\nrequirements = [3]\n', b"version https://git-lfs.github.com/spec/v1\n",
        b"[tool.setuptools.package-dir]\n'' = '../..'\n", b"[tool.poetry.dependencies]\npython = '>=9'\n",
    ]
)  # fmt: skip


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """Draw a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw(st.lists(NAMES, max_size=7, unique=True)):
            member = zipfile.ZipInfo(draw(st.sampled_from(["", "project/", "./"])) + name)
            # A link, a device, a file that nobody may read.
            member.external_attr = draw(st.sampled_from([0o100644, 0o120777, 0o020666, 0o100000, 0])) << 16
            archive.writestr(member, draw(CONTENTS))
    return stream.getvalue()


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """Draw a tar archive, compressed or not."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in draw(st.lists(NAMES, max_size=7)):
            member = tarfile.TarInfo(name)
            body = draw(CONTENTS)
            member.type = draw(
                st.sampled_from([tarfile.REGTYPE] * 4 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
            )
            member.linkname = draw(st.sampled_from(["walkers", "../../outside.py", "/etc/passwd", name]))
            member.size = len(body) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(body))
    data = stream.getvalue()
    return gzip.compress(data) if draw(st.booleans()) else data


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw an archive that is cut off, or has noise in it."""
    data = bytearray(draw(zips() | tars()))
    at = draw(st.integers(0, len(data)))
    if draw(st.booleans()):
        return bytes(data[:at])
    data[at : at + 4] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


SUFFIXES = st.sampled_from([".zip", ".ZIP", ".tar.gz", ".tgz", ".tar", ".whl", " (1).zip", ".7z", ""])


@examples(60)
@given(zips() | tars() | damaged() | st.binary(max_size=300), SUFFIXES)
def test_an_odd_archive_is_packages_or_a_refusal(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "a" / "b" / "run"
        run.mkdir(parents=True)
        archive = Path(temporary) / f"walkers{suffix}"
        archive.write_bytes(data)
        refused = ""
        try:
            assert install([archive], run).projects
        except CustomEnvironmentError as error:
            refused = str(error)
        assert len(refused) < 10_000
        folders = {run / DIRECTORY, run / DEPENDENCIES}
        outside = [
            path
            for path in Path(temporary).rglob("*")
            if path.is_file() and path != archive and folders.isdisjoint(path.parents)
        ]
        assert outside == []
        for path in (run / DIRECTORY).rglob("*"):
            assert path.resolve().is_relative_to(run.resolve())


def refusal_by_excerpt(data: bytes, suffix: str, directory: Path, *, is_near: bool) -> str:
    """Look at an archive as construct_run does, with this machine as the image; return why it is refused."""
    looked, target = directory / f"walkers{suffix}", directory / "packages"
    target.mkdir()
    try:
        excerpt(looked.name, io.BytesIO(data), looked, 1_000_000, is_near=is_near)
        projects = lay_out([looked], target, unpack)
        found = find_missing(projects, choose(projects, target, Image.here()), "", Image.here(), install=False)
    except CustomEnvironmentError as error:
        return str(error)
    except TooLargeError:
        return ""
    return str(refusal(found, Image.here())) if found.missing else ""


@examples(60)
@given(zips() | tars() | damaged(), SUFFIXES, st.booleans())
def test_construct_run_refuses_nothing_that_the_job_takes(data: bytes, suffix: str, is_near: bool) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        here, run = Path(temporary) / "here", Path(temporary) / "run"
        here.mkdir()
        run.mkdir()
        said = refusal_by_excerpt(data, suffix, here, is_near=is_near)
        archive = Path(temporary) / f"walkers{suffix}"
        archive.write_bytes(data)
        try:
            install([archive], run)
        except CustomEnvironmentError:
            return
        assert said == ""
