"""What a run is, wherever it runs: its identity, its specification, its record and its progress."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import AwareDatetime, Field

from gaitway.contracts.artifacts import MANIFEST
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, Machine
from gaitway.contracts.inputs import WithInputs
from gaitway.contracts.limits import CALLER_GRACE_SECONDS
from gaitway.contracts.message import Caller, Message
from gaitway.contracts.model import Document, Model, Received, S3Uri, S3UriField, Stored, UserModel
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.simulation import RanWith
from gaitway.contracts.workload import AnyConfig, Mode
from gaitway.libraries.simulators import Simulator

_FILES_PATH = re.compile(r"(?:^|/)output/(?P<uuid>[^/]+)/files/$")

CALLER_GONE = (
    f"nobody has waited for this run for more than {CALLER_GRACE_SECONDS // 60} minutes: its caller was stopped, or "
    "timed out. It was cancelled; what it trained is kept, and a new run can continue from there (resumeFrom)"
)
"""The cause in the record of a run that is cancelled for that reason."""


def run_id_of(output_files_path: S3Uri) -> str:
    """Name the run that writes to an output path: the path is unique per workflow execution, so the id is too.

    The id is valid as the name of a job, as part of a Step Functions execution name, and as a directory.
    """
    return run_id_of_digest(hashlib.sha256(str(output_files_path).encode()).hexdigest())


def run_id_of_digest(digest: str) -> str:
    """Name the run with this digest."""
    return f"run-{digest[:20]}"


def workflow_output_path(bucket: str, execution_name: str) -> S3Uri:
    """Return the output path that the outer workflow (statemachines/workflow.py) gives to its run."""
    return S3Uri(bucket, f"runs/{execution_name}/output/{execution_name}/files/")


def output_prefix_of(output_files_path: S3Uri) -> S3Uri:
    """Return the prefix of a run's files: `{path}{uuid}/` for a path `.../output/{uuid}/files/`, else the path."""
    path = output_files_path / ""
    match = _FILES_PATH.search(path.key)
    return path / f"{match['uuid']}/" if match else path


_JOB_NAME = re.compile(r"(?P<run_id>run-[0-9a-f]{20})-[0-9a-f]{12}")


@dataclass(frozen=True)
class RunExecution:
    """An execution of the inner machine: its name links a run to its job.

    The execution is named after the run and the token of the caller that started it, and the job after the execution.
    So the same token never starts two executions, and a job of a replaced execution can be recognised.
    """

    arn: str

    @classmethod
    def begun_by(cls, task_token: str, run_id: str, machine_arn: str) -> Self:
        """Name the execution that a caller's token starts."""
        executions = machine_arn.replace(":stateMachine:", ":execution:")
        return cls(f"{executions}:{run_id}-{hashlib.sha256(task_token.encode()).hexdigest()[:12]}")

    @property
    def name(self) -> str:
        """Name of the execution."""
        return self.arn.rpartition(":")[2]

    @property
    def job_name(self) -> str:
        """Name of its job."""
        return self.name

    @property
    def run_id(self) -> str:
        """The run."""
        return self.name.rpartition("-")[0]

    @property
    def machine_arn(self) -> str:
        """The state machine."""
        return self.arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]


def run_id_of_job(job_name: str) -> str | None:
    """Return the run that a job's name belongs to; None for a name that `RunExecution.job_name` does not give."""
    match = _JOB_NAME.fullmatch(job_name)
    return match["run_id"] if match else None


class RunState(StrEnum):
    """The state of a run."""

    ACCEPTED = "accepted"
    """launch has accepted it; its inner execution is starting."""
    QUEUED = "queued"
    """The job waits for capacity."""
    RUNNING = "running"
    """The runner works on it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self in (RunState.SUCCEEDED, RunState.FAILED)


class RunSpec(WithInputs):
    """A request with every default filled in, and every input as an address that exists."""

    run_id: str
    name: str | None = None
    description: str | None = None
    group_id: str | None = None
    parent_run_id: str | None = None
    training: AnyConfig
    compute: ComputeConfig
    simulator: Simulator | None = None
    """Simulator that runs it; None in a document from a version without a choice."""
    remark: str | None = None
    """What was decided because the request left it open, or names a task as another simulator does; in words."""
    output_files: S3UriField
    """Prefix that only this run writes to."""
    output_metadata: S3UriField | None = None
    """Prefix for the metadata documents of the output files: each is named after its file."""
    caller: Caller | None = None
    """Kind of caller; None in a document from a version before November 2026."""

    @property
    def refused_suffixes(self) -> list[str]:
        """Suffixes of files that the caller does not accept."""
        return self.caller.refused_suffixes if self.caller else []

    @property
    def num_processes(self) -> int:
        """Number of processes that simulate, over all nodes."""
        return self.compute.num_nodes * self.compute.gpus_per_node


class Progress(Stored):
    """How far a simulation is; the fields after `total` are None until the simulator has reported them."""

    done: Annotated[int, Field(ge=0)]
    """Iterations trained, or episodes evaluated."""
    total: Annotated[int, Field(ge=1)]
    steps_per_second: float | None = None
    """Environment steps per second, over all environments."""
    mean_reward: float | None = None
    """Mean return of the latest episodes, as the library reports it."""
    eta_seconds: float | None = None


CONTINUING = 2
"""Schema version of the record of a run that continues another one: an older runner would train from the beginning."""


class RunRecord(Document):
    """The run's item in the run table, without secrets. Tokens are kept in a separate item."""

    known_version: ClassVar[int] = CONTINUING

    run_id: str
    state: RunState
    created_at: AwareDatetime
    updated_at: AwareDatetime
    mode: Mode | None = None
    task: str | None = None
    name: str | None = None
    simulator: Simulator | None = None
    """Simulator that runs it; a run that is started again keeps it."""
    group_id: str | None = None
    """Group that it belongs to; an index finds the runs of one."""
    parent_run_id: str | None = None
    """Run that it follows from."""
    execution_arn: str | None = None
    """The inner execution that the run belongs to; it may be about to start."""
    message_digest: str | None = None
    """Digest of the message that requested the run: distinguishes a repeated request from a different one."""
    job_id: str | None = None
    """The run's job."""
    job_claimed_at: AwareDatetime | None = None
    """When a call of submit_job began to submit a job; None before and after that."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """Attempt of the job, from 1."""
    attempts: Annotated[int, Field(ge=1)] | None = None
    """How often the runner has started, over all jobs of the run. The run belongs to the attempt with this number, and
    no other attempt writes its files."""
    started_at: AwareDatetime | None = None
    """When the runner started its first attempt."""
    ended_at: AwareDatetime | None = None
    caller_gone_at: AwareDatetime | None = None
    """Since when no caller has been known to wait for the run."""
    phase: str | None = None
    """What the runner is doing: the name of one of its steps."""
    progress: Progress | None = None
    warnings: list[str] | None = None
    """What is optional and has failed; it does not fail the run."""
    interruption: str | None = None
    """Why another attempt followed, or will follow, the one before it."""
    remark: str | None = None
    """What the runner decided because the request left it open: that the simulator runs with cameras."""
    machine: Machine | None = None
    """What the newest attempt runs on."""
    live_view_port: int | None = None
    """Of the page that shows the simulation, on 127.0.0.1 of that machine; None while an active run has none."""
    ran_with: RanWith | None = None
    """Of the newest attempt whose simulation began."""
    cost: Cost | None = None
    """Over all attempts; None if no price is known."""
    spec: RunSpec | None = None
    failure: Failure | None = None

    @property
    def remarks(self) -> list[str]:
        """What was decided for the run, in words: before its job, and by its runner."""
        return [remark for remark in (self.spec.remark if self.spec else None, self.remark) if remark]

    @property
    def output_files(self) -> S3Uri | None:
        """Prefix of the run's outputs."""
        return self.spec.output_files if self.spec else None

    @property
    def execution(self) -> RunExecution | None:
        """The inner execution that the run belongs to."""
        return RunExecution(self.execution_arn) if self.execution_arn is not None else None

    def awaits(self, job_id: str, job_name: str) -> bool:
        """Whether the run waits for this job; until its job is recorded, the name decides."""
        return (
            not self.state.ended
            and self.execution is not None
            and self.execution.job_name == job_name
            and self.job_id in (None, job_id)
        )


class RunTokens(Received):
    """The task tokens of a run: secrets, never printed."""

    external: Annotated[str | None, Field(repr=False)] = None
    """The token of the caller, which waits for the run."""
    inner: Annotated[str | None, Field(repr=False)] = None
    """The token of the inner machine's SubmitJob, which waits for the job."""


class PipelineInput(Received):
    """Input of the inner execution: what launch passes to ConstructRun."""

    run_id: str
    message: Message


class ConstructedRun(Received):
    """What ConstructRun passes to the states after it."""

    run_id: str
    timeout_seconds: int


class JobResult(Received):
    """What the runner reports when it succeeds."""

    run_id: str
    manifest: S3UriField
    attempts: Annotated[int | None, Field(ge=1)] = None
    """Number of the attempt with these results, as in the run's record; None from the runner of an older image."""


class RunResult(UserModel, Received):
    """What a caller receives with a run's success."""

    job_id: str
    """The run's id."""
    status: str
    output_path: S3UriField
    """Prefix of the run's outputs."""
    manifest: S3UriField

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """Describe a run that succeeded.

        Raises:
            ValueError: The run ended before it had outputs.
        """
        if record.output_files is None:
            raise ValueError(f"{record.run_id} has no specification, and so no outputs")
        return cls(
            job_id=record.run_id,
            status=record.state.name,
            output_path=record.output_files,
            manifest=record.output_files / MANIFEST,
        )


class LaunchAnswer(UserModel, Received):
    """The body of launch's answer."""

    job_id: str
    """The run's id, under the name that callers know: to them, a pipeline's run is a job."""
    execution_arn: str | None
    status: str


def to_json(model: Model) -> dict[str, Any]:
    """Write a model as a JSON object, as a Lambda returns it."""
    return model.model_dump(mode="json", by_alias=True)
