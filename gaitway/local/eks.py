"""The embedded cluster of EKS: the stand-in for Kubernetes, and the agent, each a process beside the emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import psutil

from gaitway.contracts.cluster import AgentConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.guard import MARKER
from gaitway.local.kubernetes.plan import ADDRESSES, AGENT_ACCOUNT, KUBECONFIG, PLAN, Addresses, Plan
from gaitway.local.runtime import REGION
from gaitway.names import Names

BACKEND = "hyperpod-eks"
SETTINGS = {"eksTeam": "robots", "eksInstanceType": "ml.g6.12xlarge"}
"""Of the embedded deployment: the team of the stand-in, and what its nodes are called."""
_NEEDED = ("cryptography", "kubeflow.training", "kubernetes")
_STOP_SECONDS = 20.0
_started: list[subprocess.Popen[bytes]] = []
"""They outlive the call that starts them; an object dropped early warns about its process."""


class EksStartError(Exception):
    """The stand-in did not start; the message holds the end of its log."""


def why_missing() -> str | None:
    """Say in a sentence why there can be no stand-in here; None if there can."""
    missing = [name for name in _NEEDED if find_spec(name.partition(".")[0]) is None]
    if missing:
        return f"the stand-in for Kubernetes needs {', '.join(missing)}, which are not installed: run `make setup`"
    return None


class EksCluster:
    """The stand-in and the agent of a deployment.

    Args:
        directory: Where their files are.
        names: Of the deployment.
        endpoint_url: The emulator's.
        emulator_id: Value of the marker of its processes: they end with it, however it ends.
    """

    def __init__(self, directory: Path, names: Names, endpoint_url: str, emulator_id: str) -> None:
        self._directory = directory / names.deployment
        self._names = names
        self._endpoint_url = endpoint_url
        self._emulator_id = emulator_id

    @property
    def kubeconfig(self) -> Path:
        """The file that `kubectl --kubeconfig` takes."""
        return self._directory / KUBECONFIG

    def start(self, session: boto3.Session, state_directory: Path) -> None:
        """Start what does not run.

        Raises:
            EksStartError: The stand-in did not start.
        """
        (self._directory / "home").mkdir(parents=True, exist_ok=True)
        if self._process("cluster") is None:
            self._plan(session, state_directory)
            self._start_cluster()
        if self._process("agent") is None:
            self.start_agent()

    def start_agent(self) -> None:
        """Start the agent, with the rights that its service account and its role give it."""
        addresses = Addresses.model_validate_json((self._directory / ADDRESSES).read_bytes())
        account = self._directory / AGENT_ACCOUNT
        self._spawn(
            "agent",
            ["-m", "gaitway.cli", "agent", "--scheduler", "kubernetes", *self._deployment()],
            {
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(account / "token"),
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": addresses.identity,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": self._endpoint_url,
                "AWS_REGION": REGION,
                "GAITWAY_KUBERNETES_API": addresses.api,
                "GAITWAY_SERVICE_ACCOUNT": str(account),
            },
        )

    def stop_agent(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the agent, if it runs."""
        process = self._process("agent")
        if process is not None:
            process.send_signal(number)
            process.wait(_STOP_SECONDS)
        _started[:] = [one for one in _started if one.poll() is None]

    def _plan(self, session: boto3.Session, state_directory: Path) -> None:
        client: Any = session.client
        parameter = client("ssm").get_parameter(Name=self._names.agent_parameter(BACKEND))["Parameter"]["Value"]
        config = AgentConfig.read(parameter)
        access_points = client("efs").describe_access_points(AccessPointId=config.access_point)["AccessPoints"]
        root = access_points[0]["RootDirectory"]["Path"].strip("/")
        volume = state_directory / "efs" / config.file_system / root
        volume.mkdir(parents=True, exist_ok=True)
        stacks = client("cloudformation").describe_stacks(StackName=self._names.stack("Compute"))["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"].rpartition("/")[2] for output in stacks[0]["Outputs"]}
        roles = {
            self._names.agent_account: outputs["HyperpodEksRoleArn"],
            self._names.runner_account: outputs["HyperpodEksJobsRoleArn"],
        }
        plan = Plan(endpoint_url=self._endpoint_url, config=config, volume=str(volume), roles=roles)
        (self._directory / PLAN).write_text(plan.model_dump_json())

    def _start_cluster(self) -> None:
        process = self._spawn("cluster", ["-m", "gaitway.local.kubernetes", str(self._directory)], {}, is_piped=True)
        assert process.stdout is not None
        with process.stdout as output:
            # Blocks until it serves, or is gone.
            if output.readline() != b"ready\n":
                log = (self._directory / "cluster.log").read_text(errors="replace")
                raise EksStartError(f"the stand-in for Kubernetes did not start:\n{log[-4000:]}")

    def _spawn(
        self, name: str, arguments: Sequence[str], variables: Mapping[str, str], *, is_piped: bool = False
    ) -> subprocess.Popen[bytes]:
        kept = ("PATH", "LANG", "NO_PROXY", "no_proxy")
        environment = {key: os.environ[key] for key in kept if key in os.environ}
        with (self._directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=REPOSITORY_ROOT,
                env={**environment, "HOME": str(self._directory / "home"), MARKER: self._emulator_id, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_piped else log,
                stderr=log,
                start_new_session=True,
            )
        _started.append(process)
        (self._directory / f"{name}.pid").write_text(str(process.pid))
        return process

    def _process(self, name: str) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self._directory / f"{name}.pid").read_text()))
            return process if process.environ().get(MARKER) == self._emulator_id else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _deployment(self) -> list[str]:
        return self._names.option.split()
