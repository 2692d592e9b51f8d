"""Deploy our stacks to the emulator with the real CDK command line."""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.names import DEFAULT_NAMES, Names
from gaitway.sources import STACKS
from gaitway.version import digest_of

Progress = Callable[[str], None]

CONFIG_FILE = Path(__file__).with_name("config.json")
"""The settings of the embedded deployment; stacks and state machines are the same as in an account."""

_ASSEMBLIES = REPOSITORY_ROOT / "build" / "embedded-assemblies"

_KEPT_ASSEMBLIES = 8

_EVENT = re.compile(r"^(?P<stack>[\w-]+) \|\s*(?P<done>\d+)/(?P<total>\d+) \|")


_LINES_SHOWN = 40

_FAILED = "_FAILED "
"""In a line about a resource or a stack: CREATE_FAILED, UPDATE_FAILED, DELETE_FAILED."""


class DeployError(Exception):
    """The CDK command line failed; the message holds what failed, and the end of the output."""


class CdkDeployer:
    """The CDK command line of this repository.

    Args:
        work_directory: Directory of the log.
        names: Of the deployment.
        context: Settings that override those of the embedded deployment, as passed to the command line.
    """

    def __init__(
        self, work_directory: Path, names: Names = DEFAULT_NAMES, context: Mapping[str, str] | None = None
    ) -> None:
        self._work_directory = work_directory
        settings = {
            "configFile": str(CONFIG_FILE.relative_to(REPOSITORY_ROOT)),
            "deploymentName": names.deployment,
        }
        self.context = settings | dict(context or {})

    def digest(self) -> str:
        """Return the digest of a deployment's sources: two equal digests mean that nothing has changed."""
        sources = (*STACKS, str(CONFIG_FILE.relative_to(REPOSITORY_ROOT)))
        made_of = (sys.version, digest_of(sources), *(f"{name}={value}" for name, value in self.context.items()))
        return hashlib.sha256("".join(made_of).encode()).hexdigest()

    def deploy(self, environment: Mapping[str, str], progress: Progress) -> None:
        """Bootstrap the emulator's account, and deploy all stacks.

        Args:
            environment: Variables with which an AWS client reaches the emulator.
            progress: Called with what is being done.

        Raises:
            DeployError: One of the commands failed.
        """
        assembly = self.assembly(environment, progress)
        self.bootstrap(environment, progress)
        self.deploy_assembly(assembly, ["--all"], environment, progress)

    def bootstrap(self, environment: Mapping[str, str], progress: Progress) -> None:
        """Make what the CDK needs in an account.

        Raises:
            DeployError: The command failed.
        """
        progress("bootstrapping the CDK")
        # In a directory without cdk.json, so that the app is not synthesised just for this.
        self._run(["bootstrap", f"aws://{ACCOUNT_ID}/{REGION}"], self._work_directory, environment, progress)

    def deploy_assembly(
        self, assembly: Path, stacks: Sequence[str], environment: Mapping[str, str], progress: Progress
    ) -> None:
        """Deploy stacks that have been synthesised, in an account that is bootstrapped.

        Args:
            assembly: The cloud assembly.
            stacks: Which of its stacks, as arguments of `cdk deploy`.
            environment: Variables with which an AWS client reaches the emulator.
            progress: Called with what is being done.

        Raises:
            DeployError: The command failed.
        """
        progress("deploying")
        command = [
            "deploy", *stacks,
            "--app", str(assembly),
            "--require-approval", "never",
            # No change set, because nobody would review it.
            "--method", "direct",
            "--progress", "events",
        ]  # fmt: skip
        self._run(command, self._work_directory, environment, progress)

    def assembly(self, environment: Mapping[str, str], progress: Progress) -> Path:
        """Return the cloud assembly of the present sources.

        Synthesising takes most of a deployment's time and depends only on the sources, so emulators share the result.
        """
        assembly = _ASSEMBLIES / self.digest()
        if assembly.exists():
            return assembly
        _ASSEMBLIES.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=_ASSEMBLIES, prefix=".draft-"))
        try:
            self.synthesise(REPOSITORY_ROOT, draft, environment, progress)
            # Fails where another process was faster, and what that one made is the same.
            with contextlib.suppress(OSError):
                draft.rename(assembly)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _forget_old_assemblies()
        return assembly

    def synthesise(self, checkout: Path, output: Path, environment: Mapping[str, str], progress: Progress) -> None:
        """Write the cloud assembly of a checkout of this repository.

        Raises:
            DeployError: The command failed.
        """
        progress("synthesising the stacks")
        command = [
            "synth", "--quiet",
            "--app", f"{shlex.quote(sys.executable)} app.py",
            "--output", str(output),
            *(part for name, value in self.context.items() for part in ("--context", f"{name}={value}")),
        ]  # fmt: skip
        self._run(command, checkout, environment, progress)

    def _run(self, command: list[str], directory: Path, environment: Mapping[str, str], progress: Progress) -> None:
        cdk = REPOSITORY_ROOT / "node_modules" / ".bin" / "cdk"
        if not cdk.exists():
            raise DeployError("the CDK command line is not installed: run `make setup`")
        self._work_directory.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        arguments = [str(cdk), *command, "--no-notices", "--no-color", "--ci"]
        with (
            (self._work_directory / "cdk.log").open("a", encoding="utf-8") as log,
            _process_group(arguments, directory, _clean(os.environ) | dict(environment)) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                lines.append(line)
                if event := _EVENT.match(line):
                    progress(f"deploying {event['stack']} ({event['done']} of {event['total']} resources)")
            if process.wait() != 0:
                raise DeployError(f"`cdk {command[0]}` failed:\n{''.join(_what_tells_why(lines))}")


def _what_tells_why(lines: Sequence[str]) -> list[str]:
    """Choose the end of the output, and above it what failed: a long rollback follows that, or comes before it."""
    end = len(lines) - _LINES_SHOWN
    return [line for at, line in enumerate(lines) if at >= end or _FAILED in line]


def _forget_old_assemblies() -> None:
    by_age = sorted(_ASSEMBLIES.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for assembly in by_age[:-_KEPT_ASSEMBLIES]:
        shutil.rmtree(assembly, ignore_errors=True)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out a developer's own credentials and endpoints, and turn off the CDK's telemetry."""
    kept = {name: value for name, value in environment.items() if not name.startswith(("AWS_", "CDK_"))}
    return kept | {"CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_DISABLE_VERSION_CHECK": "true"}


@contextlib.contextmanager
def _process_group(
    arguments: list[str], directory: Path, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    """Run a command, and leave neither it nor anything that it started behind, whatever happens."""
    process = subprocess.Popen(
        arguments,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _kill_tree(process.pid)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def _kill_tree(process_id: int) -> None:
    tree: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(process_id)
        tree = [*root.children(recursive=True), root]
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()
    # Processes whose parent has ended are no longer in the tree, but still in the group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)
