"""What a run leaves behind (design, section 4): on EFS while it runs, in S3 for good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, RunHistory
from gaitway.contracts.inputs import WithInputs
from gaitway.contracts.model import Document, Stored, UserModel
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.simulation import EvaluationSummary, RanWith, Resumption
from gaitway.contracts.text import Like
from gaitway.contracts.workload import AnyConfig, Mode
from gaitway.libraries.simulators import Simulator

CHECKPOINTS = "checkpoints/"
EXPORTED = "exported/"
EXPORTED_LEAPP = f"{EXPORTED}leapp/"
PARAMETERS = "params/"
VIDEOS = "videos/"
METRICS = "metrics.csv"
TRAINING_CONFIG = "training-config.json"
EVALUATION_CONFIG = "evaluation-config.json"
SIMULATOR_LOG = "simulator.log"
LOCK_FILE = ".lock"
"""In a run's directory: locked by the attempt that works there."""
SYNCHRONISATION_MARKS = (".sagemaker-uploading", ".sagemaker-uploaded")
"""Endings of the empty files that SageMaker puts beside each file that it synchronises with S3:
github.com/aws/sagemaker-xgboost-container, `checkpointing.py`."""
EVENTS = "tensorboard/"
"""Of failed runs only: TensorBoard's own files, which metrics.csv holds otherwise."""
GPU_USAGE = "gpu-usage.csv"
"""A row per sample and GPU: time (seconds since 1970), node, gpu, utilization_percent, memory_used_mib,
memory_total_mib, power_watts."""
AS_THEY_ARE = (GPU_USAGE, SIMULATOR_LOG)
"""Files that have the same name in a run's directory and among its outputs, in every kind of run."""
HISTORY = "attempts.json"
"""In a run's directory: a `RunHistory`, which results.json contains at the end."""
RESULTS = "results.json"
REPORT = "report.html"
MANIFEST = "manifest.json"
"""Written last: a file that it does not list is not part of the results."""


def run_directory(efs_root: Path, run_id: str) -> Path:
    """The run's directory on EFS."""
    return efs_root / run_directory_name(run_id)


def run_directory_name(run_id: str) -> str:
    """The run's directory, seen from where EFS is mounted."""
    return f"runs/{run_id}"


class ManifestEntry(UserModel, Stored):
    """One uploaded file."""

    path: Annotated[str, Field(min_length=1)]
    """Relative to the run's output prefix."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    sha256: Annotated[str, Like(r"[0-9a-f]{64}", "64 hexadecimal digits in lower case")]


class Manifest(UserModel, Document):
    """`manifest.json`: every object of the run's outputs except itself."""

    run_id: str
    created_at: AwareDatetime
    files: list[ManifestEntry]


class RunConfig(UserModel, WithInputs, Document):
    """`training-config.json` and `evaluation-config.json`: the request, with every default filled in."""

    run_id: str
    name: str | None = None
    description: str | None = None
    group_id: str | None = None
    """Group that the run belongs to."""
    parent_run_id: str | None = None
    """Run that it follows from."""
    training_config: AnyConfig
    compute_config: ComputeConfig
    versions: dict[str, str]
    """Versions of the libraries that the runner found before the simulation began."""
    image: str | None = None
    """Container image with its digest; None if it did not run in a container."""


class TrainingSummary(UserModel, Stored):
    """The figures of a training."""

    iterations: int
    """Iterations trained in total."""
    final_checkpoint: str
    """Relative to the run's output prefix."""
    mean_reward: float | None
    """The last one that the library logged."""
    mean_steps_per_second: float | None
    training_seconds: float | None
    """Rollouts and learning, without start-up; None if no metrics could be read."""
    not_exported: str | None = None
    """Why there is no exported policy; None if there is one."""
    no_leapp: str | None = None
    """Why there is no export with LEAPP; None if there is one, and where the simulator makes none."""
    resumptions: tuple[Resumption, ...] | None = None
    """What each attempt that resumed could restore of the environments, and what not; None if the simulator does not
    say."""


class Results(UserModel, Document):
    """`results.json`: the outcome, for a machine to read."""

    run_id: str
    status: Literal["succeeded", "failed"]
    mode: Mode
    task: str
    simulator: Simulator | None = None
    """None in results of a version without a choice of simulators."""
    remark: str | None = None
    """Why it is this simulator, if the task's name means another one; and what the task is called there."""
    rl_library: str | None = None
    """None where the workload has none."""
    seed: int | None = None
    """Seed of the run: the requested one, or the one that was drawn; None if the library used its default."""
    attempts: int
    started_at: AwareDatetime | None = None
    """None where the run failed before its job began."""
    ended_at: AwareDatetime
    training: TrainingSummary | None = None
    evaluation: EvaluationSummary | None = None
    failure: Failure | None = None
    cost: Cost | None = None
    """Over all attempts; None where no price was known."""
    history: RunHistory | None = None
    """None where the run failed before its job began."""
    ran_with: RanWith | None = None
    """Of the newest attempt whose simulation began; None if none did."""
    warnings: list[str] = Field(default_factory=list)
    """What is optional and has failed, such as a video or an export; it does not fail the run."""
    files: list[ManifestEntry] | None = None
    """Of a failed run, which has no manifest: its files in S3. A file that is not listed is still on EFS.

    None in a run that succeeded, and for some seconds after a failure, until they have been uploaded.
    """
