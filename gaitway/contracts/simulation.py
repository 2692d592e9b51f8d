"""What the runner and a simulator tell each other: one file in, a known layout of files out.

The runner writes a `SimulationJob` to `simulation.json` in the run's directory and starts
`python -m container.simulators.<name> simulation.json` there. A simulator leaves
- trained: `logs/<library>/<experiment>/<time>/` as Isaac Lab's train.py does (checkpoints with native names,
  TensorBoard events, params/*.yaml, git/*.diff, videos/train/*.mp4);
- evaluated: the files below `EVALUATION_DIRECTORY`, and a line `EVALUATION_PROGRESS` on stdout as it goes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gaitway.contracts.model import Model, UserModel
from gaitway.contracts.request import TrainingConfig

LOGS_DIRECTORY = Path("logs")
"""Where Isaac Lab's scripts write, relative to the working directory."""
EVALUATION_DIRECTORY = Path("evaluation")
EVALUATION_METRICS = EVALUATION_DIRECTORY / "metrics.csv"
"""One row per episode: episode, environment, return, length, success, termination."""
EVALUATION_SUMMARY = EVALUATION_DIRECTORY / "summary.json"
"""An `EvaluationSummary`."""
EVALUATION_VIDEOS = EVALUATION_DIRECTORY / "videos"

EVALUATION_PROGRESS = re.compile(r"^Evaluated episodes: (?P<done>\d+)/(?P<total>\d+)", re.MULTILINE)

EXIT_BAD_REQUEST = 2
"""Exit code of a simulator that is asked for what is not there; its last line of output says what is wrong."""


class SimulationJob(Model):
    """What the runner asks of a simulator. Paths are local: the runner has fetched what they name."""

    training: TrainingConfig
    policy: Path | None = None
    """Checkpoint to evaluate."""
    resume_checkpoint: Path | None = None
    """Weights to start training from."""
    custom_environment: Path | None = None
    """Archive of a package that registers further tasks."""


class EvaluationSummary(UserModel):
    """The figures over all counted episodes: exactly one per environment and round."""

    episodes: Annotated[int, Field(ge=1)]
    mean_return: float
    std_return: float
    min_return: float
    max_return: float
    mean_length: float
    """Environment steps."""
    success_rate: Annotated[float, Field(ge=0, le=1)]
    success_definition: str
    """What counts as a success in this task, in words."""
