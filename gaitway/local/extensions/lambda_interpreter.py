"""What a Python function can import: its own code, its layers, the standard library, and the SDK of Lambda's runtime.

Without this, a function would find everything that is installed beside the emulator, and a package missing from its
layer would be noticed only on AWS. docs.aws.amazon.com/lambda/latest/dg/python-package.html
"""

import importlib.util
import shlex
import sys
from functools import cache
from pathlib import Path

from ministack.core import lambda_runtime

from gaitway.local.runtime import Runtime

_SDK = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""What the runtime brings: boto3, and what that needs."""


def _sdk(directory: Path) -> Path:
    """Make a directory in which nothing but the SDK is found."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in _SDK:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise ImportError(f"{name} is not installed: run `make setup`")
        origin = Path(found.origin)
        source = origin.parent if found.submodule_search_locations else origin
        link = directory / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    return directory


@cache
def register(runtime: Runtime) -> None:
    """Start functions with their own interpreter; a second call changes nothing."""
    directory = runtime.state_directory / "lambda"
    interpreter = directory / "python"
    sdk = _sdk(directory / "runtime")
    # Without the packages beside the emulator (-S). PYTHONPATH comes before the standard library, and code and layers,
    # which the worker itself adds, come before that.
    interpreter.write_text(
        "#!/bin/sh\n"
        f'PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}"{shlex.quote(str(sdk))} '
        f'exec {shlex.quote(sys.executable)} -S "$@"\n',
        encoding="utf-8",
    )
    interpreter.chmod(0o755)
    detect = lambda_runtime._detect_runtime_binary

    def detect_with_own_interpreter(name: str) -> tuple[str, str]:
        binary, script = detect(name)
        return (str(interpreter) if name.startswith("python") else binary), script

    lambda_runtime._detect_runtime_binary = detect_with_own_interpreter
