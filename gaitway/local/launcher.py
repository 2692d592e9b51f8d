"""Start the embedded AWS with our stacks in it, report its state, and stop it."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import boto3
import botocore.session
import psutil
from botocore.exceptions import BotoCoreError, ClientError

from gaitway.client.deployment import Deployment, NotDeployedError, read_deployment
from gaitway.commands import Commands
from gaitway.contracts.backends import Backend
from gaitway.contracts.model import Model
from gaitway.installation import REPOSITORY_ROOT, NotInstalledError, require_checkout, require_extra
from gaitway.local import eks, isaaclab3, slurm
from gaitway.local.cdk import CONFIG_FILE, CdkDeployer, Progress
from gaitway.local.eks import EksCluster
from gaitway.local.guard import MARKER, processes_with
from gaitway.local.record import ServerRecord
from gaitway.local.runtime import HOST, REGION, image_name
from gaitway.local.server_process import ServerStartError, bypass_proxies, running_server, start_server, stop_server
from gaitway.local.slurm import SlurmCluster
from gaitway.local.slurm_agent import SlurmAgent
from gaitway.names import DEFAULT_NAMES, Names

STATE_VARIABLE = "GAITWAY_LOCAL_STATE"
"""Environment variable for another state directory than `.gaitway/local` of the repository."""

SIMULATORS_VARIABLE = "GAITWAY_LOCAL_SIMULATORS"
"""Environment variable for the setting `simulators`, where Isaac Lab 3 shall be left out although it is installed."""

EKS, SLURM = "eks", "slurm"
CLUSTERS: Mapping[str, Backend] = {EKS: "hyperpod-eks", SLURM: "hyperpod-slurm"}
"""What can be started beside the emulator, with the back end that it is."""

FURTHER = ("sagemaker", *CLUSTERS)
"""What can be asked for beside AWS Batch. SageMaker is a part of the emulator, and there in any case."""

EMBEDDED = "embedded"
"""The simulator that `CONFIG_FILE` names, and that runs everywhere: a cart-pole in torch."""

# Any will do: the emulator takes every key for the one account that it has.
_ACCESS_KEY = "test"


class Deployer(Protocol):
    """Puts the stacks into the emulator."""

    def digest(self) -> str:
        """Return the digest of what it would deploy."""

    def deploy(self, environment: Mapping[str, str], progress: Progress) -> None:
        """Deploy all stacks."""


class LocalSession(boto3.Session):
    """A session whose clients talk to the emulator, whatever the environment says."""

    def __init__(self, endpoint_url: str) -> None:
        # Without a name in environment or configuration file, no profile is searched for.
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
    """The state of the embedded AWS."""

    running: bool
    state_directory: Path
    endpoint_url: str | None = None
    deployment: Deployment | None = None
    is_current: bool = False
    """Whether it was deployed from the present sources; jobs always run the present sources."""
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
        state_directory: Directory of all its files.
        deployer: Deploys the stacks to it.
        names: Names of the deployment: the emulator may hold several.
        clusters: Names of the clusters that are started beside the emulator: see `CLUSTERS`.
    """

    def __init__(
        self,
        state_directory: Path,
        deployer: Deployer,
        names: Names = DEFAULT_NAMES,
        clusters: Collection[str] = (),
    ) -> None:
        self.state_directory = state_directory
        self.clusters = clusters
        self.deployer = deployer
        self._names = names
        self._commands = Commands(names, is_embedded=True)
        # Inside the emulator, so that it can never say more than what the emulator's state holds.
        self._digest_parameter = f"/gaitway-local/source-digest/{names.deployment}"
        bypass_proxies()

    def up(self, progress: Progress) -> LocalAws:
        """Start the emulator, and deploy the stacks, unless they are there as the sources are now.

        Whatever goes wrong, an emulator that was started here is stopped again.

        Raises:
            NotInstalledError: What it is made of is not installed.
            ServerStartError: The emulator did not start.
            DeployError: The stacks could not be deployed.
        """
        require_extra("local", "the embedded AWS", "ministack")
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
                up = LocalAws(
                    endpoint_url=record.endpoint_url, deployment=self._deployed(record.endpoint_url, progress)
                )
                if EKS in self.clusters:
                    progress("starting the stand-in for Kubernetes")
                    self.eks().start(up.session(), self.state_directory)
                if SLURM in self.clusters:
                    progress("starting Slurm")
                    self._start_slurm(record, up.session())
            except BaseException:
                if started:
                    stop_server(self.state_directory)
                raise
            progress("ready")
            return up

    def status(self) -> LocalStatus:
        """Return the state of the embedded AWS."""
        record = running_server(self.state_directory)
        if record is None:
            return LocalStatus(running=False, state_directory=self.state_directory)
        processes = processes_with(MARKER, record.emulator_id)
        session = LocalSession(record.endpoint_url)
        deployment = self._current_deployment(session)
        return LocalStatus(
            running=True,
            state_directory=self.state_directory,
            endpoint_url=record.endpoint_url,
            deployment=deployment,
            is_current=deployment is not None and self._deployed_digest(session) == self.deployer.digest(),
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
        digest = self.deployer.digest()
        deployment = self._current_deployment(session)
        if deployment is None or self._deployed_digest(session) != digest:
            self.deployer.deploy(client_environment(endpoint_url), progress)
            session.client("ssm").put_parameter(
                Name=self._digest_parameter, Value=digest, Type="String", Overwrite=True
            )
            deployment = read_deployment(session.client("cloudformation"), self._commands)
        return deployment

    def eks(self) -> EksCluster:
        """Return the stand-in for Kubernetes of this state directory.

        Raises:
            ServerStartError: The emulator does not run.
        """
        record = self._record()
        return EksCluster(self.state_directory / EKS, self._names, record.endpoint_url, record.emulator_id)

    def slurm(self) -> SlurmCluster:
        """Return the cluster of this state directory."""
        return SlurmCluster(self.state_directory / SLURM)

    def slurm_agent(self) -> SlurmAgent:
        """Return the cluster's agent.

        Raises:
            ServerStartError: The emulator does not run.
        """
        record = self._record()
        return SlurmAgent(self.slurm(), self._names, record.endpoint_url, record.emulator_id)

    def _record(self) -> ServerRecord:
        record = running_server(self.state_directory)
        if record is None:
            raise ServerStartError("the embedded AWS is not up")
        return record

    def _start_slurm(self, record: ServerRecord, session: boto3.Session) -> None:
        # Marked, so that it ends with the emulator, however that ends.
        self.slurm().start({MARKER: record.emulator_id})
        agent = self.slurm_agent()
        agent.configure(session, self.state_directory)
        agent.start(session)

    def _current_deployment(self, session: boto3.Session) -> Deployment | None:
        # An emulator that is just being stopped does not answer.
        with contextlib.suppress(NotDeployedError, BotoCoreError):
            return read_deployment(session.client("cloudformation"), self._commands)
        return None

    def _deployed_digest(self, session: boto3.Session) -> str | None:
        ssm: Any = session.client("ssm")
        try:
            return str(ssm.get_parameter(Name=self._digest_parameter)["Parameter"]["Value"])
        except (BotoCoreError, ClientError):
            return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other command works on this state directory."""
        # Outside of the directory, because `reset` deletes it.
        path = self.state_directory.with_name(f"{self.state_directory.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def default_state_directory() -> Path:
    """Return the state directory of this repository's embedded AWS."""
    return Path(os.environ.get(STATE_VARIABLE) or REPOSITORY_ROOT / ".gaitway" / "local").absolute()


def default_launcher(names: Names = DEFAULT_NAMES, further: Collection[str] = ()) -> Launcher:
    """Return the launcher of a deployment in this repository's embedded AWS.

    Args:
        names: Names of the deployment.
        further: Of `FURTHER`: what it shall have, beside the clusters that it was brought up with before.

    Raises:
        NotInstalledError: There is no checkout, whose stacks it would deploy.
    """
    require_checkout("the embedded AWS")
    directory = default_state_directory()
    clusters = _clusters(directory, names, further)
    deployer = CdkDeployer(directory / "cdk", names, default_settings() | cluster_settings(clusters))
    return Launcher(directory, deployer, names, clusters)


def cluster_settings(clusters: Collection[str]) -> dict[str, str]:
    """Return the settings of a deployment that uses clusters, beside the back ends that it has without them."""
    if not clusters:
        return {}
    settings = json.loads(CONFIG_FILE.read_bytes())["app"]["pipelines"]["useIsaacLabTraining"]
    backends = [*settings["backends"], *(CLUSTERS[name] for name in clusters)]
    return {"backends": ",".join(backends)} | (eks.SETTINGS if EKS in clusters else {})


def _clusters(directory: Path, names: Names, further: Collection[str]) -> tuple[str, ...]:
    """Return the clusters that a deployment has had since its state began, and some more, which it has from now on."""
    record = directory / f"clusters-{names.deployment}"
    known = record.read_text().split() if record.exists() else []
    clusters = tuple(name for name in CLUSTERS if name in {*known, *further})
    if further:
        directory.mkdir(parents=True, exist_ok=True)
        record.write_text(" ".join(clusters))
    return clusters


def default_settings() -> dict[str, str]:
    """Return the settings of this repository's embedded AWS that are not those of `CONFIG_FILE`."""
    there = EMBEDDED if isaaclab3.why_missing() else f"isaaclab-3,{EMBEDDED}"
    simulators = os.environ.get(SIMULATORS_VARIABLE) or there
    if simulators == EMBEDDED:
        return {}
    images = {simulator: image_name(simulator) for simulator in simulators.split(",")}
    return {"simulators": simulators, "containerImageUri": json.dumps(images)}


def up(progress: Progress = lambda _: None, names: Names = DEFAULT_NAMES, further: Collection[str] = ()) -> LocalAws:
    """Bring the embedded AWS up, with a deployment in it and clusters beside it: see `Launcher.up`."""
    for name, module in ((EKS, eks), (SLURM, slurm)):
        missing = module.why_missing() if name in further else None
        if missing:
            raise NotInstalledError(f"{missing}, or leave {name} out of --with")
    return default_launcher(names, further).up(progress)


def status(names: Names = DEFAULT_NAMES) -> LocalStatus:
    """Return the state of the embedded AWS and of a deployment in it."""
    return default_launcher(names).status()


def down() -> bool:
    """Stop the embedded AWS: see `Launcher.down`."""
    return default_launcher().down()


def reset() -> None:
    """Stop the embedded AWS, and forget its state."""
    default_launcher().reset()


def _resident_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


@contextlib.contextmanager
def interrupted_by_any_signal() -> Iterator[None]:
    """Clean up after a closed terminal or a `kill` as after Ctrl-C."""
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
