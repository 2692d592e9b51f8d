"""The clusters of the campaign: real Slurm, and the stand-in for Kubernetes, each with its agent.

One is started when the first fault needs it. The campaign's proxy is between its agent and the embedded AWS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

import boto3
import psutil

from gaitway.compute.eks.status import PyTorchJob
from gaitway.compute.jobs import JobState
from gaitway.compute.slurm import read_jobs
from gaitway.local.eks import EksCluster
from gaitway.local.guard import MARKER
from gaitway.local.launcher import CLUSTERS, EKS, SLURM
from gaitway.local.slurm import NODES, SlurmCluster
from gaitway.local.slurm_agent import SlurmAgent
from gaitway.names import DEFAULT_NAMES

_GONE_SECONDS = 30.0


class RunJob(NamedTuple):
    """A job of a run, as what queues and runs it knows it."""

    id: str
    has_ended: bool


class Cluster(Protocol):
    """A cluster and its agent."""

    def jobs(self) -> list[RunJob]:
        """List all jobs that its scheduler knows: one that was submitted twice is there twice."""
        ...

    def agent_dies(self) -> AbstractContextManager[None]:
        """Expect that the agent is killed: at the end it is started again, as its supervisor does."""
        ...


class Kubernetes:
    """The stand-in for Kubernetes; the agent is a pod of it.

    Args:
        state_directory: The emulator's.
        session: Where clients come from.
        endpoint_url: What the agent takes for AWS.
        emulator_id: Marks its processes, which end with the emulator.
    """

    def __init__(self, state_directory: Path, session: boto3.Session, endpoint_url: str, emulator_id: str) -> None:
        self._cluster = EksCluster(state_directory / EKS, DEFAULT_NAMES, endpoint_url, emulator_id)
        self._cluster.start(session, state_directory)

    def jobs(self) -> list[RunJob]:
        """List all jobs: see `Cluster.jobs`."""
        listed = json.loads(self._kubectl("get", "pytorchjobs", "--output", "json"))["items"]
        states = {job["metadata"]["name"]: PyTorchJob.model_validate(job).state for job in listed}
        ended = (JobState.SUCCEEDED, JobState.FAILED)
        return [RunJob(f"{CLUSTERS[EKS]}/{name}", state in ended) for name, state in states.items()]

    def agent_dies(self) -> AbstractContextManager[None]:
        """Expect that the agent is killed: the kubelet starts its container again."""
        return nullcontext()

    def delete_pod(self, job_id: str, *options: str) -> None:
        """Delete the pod of a job of one node, as an administrator does who drains its node."""
        self._kubectl("delete", "pod", f"{job_id.partition('/')[2]}-master-0", *options)

    @contextmanager
    def api_is_away(self) -> Iterator[None]:
        """Let the API answer nobody, and the controllers do nothing; what runs in pods goes on."""
        process = psutil.Process(int(self._cluster.kubeconfig.with_name("cluster.pid").read_text()))
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def _kubectl(self, *arguments: str) -> str:
        kubectl = Path(sys.executable).with_name("kubectl")
        command = [str(kubectl), "--kubeconfig", str(self._cluster.kubeconfig), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


class Slurm:
    """Real Slurm.

    Args:
        state_directory: The emulator's.
        session: Where clients come from.
        endpoint_url: What the agent takes for AWS.
        emulator_id: Marks its processes, which end with the emulator.
        command: Becomes the runner, in place of the image's entry point.
    """

    def __init__(
        self, state_directory: Path, session: boto3.Session, endpoint_url: str, emulator_id: str, command: Sequence[str]
    ) -> None:
        self._session = session
        self._mark = {MARKER: emulator_id}
        self._cluster = SlurmCluster(state_directory / SLURM)
        self._cluster.start(self._mark)
        self._agent = SlurmAgent(self._cluster, DEFAULT_NAMES, endpoint_url, emulator_id)
        self._agent.configure(session, state_directory)
        told = self._agent.log.with_name("agent.json")
        told.write_text(json.dumps(json.loads(told.read_text()) | {"command": [*command]}))
        self._agent.start(session)

    def jobs(self) -> list[RunJob]:
        """List all jobs: see `Cluster.jobs`."""
        return [RunJob(job.id, job.has_ended) for job in read_jobs(CLUSTERS[SLURM], self._show())]

    @contextmanager
    def agent_dies(self) -> Iterator[None]:
        """Expect that the agent is killed, and start it again at the end, as systemd does."""
        agent = self._agent.process()
        yield
        if agent is not None:
            _await_end(agent)
        self._agent.start(self._session)

    @contextmanager
    def lost_node(self, job_id: str) -> Iterator[Callable[[], bool]]:
        """Lose the node on which a job of one node runs; it is back at the end.

        Yields:
            Says whether Slurm has noticed, and has requeued the job.
        """
        name = f"JobName={job_id.partition('/')[2]} "

        def job() -> str:
            return next(line for line in self._show().splitlines() if name in line)

        node = next(node for node in NODES if f"BatchHost={node} " in job())
        self._cluster.lose_node(node)
        try:
            yield lambda: "Restarts=0 " not in job()
        finally:
            self._cluster.start_node(node, self._mark)

    def _show(self) -> str:
        return self._cluster.command("scontrol", "show", "jobs", "--oneliner")


def _await_end(agent: psutil.Process) -> None:
    """Wait until an agent that is being killed is gone.

    Raises:
        TimeoutError: It goes on.
    """
    give_up_at = time.monotonic() + _GONE_SECONDS
    while agent.is_running() and agent.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"agent {agent.pid} goes on")
        time.sleep(0.05)
