"""What is uploaded for the functions and for the image is the same wherever the checkout lies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.templates import ROOT

pytestmark = pytest.mark.slow

_SYNTHESISE = """
import json, pathlib, sys
import aws_cdk as cdk
import stacks
from gaitway.settings import Settings
from stacks.components.image_build import ImageBuild

assert pathlib.Path(stacks.__file__).is_relative_to(pathlib.Path.cwd()), stacks.__file__
app = cdk.App(outdir="cdk.out")
stack = cdk.Stack(app, "Code")
ImageBuild(stack, "ImageBuild", Settings(acceptNvidiaEula=True))
app.synth()
files = json.loads(pathlib.Path("cdk.out/Code.assets.json").read_text())["files"]
print(json.dumps({key: file["displayName"] for key, file in files.items() if file["source"]["packaging"] == "zip"}))
"""
"""Prints the assets of the functions' code, their libraries and the image's sources: hash and name."""


def checkout(directory: Path) -> Path:
    """Check the working tree out anew, with an interpreter of its own, as `make setup` makes one."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith(("stacks/", "gaitway/", "lambdas/", "container/")) or "/" not in name:
            source, target = ROOT / name, directory / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", directory / ".venv"], check=True
    )
    (packages,) = (directory / ".venv").glob("lib/python*/site-packages")
    ours = [path for path in map(Path, sys.path) if path.name == "site-packages"]
    (packages / "shared.pth").write_text("\n".join(map(str, ours)), encoding="utf-8")
    return directory


def assets(directory: Path) -> dict[str, str]:
    """Synthesise in a checkout, where nothing has been built before."""
    done = subprocess.run(
        [directory / ".venv" / "bin" / "python", "-c", _SYNTHESISE],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    printed: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return {name: key for key, name in printed.items()}


def layer(directory: Path) -> dict[str, bytes]:
    """Read every file of the layer that a checkout has built."""
    (root,) = (directory / "build" / "lambda-layer").iterdir()
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Built:
    """What one checkout has made."""

    assets: dict[str, str]
    layer: dict[str, bytes]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Built]:
    """Build in two checkouts, at paths of different lengths."""
    one, other = (checkout(tmp_path_factory.mktemp(name) / "gaitway") for name in ("here", "somewhere-else"))
    return Built(assets(one), layer(one)), Built(assets(other), layer(other))


def test_two_checkouts_upload_the_same(built: tuple[Built, Built]) -> None:
    one, other = built
    names = one.layer.keys() | other.layer.keys()
    assert {name for name in names if one.layer.get(name) != other.layer.get(name)} == set()
    assert len(one.assets) == 3
    assert one.assets == other.assets


def test_a_layer_has_its_libraries_and_no_scripts(built: tuple[Built, Built]) -> None:
    files = built[0].layer
    assert "python/pydantic/__init__.py" in files
    assert any(name.endswith(".dist-info/METADATA") for name in files)
    assert not [name for name in files if name.startswith("python/bin/")]
