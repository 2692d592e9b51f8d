"""The embedded cluster of EKS: the stand-in for Kubernetes, a process beside the emulator; the agent is a pod in it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import psutil

from gaitway.contracts.cluster import AgentConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.guard import MARKER
from gaitway.local.kubernetes.plan import KUBECONFIG, PLAN, Plan
from gaitway.names import Names

BACKEND = "hyperpod-eks"
SETTINGS = {"eksTeam": "robots", "eksInstanceType": "ml.g6.12xlarge"}
"""Of the embedded deployment: the team of the stand-in, and what its nodes are called."""
_NEEDED = ("cryptography", "kubeflow.training", "kubernetes")
_LOG, _PROCESS = "cluster.log", "cluster.pid"
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
    """The stand-in of a deployment.

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
        if not self._runs():
            self._plan(session, state_directory)
            self._start_cluster()

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
        kept = ("PATH", "LANG", "NO_PROXY", "no_proxy")
        environment = {key: os.environ[key] for key in kept if key in os.environ}
        with (self._directory / _LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gaitway.local.kubernetes", str(self._directory)],
                cwd=REPOSITORY_ROOT,
                env={**environment, "HOME": str(self._directory / "home"), MARKER: self._emulator_id},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        _started.append(process)
        (self._directory / _PROCESS).write_text(str(process.pid))
        assert process.stdout is not None
        with process.stdout as output:
            # Blocks until it serves, or is gone.
            if output.readline() != b"ready\n":
                said = (self._directory / _LOG).read_text(errors="replace")
                raise EksStartError(f"the stand-in for Kubernetes did not start:\n{said[-4000:]}")

    def _runs(self) -> bool:
        try:
            process = psutil.Process(int((self._directory / _PROCESS).read_text()))
            return process.environ().get(MARKER) == self._emulator_id
        except (OSError, ValueError, psutil.Error):
            return False
