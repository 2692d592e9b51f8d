"""What the control plane and a cluster's agent tell each other: orders by SQS, and the agent's settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from gaitway.contracts.artifacts import run_directory_name
from gaitway.contracts.eks import EksSettings
from gaitway.contracts.model import RECEIVED, Received, Stored
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.text import Like
from gaitway.libraries.simulators import Simulator
from gaitway.names import DEFAULT_DEPLOYMENT

EVENT_SOURCE = "gaitway.agent"
"""Of the events with which agents report the states of jobs. AWS's own begin with `aws.`, which nobody else may use:
docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html"""
EVENT_TYPE = "Gaitway Job State Change"

JobId = Annotated[
    str,
    Like(
        r"[a-z][a-z-]*/run-[0-9a-f]{20}-[0-9a-f]{12}-[1-9][0-9]*",
        "the name of a back end, a slash, and the name of a job with its number",
    ),
]
"""`<back end>/<name of the job>-<number>`: a run's execution may need a second job of the same name."""


class SubmitOrder(Received):
    """Submit a run's job."""

    order: Literal["submit"] = "submit"
    job_id: JobId
    run_id: str
    compute: ComputeConfig
    timeout_seconds: Annotated[int, Field(ge=60)]
    """After which an attempt is ended."""
    task: str = ""
    """For people who look at jobs."""
    group_id: str | None = None
    """The run's group."""
    simulator: Simulator | None = None
    """What its image holds; None if a version without a choice has constructed the run, or ordered the job."""

    @property
    def key(self) -> str:
        """The id without its back end: a name that the scheduler accepts, since it is a label of DNS (RFC 1123)."""
        return key_of(self.job_id)


class StopOrder(Received):
    """End a job, without another attempt."""

    order: Literal["stop"] = "stop"
    job_id: JobId
    reason: str


Order = Annotated[SubmitOrder | StopOrder, Field(discriminator="order")]

_ORDERS: TypeAdapter[SubmitOrder | StopOrder] = TypeAdapter(Order)


def read_order(text: str) -> SubmitOrder | StopOrder:
    """Read an order, without the fields that this version does not know.

    Raises:
        ValidationError: It is no order that this version knows.
    """
    return _ORDERS.validate_json(text, context=RECEIVED)


def key_of(job_id: str) -> str:
    """Return a job's id without its back end."""
    return job_id.partition("/")[2]


def name_of_job(job_id: str) -> str:
    """Return the name of a job, as `RunExecution.job_name` gives it."""
    return key_of(job_id).rpartition("-")[0]


def run_id_of_job_id(job_id: str) -> str:
    """Return the run of a job."""
    return name_of_job(job_id).rpartition("-")[0]


def node_logs_name(job_id: str) -> str:
    """Return the directory of what a job's nodes say, a file for each, seen from where EFS is mounted."""
    return f"{run_directory_name(run_id_of_job_id(job_id))}/logs/{key_of(job_id)}"


class NodeSize(Stored):
    """What a job gets on each node."""

    gpus: Annotated[int, Field(ge=0)]
    """0 where there are none, as in the embedded deployment."""
    vcpus: Annotated[int, Field(ge=1)]
    memory_mib: Annotated[int, Field(ge=1)]


class AgentConfig(Stored):
    """What the stacks tell a cluster's agent: the value of a parameter of Systems Manager."""

    deployment: str = DEFAULT_DEPLOYMENT
    """Name of the deployment: what it has on the cluster begins with it, so that another one may be beside it."""
    queue: str
    """Name of the queue of its orders."""
    run_table: str
    sizes: dict[str, NodeSize]
    """By `gpusPerNode`."""
    job_environment: dict[str, str]
    """Variables of every job: the runner's, as `gaitway.runner.host.environment` reads them."""
    efs_root: str
    """Where nodes and jobs have the file system."""
    file_system: str
    """Id of the file system, for what mounts it on a node."""
    access_point: str
    """Id of its access point."""
    mounts: tuple[str, ...]
    """Directories of the node that a job's container has at the same place."""
    job_attempts: Annotated[int, Field(ge=1)]
    """The most attempts at a job that fails on its own."""
    log_group: str | None = None
    """Where what the nodes say is copied to; None where something else does that."""
    image: str | None = None
    """The image of jobs where `images` names none; None where the runner is installed on the nodes, too."""
    images: dict[str, str] = Field(default_factory=dict)
    """The container images of jobs, by simulator, of which a newer version may know more; empty in a configuration of a
    version without a choice."""
    command: tuple[str, ...]
    """Becomes the runner; the run's id is added. In the image if there is one, else on the nodes."""
    eks: EksSettings | None = None
    """Of a cluster of EKS."""
