"""Isaac Lab 3 beside this environment: installed by `python -m gaitway.local.isaaclab3`, used by its simulator only.

Isaac Lab 3.0 with Newton needs no Isaac Sim and no GPU. Its packages lie in a directory of their own, which only
processes of the simulator isaaclab-3 have on their path: the tests' Isaac Lab 2.3.2, in `.venv/isaaclab`, has packages
of the same names. torch, gymnasium and the RL libraries are this environment's.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from gaitway.installation import REPOSITORY_ROOT, NotInstalledError

DIRECTORY = Path(sys.prefix) / "isaaclab3"
"""Where the packages are: on PYTHONPATH of the simulator's processes."""

ASSETS = Path(sys.prefix) / "isaaclab3-assets"
"""ISAACSIM_ASSET_ROOT of those processes: made from Newton's files, and what `gaitway assets pull` has added."""

KERNELS = Path(sys.prefix) / "isaaclab3-kernels"
"""WARP_CACHE_PATH of those processes: of all deployments of this machine, since each would compile for a minute."""

REQUIREMENTS = REPOSITORY_ROOT / "requirements-isaaclab3.txt"

_RECORD = "gaitway-installed.txt"
"""In the directory, written last: what was installed."""

_PLATFORM = "Isaac Lab 3 is installed on Linux x86-64 with Python 3.11 or 3.12"


def why_unsupported() -> str | None:
    """Say in a sentence why Isaac Lab 3 cannot be installed on this machine; None if it can.

    pypi.org/project/usd-exchange/3.0.1/#files and pypi.org/project/mujoco/3.12.0/#files list the wheels. Isaac Lab
    itself asks for Python 3.12; on 3.11 it was measured to train the same.
    """
    system, machine, python = platform.system(), platform.machine(), sys.version_info[:2]
    if (system, machine) != ("Linux", "x86_64"):
        return f"{_PLATFORM}; this machine is {system} {machine}"
    if python not in {(3, 11), (3, 12)}:
        return f"{_PLATFORM}; this is Python {python[0]}.{python[1]}"
    if platform.libc_ver()[0] != "glibc":
        return f"{_PLATFORM}, and with glibc, which this Linux does not have"
    return None


def why_missing() -> str | None:
    """Say in a sentence why the simulator isaaclab-3 does not run here; None if it does."""
    unsupported = why_unsupported()
    if unsupported:
        return unsupported
    if not (DIRECTORY / _RECORD).is_file() or not ASSETS.is_dir():
        return f"Isaac Lab 3 is not installed in {DIRECTORY}: run `make isaaclab3`"
    if not _is_current():
        return f"{DIRECTORY} holds other versions than {REQUIREMENTS.name} pins: run `make isaaclab3`"
    return None


def packages() -> Path:
    """Return the directory of Isaac Lab 3's packages.

    Raises:
        NotInstalledError: It is not installed; the message says why, and what to do.
    """
    missing = why_missing()
    if missing:
        raise NotInstalledError(missing)
    return DIRECTORY


def variables() -> dict[str, str]:
    """Return what processes of the simulator isaaclab-3 have in their environment: its packages, assets and kernels.

    Raises:
        NotInstalledError: It is not installed; the message says why, and what to do.
    """
    path = os.pathsep.join([str(packages()), str(REPOSITORY_ROOT)])
    return {"PYTHONPATH": path, "ISAACSIM_ASSET_ROOT": str(ASSETS), "WARP_CACHE_PATH": str(KERNELS)}


def install() -> None:
    """Install what the file of requirements pins, unless that is installed, and make the assets of the classic tasks.

    Half an installation is never found.

    Raises:
        NotInstalledError: This machine cannot have it.
        subprocess.CalledProcessError: pip failed, or Newton is another one; they have said why.
    """
    unsupported = why_unsupported()
    if unsupported:
        raise NotInstalledError(unsupported)
    if not _is_current():
        _install_packages()
    _make_assets()


def _install_packages() -> None:
    target = DIRECTORY.with_name(f".{DIRECTORY.name}-{os.getpid()}")
    # Nothing is resolved: Isaac Lab asks for a torch of its own, Python 3.12, and gigabytes that Newton does not need.
    # Nothing is compiled: 100 MB, of which a process imports a tenth.
    options = ("--quiet", "--no-deps", "--ignore-requires-python", "--no-compile", "--no-warn-script-location")
    try:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", target, "--requirement", REQUIREMENTS],
            check=True,
        )
        (target / _RECORD).write_text(_installed_from(), encoding="utf-8")
        if DIRECTORY.is_dir():
            shutil.rmtree(DIRECTORY)
        target.rename(DIRECTORY)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _make_assets() -> None:
    # By a process of the simulator's: Newton's files and USD are on its path only. A third of a second.
    made = [sys.executable, "-m", "gaitway.simulators.isaaclab3.assets.made", str(ASSETS)]
    path = os.pathsep.join([str(DIRECTORY), str(REPOSITORY_ROOT)])
    subprocess.run(made, check=True, env=os.environ | {"PYTHONPATH": path})


def _is_current() -> bool:
    record = DIRECTORY / _RECORD
    return record.is_file() and record.read_text(encoding="utf-8") == _installed_from()


def _installed_from() -> str:
    """Say which pins and which Python an installation is for."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return f"{REQUIREMENTS.name} {digest}, Python {sys.version_info[0]}.{sys.version_info[1]}\n"


if __name__ == "__main__":
    unsupported_here = why_unsupported()
    if unsupported_here:
        # Everything else works without it.
        sys.stdout.write(f"{unsupported_here}: the simulator isaaclab-3 is left out here\n")
    else:
        install()
