"""Install a wheel with pip, under the name that its own metadata gives it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gaitway.contracts.errors import CustomEnvironmentError, StorageError
from gaitway.packages.archive import check
from gaitway.packages.wheels import read_wheel
from gaitway.runner.host.storage import fullness
from gaitway.runner.known_failures import recognise

_PIP_SECONDS = 300


def install_wheel(wheel: Path, target: Path) -> None:
    """Install a wheel without its dependencies.

    Raises:
        CustomEnvironmentError: It is refused, or pip cannot install it.
        StorageError: The disk is full.
    """
    check(wheel)
    # Isolated: neither variables nor files of this machine change what pip does.
    options = ("--isolated", "--disable-pip-version-check", "--no-input", "--quiet", "--no-cache-dir")
    offline = ("--no-index", "--no-deps", "--no-compile", "--target", str(target))
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, read_wheel(wheel).file_name)
        named.symlink_to(wheel.resolve())
        command = (sys.executable, "-m", "pip", *options, "install", *offline, str(named))
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS)
    if ended.returncode != 0:
        said = " ".join((ended.stderr or ended.stdout).replace(folder + os.sep, "").split())
        known = recognise([said])
        if known is not None and known.error is StorageError:
            raise StorageError(f"{known.explanation}. {fullness(target)}. pip, for {wheel.name}, said: {said}")
        raise CustomEnvironmentError(f"the custom environment {wheel.name} cannot be installed: {said}")
