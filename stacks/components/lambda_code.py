"""The code of a Lambda function: our packages, and a layer with the libraries that they import.

pip builds the layer, without Docker, from wheels of the functions' own platform. It is in `build/lambda-layer/`, named
after its content, so that only the first synthesis waits for pip. It is the same in every checkout: synthesis in
another one causes no deployment.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from gaitway.settings import Settings
from gaitway.sources import FUNCTIONS

_ROOT = Path(__file__).parents[2]
_LIBRARIES = (
    "annotated-types",
    "aws-lambda-powertools",
    "aws-xray-sdk",
    "jinja2",
    "jmespath",
    "markupsafe",
    "packaging",
    "pydantic",
    "pydantic-core",
    "pyyaml",
    "typing-extensions",
    "typing-inspection",
    "wrapt",
)
"""What the functions import, with all that it needs in turn but boto3 and botocore: Lambda brings those."""
_LAMBDA_PLATFORM = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
_OF_THIS_INSTALLATION = ("bin", "*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED")
"""Files that pip writes for the machine that it runs on, below `python/`: scripts that begin with its interpreter's
path, and records for uninstalling. Functions need neither, and the layer's hash would depend on the checkout's path."""
_LAYOUT = "2"
"""Counted up where the same libraries are put together in another way."""
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)(\[[^\]]*\])?==(?P<version>\S+)", re.MULTILINE)


def function_code() -> lambda_.AssetCode:
    """Package the functions and what they share with the runner."""
    return lambda_.Code.from_asset(
        str(_ROOT),
        exclude=["*", *(f"!{path}" for path in FUNCTIONS), "**/__pycache__"],
        ignore_mode=cdk.IgnoreMode.DOCKER,
    )


def runtime(settings: Settings) -> lambda_.Runtime:
    """Choose the functions' Python."""
    version = settings.lambda_python if settings.lambda_python != "host" else sysconfig.get_python_version()
    return lambda_.Runtime(f"python{version}", lambda_.RuntimeFamily.PYTHON)


class LibraryLayer(lambda_.LayerVersion):
    """The layer with the libraries."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        directory = _build(settings)
        super().__init__(
            scope,
            construct_id,
            code=lambda_.Code.from_asset(str(directory)),
            compatible_runtimes=[runtime(settings)],
            compatible_architectures=None if settings.lambda_python == "host" else [lambda_.Architecture.X86_64],
            description="Libraries that Gaitway's functions import",
        )


def _build(settings: Settings) -> Path:
    """Build the layer unless it exists already; return its directory."""
    if settings.lambda_python == "host":
        target = []
        platform = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    else:
        target = ["--only-binary=:all:", "--python-version", settings.lambda_python]
        target += [argument for platform in _LAMBDA_PLATFORM for argument in ("--platform", platform)]
        platform = f"{_LAMBDA_PLATFORM[0]}-{settings.lambda_python}"
    requirements = _pinned()
    digest = hashlib.sha256("\n".join([_LAYOUT, platform, *requirements]).encode()).hexdigest()[:16]
    directory = _ROOT / "build" / "lambda-layer" / digest
    if directory.exists():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-compile"]
    draft = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f"{digest}."))
    try:
        subprocess.run(
            [*pip, *target, "--target", str(draft / "python"), *requirements],
            check=True,
            stdout=sys.stderr,
        )
        _leave_out(draft / "python")
        draft.rename(directory)
    except OSError:
        # Another synthesis at the same time was faster; what it built is the same.
        if not directory.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return directory


def _leave_out(libraries: Path) -> None:
    """Delete what differs from one machine to the next."""
    for pattern in _OF_THIS_INSTALLATION:
        for path in libraries.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _pinned() -> list[str]:
    """Look the libraries' versions up where the whole repository has them."""
    pins = {
        found["name"].lower(): found["version"]
        for name in ("constraints.txt", "requirements.txt")
        for found in _PIN.finditer((_ROOT / name).read_text(encoding="utf-8"))
    }
    return [f"{name}=={pins[name]}" for name in _LIBRARIES]
