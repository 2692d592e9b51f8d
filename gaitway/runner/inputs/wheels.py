"""Install a wheel with pip, under the name that its own metadata gives it."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from gaitway.contracts.errors import CustomEnvironmentError, StorageError
from gaitway.packages.archive import UNREADABLE, check
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
        named = Path(folder, _own_name(wheel))
        named.symlink_to(wheel.resolve())
        command = (sys.executable, "-m", "pip", *options, "install", *offline, str(named))
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS)
    if ended.returncode != 0:
        said = " ".join((ended.stderr or ended.stdout).replace(folder + os.sep, "").split())
        known = recognise([said])
        if known is not None and known.error is StorageError:
            raise StorageError(f"{known.explanation}. {fullness(target)}. pip, for {wheel.name}, said: {said}")
        raise CustomEnvironmentError(f"the custom environment {wheel.name} cannot be installed: {said}")


def _own_name(wheel: Path) -> str:
    """Name a wheel as its metadata does; a download adds "(1)", and a user a word.

    packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    try:
        with zipfile.ZipFile(wheel) as file:
            (info, *others) = [name for name in file.namelist() if re.fullmatch(r"[^/]+\.dist-info/WHEEL", name)]
            if others:
                raise _broken(wheel, f"it has several: {', '.join([info, *others])}")
            described = email.message_from_bytes(file.read(info))
            metadata = email.message_from_bytes(file.read(f"{info.partition('/')[0]}/METADATA"))
    except (*UNREADABLE, ValueError, KeyError) as error:
        raise _broken(wheel, str(error)) from error
    tags = [tag.split("-") for tag in described.get_all("Tag", []) if tag.count("-") == 2]
    name, version = metadata["Name"], metadata["Version"]
    if not (tags and name and version):
        raise _broken(wheel, "its name, version or tags are not in it")
    build = [described["Build"]] if described["Build"] else []
    tag = (".".join(dict.fromkeys(tag[part] for tag in tags)) for part in range(3))
    return "-".join([re.sub(r"[-_.]+", "_", name), version.replace("-", "_"), *build, *tag]) + ".whl"


def _broken(wheel: Path, reason: str) -> CustomEnvironmentError:
    return CustomEnvironmentError(
        f"the custom environment {wheel.name} is not a wheel: {reason}. Build it again with pip wheel, or "
        "send the project"
    )
