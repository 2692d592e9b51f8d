"""Install what the image lacks from a package index, for one run alone, and change nothing that the image has.

pip first decides what is needed: it sees each distribution of the image as installed, in the version that it has, and
without further dependencies, because images are put together in ways that pip would want to mend. Then exactly that is
installed into a directory of the run. Only wheels are taken: to build anything else is to run somebody's code here.

How pip reaches its index is the operator's choice: pip's own variables (PIP_INDEX_URL, PIP_FIND_LINKS, …), its
configuration files and the variables of proxies all count: pip.pypa.io/en/stable/topics/configuration/.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gaitway import formatting
from gaitway.contracts.errors import CustomEnvironmentError, GaitwayError, SimulationError, StorageError
from gaitway.contracts.limits import INSTALL_SECONDS
from gaitway.packages.archive import MAX_FILES
from gaitway.packages.image import Image, is_brought
from gaitway.runner.host.environment import without_credentials
from gaitway.runner.host.simulator_user import SimulatorUser, forbid_new_privileges, simulator_user
from gaitway.runner.host.storage import fullness
from gaitway.runner.known_failures import recognise

logger = logging.getLogger(__name__)

MAX_BYTES = 4 * 1024**3
"""For what is downloaded and what that is unpacked to, together."""
_POLL_SECONDS = 0.5
_MEASURE_SECONDS = 2.0
_OPTIONS = (
    "--disable-pip-version-check",
    "--no-input",
    "--no-color",
    "--progress-bar",
    "off",
    "--timeout",
    "15",
    "--retries",
    "2",
)
_NOT_HERE = frozenset({"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON"})
"""Variables of pip that would make it install elsewhere, or not at all."""
_UNREACHABLE = re.compile(
    r"Failed to establish a new connection|NewConnectionError|Temporary failure in name resolution|ProxyError"
    r"|Name or service not known|timed out|Connection (refused|reset|aborted)|SSLError|CERTIFICATE_VERIFY_FAILED"
    r"|HTTP error 5\d\d|HTTP error 429|5\d\d (Server|Client) Error|Max retries exceeded",
    re.IGNORECASE,
)
_DENIED = re.compile(r"HTTP error 40[13]|40[13] (Client )?Error|ERROR_FORBIDDEN", re.IGNORECASE)
_NO_MATCH = re.compile(r"No matching distribution found for (?P<what>[^\n]+)")
_CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies", re.IGNORECASE)
_VERSIONS = re.compile(r"\(from versions: (?P<versions>[^)]*)\)")


def install_missing(
    requirements: Sequence[Requirement], image: Image, target: Path, pause: Callable[[float], None]
) -> dict[str, str]:
    """Install requirements, and what they require in turn, as far as the image lacks it.

    Args:
        requirements: What the image lacks.
        image: What the image has, which stays as it is.
        target: Directory to install into; what is in it is removed.
        pause: Waits a number of seconds; may raise to end the installation.

    Returns:
        The versions of what was installed, by distribution.

    Raises:
        CustomEnvironmentError: The index does not have it, or it does not fit the image.
        SimulationError: The index cannot be reached.
        StorageError: A disk is full.
    """
    _refuse_builds(requirements)
    user = simulator_user(os.environ)
    with tempfile.TemporaryDirectory(prefix="pip-") as name:
        pip = _Pip(Path(name), user, pause)
        stubs, constraints = pip.directory / "image", pip.directory / "constraints.txt"
        pinned = _write_image(image, stubs)
        constraints.write_text("".join(f"{one}=={version}\n" for one, version in pinned.items()), encoding="utf-8")
        asked, report = pip.directory / "asked.txt", pip.directory / "report.json"
        asked.write_text("".join(f"{requirement}\n" for requirement in requirements), encoding="utf-8")
        pip.own()
        pip.run(
            ("--dry-run", "--report", str(report), "-c", str(constraints), "-r", str(asked)),
            {"PYTHONPATH": str(stubs)},
            pinned,
        )
        chosen = dict(_chosen(json.loads(report.read_text(encoding="utf-8"))["install"]))
        fitting = pip.directory / "chosen.txt"
        fitting.write_text("".join(line for _, line in chosen.values()), encoding="utf-8")
        site = pip.directory / "site"
        pip.run(("--no-deps", "--no-compile", "--target", str(site), "-r", str(fitting)), {}, pinned)
        _take(site, target)
    versions = {one: version for one, (version, _) in chosen.items()}
    logger.info("installed for this run: %s", ", ".join(f"{one} {version}" for one, version in versions.items()))
    return versions


def _refuse_builds(requirements: Iterable[Requirement]) -> None:
    built = [str(one) for one in requirements if one.url is not None and not one.url.partition("#")[0].endswith(".whl")]
    if built:
        raise CustomEnvironmentError(
            f"the custom environment needs what has to be built first: {', '.join(built)}. Allowed: wheels. "
            "Build one (pip wheel --no-deps), and put it into the same .zip as the package's own wheel"
        )


def _write_image(image: Image, directory: Path) -> dict[str, str]:
    """Describe the image's distributions to pip: as they are, but without what they require, except for extras.

    Returns:
        Their versions, by name.
    """
    pinned: dict[str, str] = {}
    for name, distribution in image.distributions.items():
        try:
            version = str(Version(distribution.version))
        except InvalidVersion:
            continue
        pinned[name] = version
        info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        extras = [f"Provides-Extra: {extra}\n" for extra in distribution.metadata.get_all("Provides-Extra") or ()]
        optional = [
            f"Requires-Dist: {line}\n" for line in distribution.requires or () if re.search(r";.*\bextra\b", line)
        ]
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{''.join(extras + optional)}", encoding="utf-8"
        )
        (info / "INSTALLER").write_text("gaitway\n", encoding="utf-8")
    return pinned


def _chosen(install: Iterable[Mapping[str, object]]) -> Iterable[tuple[str, tuple[str, str]]]:
    """Read pip's report: pip.pypa.io/en/stable/reference/installation-report/."""
    for item in install:
        metadata, source = item["metadata"], item["download_info"]
        assert isinstance(metadata, dict)
        assert isinstance(source, dict)
        name, version = str(metadata["name"]), str(metadata["version"])
        if is_brought(name):
            # A second one beside Isaac Sim's own would break it.
            continue
        yield (
            canonicalize_name(name),
            (version, f"{name} @ {source['url']}\n" if item.get("is_direct") else f"{name}=={version}\n"),
        )


class _Pip:
    """Runs pip as the simulator's user, within limits."""

    def __init__(self, directory: Path, user: SimulatorUser | None, pause: Callable[[float], None]) -> None:
        self.directory = directory
        self._user = user
        self._pause = pause
        self._until = time.monotonic() + INSTALL_SECONDS

    def own(self) -> None:
        """Let the simulator's user write here."""
        if self._user is not None:
            os.chown(self.directory, self._user.uid, self._user.uid)
            self.directory.chmod(0o700)

    def run(self, arguments: Sequence[str], variables: Mapping[str, str], pinned: Mapping[str, str]) -> None:
        """Run `pip install`.

        Raises:
            GaitwayError: Why it failed, in words.
        """
        command = (sys.executable, "-P", "-m", "pip", "install", *_OPTIONS, "--only-binary", ":all:", *arguments)
        environment = {
            name: value
            for name, value in without_credentials(os.environ).items()
            if name not in _NOT_HERE and name not in ("PYTHONPATH", "PYTHONHOME")
        }
        if self._user is not None:
            environment = self._user.environment(environment, self.directory)
            forbid_new_privileges()
        work = self.directory / "work"
        environment |= {"TMPDIR": str(work), "PIP_CACHE_DIR": str(self.directory / "cache")} | dict(variables)
        if not work.is_dir():
            work.mkdir(mode=0o777)
            work.chmod(0o1777)
        output = self.directory / "output.txt"
        with output.open("w+", encoding="utf-8", errors="replace") as file:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                user=self._user.uid if self._user else None,
                group=self._user.uid if self._user else None,
                extra_groups=() if self._user else None,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self._wait(process)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            raise _failure(output.read_text(encoding="utf-8", errors="replace"), pinned, self.directory)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        measured = time.monotonic()
        while True:
            try:
                process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            else:
                break
            self._pause(0)
            now = time.monotonic()
            if now > self._until:
                raise CustomEnvironmentError(
                    f"what the custom environment depends on took longer to install than "
                    f"{INSTALL_SECONDS // 60} minutes: deploy with an image that holds it (containerImageUri)"
                )
            if now - measured > _MEASURE_SECONDS:
                self._check_size()
                measured = now
        self._check_size()

    def _check_size(self) -> None:
        size = _size(self.directory)
        if size > MAX_BYTES:
            raise CustomEnvironmentError(
                f"what the custom environment depends on is too large to install for a run: "
                f"{formatting.size(size)} so far, allowed: {formatting.size(MAX_BYTES)}. Deploy with an image that "
                "holds it (containerImageUri)"
            )


def _size(directory: Path) -> int:
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - called often
            except OSError:
                continue
    return total


def _failure(said: str, pinned: Mapping[str, str], directory: Path) -> GaitwayError:
    """Say in words why pip failed."""
    known = recognise(said.splitlines())
    quoted = f"pip said: {' '.join(said.split())[-1500:]}"
    subject = "what the custom environment depends on cannot be installed"
    if known is not None and known.error is StorageError:
        return StorageError(f"{subject}: {known.explanation}. {fullness(directory)}. {quoted}")
    if _UNREACHABLE.search(said):
        return SimulationError(
            f"{subject}: the package index cannot be reached from this machine. Check its network's route to the "
            "internet, or give the image the address of an index or a proxy (PIP_INDEX_URL, HTTPS_PROXY). "
            f"{quoted}"
        )
    if _DENIED.search(said):
        return CustomEnvironmentError(f"{subject}: the package index refuses access. {quoted}")
    if _CONFLICT.search(said):
        held = [
            f"{name} {version}"
            for name, version in pinned.items()
            if re.search(rf"\b{re.escape(name)}=={re.escape(version)}", said)
        ]
        has = f" The image has {', '.join(held)}, which stays as it is." if held else ""
        return CustomEnvironmentError(
            f"{subject}: its requirements contradict each other, or what the image has.{has} Loosen them, or deploy "
            f"with another image (containerImageUri). {quoted}"
        )
    if match := _NO_MATCH.search(said):
        listed = _VERSIONS.search(said)
        versions = listed["versions"] if listed else "none"
        python = ".".join(map(str, sys.version_info[:2]))
        has = "has no wheel of it" if versions == "none" else f"has {versions[-300:]}"
        return CustomEnvironmentError(
            f"{subject}: the package index has nothing that matches {match['what'].strip()} for Python {python} "
            f"on this machine; it {has}. Check name and version, or put a wheel of it into the package's .zip"
        )
    return CustomEnvironmentError(f"{subject}. {quoted}")


def _take(site: Path, target: Path) -> None:
    """Move what was installed into the run's directory, which all its nodes can read."""
    count = sum(len(files) for _, _, files in os.walk(site))
    if count > MAX_FILES:
        raise CustomEnvironmentError(
            f"what the custom environment depends on has {count} files, allowed: {MAX_FILES}. Deploy with an "
            "image that holds it (containerImageUri)"
        )
    shutil.rmtree(target, ignore_errors=True)
    # Not by shutil.move, which keeps the owner: the simulator must not be able to change it.
    shutil.copytree(site, target, symlinks=True) if site.is_dir() else target.mkdir(parents=True)
