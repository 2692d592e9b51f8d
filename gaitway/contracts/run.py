"""What a run is, free of where it runs: its identity, its specification, its record and its progress."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field

from gaitway.contracts.artifacts import MANIFEST
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, Machine
from gaitway.contracts.model import Model, S3Uri, S3UriField, UserModel
from gaitway.contracts.request import ComputeConfig, Mode, TrainingConfig, VamsMessage

_VAMS_FILES_PATH = re.compile(r"(?:^|/)output/(?P<uuid>[^/]+)/files/$")

TIMEOUT_SECONDS: dict[Mode, int] = {"train": 28_800, "evaluate": 7_200}
"""How long a caller waits for a run: design, section 1."""
HEARTBEAT_TIMEOUT_SECONDS = 1_500
"""The inner machine's SubmitJob gives up after this long without a heartbeat: early enough to tell an evaluation's
caller why, who gives up after 1800 seconds."""
CALLER_GRACE_SECONDS = 600
"""A run whose caller has gone is cancelled after this long: VAMS tries a failed step again after 5 seconds, with a new
token for the same run."""
CALLER_GONE = (
    f"nobody has waited for this run for more than {CALLER_GRACE_SECONDS // 60} minutes: its caller was stopped, or "
    "timed out. It was cancelled; what it trained is kept, and a new run can start from there (resumeCheckpoint)"
)
"""What is written down where a run is cancelled for that reason."""
CLOSING_SECONDS = 600
"""Kept back from a caller's timeout, so that the inner machine ends first and the caller reads the real cause."""


def run_id_of(output_files_path: S3Uri) -> str:
    """Name the run that writes to an output path: the path is unique per workflow execution, so the id is too.

    The id is valid as a Batch job name, as part of a Step Functions execution name, and as a directory.
    """
    return _run_id(hashlib.sha256(str(output_files_path).encode()).hexdigest())


def run_id_of_message(message: VamsMessage) -> str:
    """Name the run that a message asks for: after its output path, and after all of it where steps share that path.

    A step that is tried again sends the same message, so that it means the same run.
    """
    if message.follows_another_step:
        return _run_id(message_digest(message))
    return run_id_of(message.output_s3_asset_files_path)


def message_digest(message: VamsMessage) -> str:
    """Digest a message, to tell the same run again from another one."""
    return hashlib.sha256(json.dumps(to_json(message), sort_keys=True).encode()).hexdigest()


def _run_id(digest: str) -> str:
    return f"run-{digest[:20]}"


def workflow_output_path(bucket: str, execution_name: str) -> S3Uri:
    """Say which output path the outer workflow (statemachines/workflow.asl.json) gives to the run it asks for."""
    return S3Uri(bucket, f"runs/{execution_name}/output/{execution_name}/files/")


def output_prefix_of(output_files_path: S3Uri) -> S3Uri:
    """Say where a run's files go: `{path}{uuid}/` where the path ends `/output/{uuid}/files/`, else the path itself."""
    path = output_files_path / ""
    match = _VAMS_FILES_PATH.search(path.key)
    return path / f"{match['uuid']}/" if match else path


def output_prefix_of_step(message: VamsMessage, mode: Mode, run_id: str) -> S3Uri:
    """Say where the files go of the run that a message asks for: beside those of the steps before it.

    Args:
        message: The message.
        mode: What the run does, to tell its folder from others at a glance.
        run_id: The run.
    """
    path = message.output_s3_asset_files_path
    if message.follows_another_step:
        return path / f"{mode}-{run_id.removeprefix('run-')[:8]}/"
    return output_prefix_of(path)


class RunState(StrEnum):
    """Where a run stands."""

    ACCEPTED = "accepted"
    """launch took it; its inner execution is starting."""
    QUEUED = "queued"
    """The job waits for capacity."""
    RUNNING = "running"
    """The runner is at work."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the run by itself."""
        return self in (RunState.SUCCEEDED, RunState.FAILED)


class RunSpec(Model):
    """A request, resolved: every default filled in, every input an address that exists."""

    run_id: str
    name: str | None = None
    description: str | None = None
    training: TrainingConfig
    compute: ComputeConfig
    policy: S3UriField | None = None
    """Checkpoint to evaluate."""
    resume_checkpoint: S3UriField | None = None
    """Weights to start training from."""
    custom_environment: S3UriField | None = None
    """Package that registers further tasks."""
    output_files: S3UriField
    """Prefix that this run, and no other, writes to."""
    output_metadata: S3UriField | None = None
    """Prefix for the documents of what VAMS is to note of the output files: each has the name of its file there."""


class Progress(Model):
    """How far a simulation is; the fields after `total` are None until the simulator has said them."""

    done: Annotated[int, Field(ge=0)]
    """Iterations trained, or episodes evaluated."""
    total: Annotated[int, Field(ge=1)]
    steps_per_second: float | None = None
    """Environment steps per second, over all environments."""
    mean_reward: float | None = None
    """Mean return of the latest episodes, as the library reports it."""
    eta_seconds: float | None = None


class RunRecord(Model):
    """The run's item in the run table, as everybody may read it. Tokens are kept in an item of their own."""

    run_id: str
    state: RunState
    created_at: AwareDatetime
    updated_at: AwareDatetime
    mode: Mode | None = None
    task: str | None = None
    name: str | None = None
    execution_arn: str | None = None
    """The inner execution that the run belongs to; it may be about to start."""
    message_digest: str | None = None
    """Digest of the message that asked for the run, to tell the same run again from another one."""
    job_id: str | None = None
    """The Batch job."""
    job_claimed_at: AwareDatetime | None = None
    """Since when a call of submit_job has been at work on a job; None before and after that."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """Attempt of the Batch job, from 1."""
    attempts: Annotated[int, Field(ge=1)] | None = None
    """How often the runner has begun, over all jobs of the run."""
    started_at: AwareDatetime | None = None
    """When the runner began its first attempt."""
    ended_at: AwareDatetime | None = None
    caller_gone_at: AwareDatetime | None = None
    """Since when, as far as is known, nobody has waited for the run."""
    phase: str | None = None
    """What the runner is doing: the name of one of its steps."""
    progress: Progress | None = None
    machine: Machine | None = None
    """What the newest attempt runs on."""
    cost: Cost | None = None
    """Over all attempts; None as long as no price is known."""
    spec: RunSpec | None = None
    failure: Failure | None = None

    @property
    def output_files(self) -> S3Uri | None:
        """Prefix of the run's outputs."""
        return self.spec.output_files if self.spec else None


class RunTokens(Model):
    """The task tokens of a run: secrets, never printed."""

    external: Annotated[str | None, Field(repr=False)] = None
    """The caller's, who waits for the run."""
    inner: Annotated[str | None, Field(repr=False)] = None
    """The inner machine's SubmitJob, which waits for the job."""


class PipelineInput(Model):
    """Input of the inner execution: what launch hands to ConstructRun."""

    run_id: str
    message: VamsMessage


class ConstructedRun(Model):
    """What ConstructRun hands on to the states after it."""

    run_id: str
    timeout_seconds: int


class JobResult(Model):
    """What the runner reports with its success."""

    run_id: str
    manifest: S3UriField


class RunResult(UserModel):
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
            ValueError: The run never got as far as having outputs.
        """
        if record.output_files is None:
            raise ValueError(f"{record.run_id} has no specification, and so no outputs")
        return cls(
            job_id=record.run_id,
            status=record.state.name,
            output_path=record.output_files,
            manifest=record.output_files / MANIFEST,
        )


class LaunchAnswer(UserModel):
    """The body of launch's answer."""

    job_id: str
    """The run's id: VAMS calls every pipeline's run a job."""
    execution_arn: str | None
    status: str


def to_json(model: Model) -> dict[str, Any]:
    """Write a model as a JSON object, as a Lambda returns it."""
    return model.model_dump(mode="json", by_alias=True)


def as_timestamp(moment: datetime) -> str:
    """Write a moment as ISO 8601 in whole seconds."""
    return moment.isoformat(timespec="seconds")
