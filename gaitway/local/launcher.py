"""Bring the embedded AWS up with our stacks in it, say how it stands, and take it down."""

import contextlib
import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import boto3
import botocore.session
import psutil
from botocore.exceptions import BotoCoreError, ClientError

from gaitway.contracts.model import Model
from gaitway.deployment import Deployment, NotDeployedError, read_deployment
from gaitway.local.cdk import CdkDeployer, Progress
from gaitway.local.guard import MARKER, processes_with
from gaitway.local.runtime import HOST, REGION, REPOSITORY_ROOT
from gaitway.local.server_process import bypass_proxies, running_server, start_server, stop_server

STATE_VARIABLE = "GAITWAY_LOCAL_STATE"
"""Environment variable with another state directory than `.gaitway/local` of the repository."""

# Any will do: the emulator takes every key for the one account that it has.
_ACCESS_KEY = "test"

# Kept inside the emulator, so that it can never say more than what the emulator's state holds.
_DIGEST_PARAMETER = "/gaitway-local/source-digest"


class Deployer(Protocol):
    """Puts the stacks into the emulator."""

    def digest(self) -> str:
        """Say from what it would deploy."""

    def deploy(self, environment: Mapping[str, str], progress: Progress) -> None:
        """Deploy all stacks."""


class LocalSession(boto3.Session):
    """A session whose clients talk to the emulator, whatever the environment says."""

    def __init__(self, endpoint_url: str) -> None:
        # Without a name of its own in environment or configuration file, no profile is looked for.
        botocore_session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        super().__init__(
            aws_access_key_id=_ACCESS_KEY,
            aws_secret_access_key=_ACCESS_KEY,
            region_name=REGION,
            botocore_session=botocore_session,
        )
        self._endpoint_url = endpoint_url

    def client(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """Create a client as boto3 does."""
        create: Any = super().client
        return create(*arguments, **({"endpoint_url": self._endpoint_url} | options))


class LocalAws(Model):
    """The embedded AWS, up and deployed."""

    endpoint_url: str
    deployment: Deployment

    def session(self) -> boto3.Session:
        """Return a session for boto3 clients."""
        return LocalSession(self.endpoint_url)

    def environment(self) -> dict[str, str]:
        """Return the variables with which any AWS client works."""
        return client_environment(self.endpoint_url)


class LocalStatus(Model):
    """How the embedded AWS stands."""

    running: bool
    state_directory: Path
    endpoint_url: str | None = None
    deployment: Deployment | None = None
    is_current: bool = False
    """Whether it was deployed from the sources as they are now; what jobs run is always taken from them."""
    process_ids: tuple[int, ...] = ()
    """The emulator, its guard, and the Lambda functions and jobs that run in it."""
    memory_mib: float = 0.0
    """Resident memory of these processes together."""


def client_environment(endpoint_url: str) -> dict[str, str]:
    """Return the variables with which any AWS client talks to the emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": _ACCESS_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "NO_PROXY": os.environ.get("NO_PROXY", HOST),
    }


class Launcher:
    """The embedded AWS of one state directory.

    Args:
        state_directory: Where everything that it keeps lies.
        deployer: What puts the stacks into it.
    """

    def __init__(self, state_directory: Path, deployer: Deployer) -> None:
        self.state_directory = state_directory
        self._deployer = deployer
        bypass_proxies()

    def up(self, progress: Progress) -> LocalAws:
        """Start the emulator, and deploy the stacks, unless they are there as the sources are now.

        Whatever goes wrong, an emulator that was started here is stopped again.

        Raises:
            ServerStartError: The emulator did not start.
            DeployError: The stacks could not be deployed.
        """
        with self._alone(), interrupted_by_any_signal():
            record = running_server(self.state_directory)
            if record is not None and not record.is_current:
                progress("stopping the emulator, whose code has changed")
                stop_server(self.state_directory)
                record = None
            started = record is None
            try:
                if record is None:
                    progress("starting")
                    record = start_server(self.state_directory)
                return LocalAws(
                    endpoint_url=record.endpoint_url, deployment=self._deployed(record.endpoint_url, progress)
                )
            except BaseException:
                if started:
                    stop_server(self.state_directory)
                raise

    def status(self) -> LocalStatus:
        """Say how the embedded AWS stands."""
        record = running_server(self.state_directory)
        if record is None:
            return LocalStatus(running=False, state_directory=self.state_directory)
        processes = processes_with(MARKER, record.emulator_id)
        session = LocalSession(record.endpoint_url)
        deployment = _current_deployment(session)
        return LocalStatus(
            running=True,
            state_directory=self.state_directory,
            endpoint_url=record.endpoint_url,
            deployment=deployment,
            is_current=deployment is not None and _deployed_digest(session) == self._deployer.digest(),
            process_ids=tuple(sorted(process.pid for process in processes)),
            memory_mib=sum(_resident_bytes(process) for process in processes) / 2**20,
        )

    def down(self) -> bool:
        """Stop everything; the state is kept for the next `up`.

        Returns:
            Whether the emulator ran.
        """
        with self._alone():
            return stop_server(self.state_directory)

    def reset(self) -> None:
        """Stop everything, and forget the state."""
        with self._alone():
            stop_server(self.state_directory)
            shutil.rmtree(self.state_directory, ignore_errors=True)

    def _deployed(self, endpoint_url: str, progress: Progress) -> Deployment:
        session = LocalSession(endpoint_url)
        digest = self._deployer.digest()
        deployment = _current_deployment(session)
        if deployment is None or _deployed_digest(session) != digest:
            self._deployer.deploy(client_environment(endpoint_url), progress)
            session.client("ssm").put_parameter(Name=_DIGEST_PARAMETER, Value=digest, Type="String", Overwrite=True)
            deployment = read_deployment(session.client("cloudformation"))
        progress("ready")
        return deployment

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other command works on this state directory."""
        # Beside the directory, since `reset` deletes it.
        path = self.state_directory.with_name(f"{self.state_directory.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def default_launcher() -> Launcher:
    """Return the launcher of this repository's embedded AWS."""
    directory = Path(os.environ.get(STATE_VARIABLE) or REPOSITORY_ROOT / ".gaitway" / "local").absolute()
    return Launcher(directory, CdkDeployer(directory / "cdk"))


def up(progress: Progress = lambda _: None) -> LocalAws:
    """Bring the embedded AWS up: see `Launcher.up`."""
    return default_launcher().up(progress)


def status() -> LocalStatus:
    """Say how the embedded AWS stands."""
    return default_launcher().status()


def down() -> bool:
    """Stop the embedded AWS: see `Launcher.down`."""
    return default_launcher().down()


def reset() -> None:
    """Stop the embedded AWS, and forget its state."""
    default_launcher().reset()


def _current_deployment(session: boto3.Session) -> Deployment | None:
    # An emulator that is just being stopped does not answer.
    with contextlib.suppress(NotDeployedError, BotoCoreError):
        return read_deployment(session.client("cloudformation"))
    return None


def _deployed_digest(session: boto3.Session) -> str | None:
    ssm: Any = session.client("ssm")
    try:
        return str(ssm.get_parameter(Name=_DIGEST_PARAMETER)["Parameter"]["Value"])
    except (BotoCoreError, ClientError):
        return None


def _resident_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


@contextlib.contextmanager
def interrupted_by_any_signal() -> Iterator[None]:
    """Let a closed terminal or a `kill` clean up as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
