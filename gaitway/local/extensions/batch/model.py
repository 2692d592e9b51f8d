"""Jobs as AWS Batch describes them.

Field names are those of DescribeJobs (docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html), which are
also those of the state-change event's detail.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gaitway.local.services import Json


class AwsModel(BaseModel):
    """Read and written in AWS's camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    def to_aws(self) -> Json:
        """Return the document, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class JobStatus(StrEnum):
    """The states of a job, in order."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def has_ended(self) -> bool:
        """Whether the job's state is final."""
        return self in {JobStatus.SUCCEEDED, JobStatus.FAILED}


class KeyValue(AwsModel):
    """One environment variable."""

    name: str
    value: str = ""


class ResourceRequirement(AwsModel):
    """A resource that a container requires: VCPU, MEMORY (MiB) or GPU."""

    type: str
    value: str


class MountPoint(AwsModel):
    """Where a volume appears inside the container."""

    container_path: str
    source_volume: str
    read_only: bool = False


class Container(AwsModel):
    """The container of a job: its properties, and its result."""

    # Everything else of the definition (linuxParameters, user, ulimits, ...) is kept as it is and shown again.
    model_config = ConfigDict(extra="allow")

    image: str
    command: list[str] = Field(default_factory=list)
    environment: list[KeyValue] = Field(default_factory=list)
    resource_requirements: list[ResourceRequirement] = Field(default_factory=list)
    mount_points: list[MountPoint] = Field(default_factory=list)
    volumes: list[dict[str, Any]] = Field(default_factory=list)
    job_role_arn: str | None = None
    log_configuration: dict[str, Any] | None = None
    exit_code: int | None = None
    reason: str | None = None
    log_stream_name: str | None = None
    task_arn: str | None = None

    @property
    def vcpus(self) -> float:
        """The vCPUs that it occupies while it runs."""
        return sum(float(need.value) for need in self.resource_requirements if need.type == "VCPU") or 1.0


class AttemptContainer(AwsModel):
    """The result of one attempt's container."""

    task_arn: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    log_stream_name: str | None = None


class Attempt(AwsModel):
    """One attempt that has ended."""

    container: AttemptContainer
    started_at: int | None = None
    stopped_at: int
    status_reason: str


class EvaluateOnExit(AwsModel):
    """A rule that decides about a failed attempt; a condition that is not set matches anything."""

    action: str
    on_exit_code: str | None = None
    on_reason: str | None = None
    on_status_reason: str | None = None


class RetryStrategy(AwsModel):
    """How often a job is attempted."""

    attempts: int = 1
    evaluate_on_exit: list[EvaluateOnExit] = Field(default_factory=list)


class Timeout(AwsModel):
    """When an attempt is ended."""

    attempt_duration_seconds: int


class NodeRange(AwsModel):
    """Nodes that are alike."""

    model_config = ConfigDict(extra="allow")

    target_nodes: str
    """`0:3`, where either end may be left out."""
    container: Container


class NodeProperties(AwsModel):
    """The nodes of a multi-node parallel job."""

    num_nodes: int
    main_node: int
    node_range_properties: list[NodeRange]


class NodeDetails(AwsModel):
    """Which node of its job a node is."""

    node_index: int
    is_main_node: bool


class Job(AwsModel):
    """One job, or one node of a multi-node parallel job. Times are in milliseconds since the epoch."""

    job_id: str
    job_arn: str
    job_name: str
    job_queue: str
    job_definition: str
    status: JobStatus
    status_reason: str | None = None
    created_at: int
    started_at: int | None = None
    stopped_at: int | None = None
    attempts: list[Attempt] = Field(default_factory=list)
    retry_strategy: RetryStrategy = Field(default_factory=RetryStrategy)
    timeout: Timeout | None = None
    parameters: dict[str, str] = Field(default_factory=dict)
    container: Container | None = None
    """None for a multi-node parallel job: its nodes have one each."""
    node_properties: NodeProperties | None = None
    """Only for a multi-node parallel job."""
    node_details: NodeDetails | None = None
    """Of one of its nodes."""
    tags: dict[str, str] = Field(default_factory=dict)
    overrides_length: Annotated[int, Field(exclude=True)] = 0
    """Size of the submission's overrides over the definition, in characters; not shown to clients."""
    is_cancelled: bool = False
    is_terminated: bool = False

    @property
    def is_node(self) -> bool:
        """Whether it is a node, which belongs to another job."""
        return self.node_details is not None
