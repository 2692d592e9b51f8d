"""What a run leaves behind (design, section 4): on EFS while it runs, in S3 for good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, RunHistory
from gaitway.contracts.model import UserModel
from gaitway.contracts.request import ComputeConfig, Mode, TrainingConfig
from gaitway.contracts.simulation import EvaluationSummary

CHECKPOINTS = "checkpoints/"
EXPORTED = "exported/"
PARAMETERS = "params/"
VIDEOS = "videos/"
METRICS = "metrics.csv"
TRAINING_CONFIG = "training-config.json"
EVALUATION_CONFIG = "evaluation-config.json"
CONFIG_FILES: dict[Mode, str] = {"train": TRAINING_CONFIG, "evaluate": EVALUATION_CONFIG}
SIMULATOR_LOG = "simulator.log"
LOCK_FILE = ".lock"
"""In a run's directory: locked by the attempt that is at work there."""
EVENTS = "tensorboard/"
"""Of failed runs only: TensorBoard's own files, which metrics.csv holds otherwise."""
GPU_USAGE = "gpu-usage.csv"
"""A row per sample and GPU: time (seconds since 1970), node, gpu, utilization_percent, memory_used_mib,
memory_total_mib, power_watts."""
HISTORY = "attempts.json"
"""In a run's directory: a `RunHistory`, which results.json has at the end."""
RESULTS = "results.json"
REPORT = "report.html"
MANIFEST = "manifest.json"
"""Written last: what it does not list is no part of the results."""


def run_directory(efs_root: Path, run_id: str) -> Path:
    """The run's directory on EFS."""
    return efs_root / "runs" / run_id


class ManifestEntry(UserModel):
    """One uploaded file."""

    path: Annotated[str, Field(min_length=1)]
    """Relative to the run's output prefix."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(UserModel):
    """`manifest.json`: every object of the run's outputs but itself."""

    run_id: str
    created_at: AwareDatetime
    files: list[ManifestEntry]


class RunConfig(UserModel):
    """`training-config.json` and `evaluation-config.json`: what was asked for, every default filled in."""

    run_id: str
    name: str | None = None
    description: str | None = None
    training_config: TrainingConfig
    compute_config: ComputeConfig
    policy: str | None = None
    resume_checkpoint: str | None = None
    custom_environment: str | None = None
    versions: dict[str, str]
    """Versions of the libraries that ran it."""
    image: str | None = None
    """Container image with its digest; None where it ran in none."""


class TrainingSummary(UserModel):
    """The figures of a training."""

    iterations: int
    """Iterations trained in total."""
    final_checkpoint: str
    """Relative to the run's output prefix."""
    mean_reward: float | None
    """The last one that the library logged."""
    mean_steps_per_second: float | None
    training_seconds: float


class Results(UserModel):
    """`results.json`: the outcome, for a machine to read."""

    run_id: str
    status: Literal["succeeded", "failed"]
    mode: Mode
    task: str
    rl_library: str
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
    files: list[ManifestEntry] | None = None
    """Of a failed run, which has no manifest: what S3 holds of it. A file that is not listed is still on EFS."""
