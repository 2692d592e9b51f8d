"""What `gaitway generate` writes is what is submitted: the same job goes both ways, for each back end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest

from gaitway.agent.kubernetes import KubernetesScheduler
from gaitway.agent.slurm import Slurm
from gaitway.compute.backends import documents_of, submitter_of
from gaitway.compute.cluster import ClusterJobs
from gaitway.compute.eks.manifests import Eks
from gaitway.compute.jobs import JobRequest
from gaitway.contracts.backends import Backend
from gaitway.contracts.cluster import AgentConfig, SubmitOrder
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import ComputeConfig
from gaitway.libraries.simulators import Simulator
from tests.unit.compute.eks.settings import eks
from tests.unit.compute.test_backends import VARIABLES as AWS_BATCH
from tests.unit.compute.test_slurm import CONFIG as SLURM_CONFIG

SLURM = SLURM_CONFIG.model_copy(update={"images": {"isaaclab-2": "gaitway:1"}})
CLUSTERS = {"hyperpod-eks": eks().config, "hyperpod-slurm": SLURM}
TEMPLATE = {
    "jobQueue": "training",
    "attempts": 3,
    "instanceTypes": {"1": "ml.g6.2xlarge", "8": "ml.g6.48xlarge"},
    "tags": {"GaitwayDeployment": "gaitway"},
    "images": {"isaaclab-2": "000000000000.dkr.ecr.us-east-1.amazonaws.com/gaitway:1"},
    "trainingJob": {
        "RoleArn": "arn:aws:iam::000000000000:role/training",
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"VolumeSizeInGB": 100},
    },
}
NAME = f"run-{'0' * 20}-{'a' * 12}"


VARIABLES = AWS_BATCH | {
    "GAITWAY_FURTHER_BACKENDS": json.dumps({name: {} for name in ("sagemaker", *CLUSTERS)}),
    "GAITWAY_TRAINING_JOB": "/gaitway/training-job",
    "GAITWAY_RUN_TABLE": "runs",
    "GAITWAY_CLUSTER_ORDERS": json.dumps({name: f"gaitway-{name}-orders.fifo" for name in CLUSTERS}),
}


@dataclass
class Aws:
    """What is called of AWS, with what."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """Return the same for all services."""
        return {"batch": self, "ssm": self}[service]

    def get_parameter(self, **asked: str) -> dict[str, Any]:
        """Answer as Systems Manager."""
        known = {f"/gaitway/agent/{name}": config.model_dump_json() for name, config in CLUSTERS.items()}
        return {"Parameter": {"Value": (known | {"/gaitway/training-job": json.dumps(TEMPLATE)})[asked["Name"]]}}

    def submit_job(self, **request: Any) -> dict[str, str]:
        """Take a job."""
        self.sent.append(request)
        return {"jobId": "a"}

    submit_service_job = submit_job


@dataclass
class Orders:
    """The queue of orders, and the run table, of which there is nothing yet."""

    given: list[SubmitOrder] = field(default_factory=list)

    def send(self, order: SubmitOrder) -> None:
        """Take an order."""
        self.given.append(order)

    def get(self, job_id: str) -> None:
        """Know no job."""

    def create(self, job_id: str) -> None:
        """Keep a job."""


@dataclass
class Api:
    """The API of Kubernetes."""

    sent: list[Any] = field(default_factory=list)

    def call(self, verb: str, path: str, body: Any) -> None:
        """Take an object."""
        assert verb == "POST"
        self.sent.append(body)


def order_of(backend: Backend, job: JobRequest) -> SubmitOrder:
    """Return what the agent of a cluster is told."""
    orders = Orders()
    ClusterJobs(backend, orders, orders).submit(job)  # type: ignore[arg-type]
    [order] = orders.given
    return SubmitOrder.model_validate_json(order.model_dump_json(by_alias=True))


def to_aws(backend: Backend, job: JobRequest) -> list[Any]:
    """Submit a job to Batch, and return what Batch receives."""
    aws = Aws()
    submitter_of(aws.client, [backend], VARIABLES).submit(job)
    return aws.sent


def to_kubernetes(config: AgentConfig, order: SubmitOrder) -> list[Any]:
    """Submit a job by the agent, and return what the API receives."""
    api = Api()
    KubernetesScheduler(api, Eks.of(config)).submit(order)  # type: ignore[arg-type]
    return api.sent


def to_slurm(config: AgentConfig, order: SubmitOrder, directory: Path, patch: pytest.MonkeyPatch) -> list[Any]:
    """Submit a job by the agent, and return what sbatch receives."""
    received = directory / "received"
    answers = {"sbatch": f"cat > {received}", "scontrol": "echo PartitionName=gaitway Default=YES"}
    for name, command in answers.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{command}\n")
        program.chmod(0o755)
    patch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    Slurm(config.model_copy(update={"efs_root": str(directory)})).submit(order)
    return [received.read_text().replace(str(directory), config.efs_root)]


def job_on(backend: Backend, num_nodes: int = 1, simulator: Simulator = "isaaclab-2") -> JobRequest:
    gpus = 8 if backend == "hyperpod-slurm" else 1
    compute = ComputeConfig(backend=backend, num_nodes=num_nodes, gpus_per_node=gpus)
    return JobRequest(NAME, NAME[:24], compute, 600, task="Isaac-Ant-v0", group_id="search-7", simulator=simulator)


@pytest.mark.parametrize("num_nodes", [1, 2])
@pytest.mark.parametrize("backend", get_args(Backend))
def test_what_is_generated_is_what_is_submitted(
    backend: Backend, num_nodes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_on(backend, num_nodes)
    submit: dict[Backend, Callable[[], list[Any]]] = {
        "batch": lambda: to_aws(backend, job),
        "sagemaker": lambda: to_aws(backend, job),
        "hyperpod-eks": lambda: to_kubernetes(CLUSTERS[backend], order_of(backend, job)),
        "hyperpod-slurm": lambda: to_slurm(CLUSTERS[backend], order_of(backend, job), tmp_path, monkeypatch),
    }
    [sent] = submit[backend]()

    written = documents_of(job, Aws().client, VARIABLES)
    # Beside it, what a namespace needs once, and the payload of a service job to read.
    further = {
        name: written.pop(name) for name in sorted(written) if name.startswith(("namespace-", "create-training"))
    }
    [text] = written.values()

    assert (json.loads(text) if text.startswith("{") else text) == sent
    if backend == "sagemaker":
        assert json.loads(further["create-training-job.json"]) == json.loads(sent["serviceRequestPayload"])


@pytest.mark.parametrize("backend", get_args(Backend))
def test_a_simulator_without_an_image_is_refused_in_words(backend: Backend) -> None:
    with pytest.raises(RequestError, match="the simulator embedded, which is not deployed any more, allowed: isaac"):
        documents_of(job_on(backend, simulator="embedded"), Aws().client, VARIABLES)
