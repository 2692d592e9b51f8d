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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from gaitway.local.runtime import ACCOUNT_ID, REGION, REPOSITORY_ROOT
from gaitway.version import STACK_SOURCES, digest_of

Progress = Callable[[str], None]

CONFIG_FILE = Path(__file__).with_name("config.json")
"""The settings of the embedded deployment; stacks and state machines are the same as everywhere else."""

_ASSEMBLIES = REPOSITORY_ROOT / "build" / "embedded-assemblies"

_KEPT_ASSEMBLIES = 3

_EVENT = re.compile(r"^(?P<stack>\w+) \|\s*(?P<done>\d+)/(?P<total>\d+) \|")


class DeployError(Exception):
    """The CDK command line failed; the message holds the end of its output."""


class CdkDeployer:
    """The CDK command line of this repository.

    Args:
        work_directory: Where the log goes.
    """

    def __init__(self, work_directory: Path) -> None:
        self._work_directory = work_directory

    def digest(self) -> str:
        """Say from what a deployment would be made: two equal digests mean that nothing has changed."""
        sources = (*STACK_SOURCES, str(CONFIG_FILE.relative_to(REPOSITORY_ROOT)))
        return hashlib.sha256((sys.version + digest_of(sources)).encode()).hexdigest()

    def deploy(self, environment: Mapping[str, str], progress: Progress) -> None:
        """Bootstrap the emulator's account, and deploy all stacks.

        Args:
            environment: Variables with which an AWS client reaches the emulator.
            progress: Told what is going on.

        Raises:
            DeployError: One of the commands failed.
        """
        self._work_directory.mkdir(parents=True, exist_ok=True)
        assembly = self._synthesised(environment, progress)
        progress("bootstrapping the CDK")
        # In a directory without cdk.json, so that the app is not synthesised just for this.
        self._run(["bootstrap", f"aws://{ACCOUNT_ID}/{REGION}"], self._work_directory, environment, progress)
        progress("deploying")
        command = [
            "deploy", "--all",
            "--app", str(assembly),
            "--require-approval", "never",
            # No change set to look at first: nobody does.
            "--method", "direct",
            "--progress", "events",
        ]  # fmt: skip
        self._run(command, self._work_directory, environment, progress)

    def _synthesised(self, environment: Mapping[str, str], progress: Progress) -> Path:
        """Return the cloud assembly of the present sources.

        Synthesising takes most of a deployment's time and depends on nothing but the sources, so emulators share it.
        """
        assembly = _ASSEMBLIES / self.digest()
        if assembly.exists():
            return assembly
        progress("synthesising the stacks")
        _ASSEMBLIES.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=_ASSEMBLIES, prefix=".draft-"))
        command = [
            "synth", "--quiet",
            "--app", f"{shlex.quote(sys.executable)} app.py",
            "--output", str(draft),
            "--context", f"configFile={CONFIG_FILE.relative_to(REPOSITORY_ROOT)}",
        ]  # fmt: skip
        try:
            self._run(command, REPOSITORY_ROOT, environment, progress)
            # Fails where another process was faster, and what that one made is the same.
            with contextlib.suppress(OSError):
                draft.rename(assembly)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _forget_old_assemblies()
        return assembly

    def _run(self, command: list[str], directory: Path, environment: Mapping[str, str], progress: Progress) -> None:
        cdk = REPOSITORY_ROOT / "node_modules" / ".bin" / "cdk"
        if not cdk.exists():
            raise DeployError("the CDK command line is not installed: run `make setup`")
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
                raise DeployError(f"`cdk {command[0]}` failed:\n{''.join(lines[-40:])}")


def _forget_old_assemblies() -> None:
    by_age = sorted(_ASSEMBLIES.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for assembly in by_age[:-_KEPT_ASSEMBLIES]:
        shutil.rmtree(assembly, ignore_errors=True)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out a developer's own credentials and endpoints, and let the CDK tell nobody of a deployment to nowhere."""
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
    # What its parent has left behind is no longer in the tree, but still in the group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)
