"""What the runner and a simulator tell each other: one file in, a known layout of files out.

The runner writes a `SimulationJob` to `simulation.json` in the run's directory and starts
`python -m container.simulators.<name> simulation.json` there. A simulator leaves
- trained: `logs/<library>/<experiment>/<time>/` as Isaac Lab's train.py does (checkpoints with native names,
  TensorBoard events, params/*.yaml, git/*.diff, videos/train/*.mp4), `exported/` in it, and a line
  `TRAINING_PROGRESS` on stdout as it goes;
- evaluated: the files below `EVALUATION_DIRECTORY`, and a line `EVALUATION_PROGRESS` on stdout as it goes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gaitway.contracts.model import Model, UserModel
from gaitway.contracts.request import RlLibrary, TrainingConfig

LOGS_DIRECTORY = Path("logs")
"""Where Isaac Lab's scripts write, relative to the working directory."""
EVALUATION_DIRECTORY = Path("evaluation")
EVALUATION_METRICS = EVALUATION_DIRECTORY / "metrics.csv"
"""One row per episode: episode, environment, return, length, success, termination."""
EVALUATION_SUMMARY = EVALUATION_DIRECTORY / "summary.json"
"""An `EvaluationSummary`."""
EVALUATION_VIDEOS = EVALUATION_DIRECTORY / "videos"

EXPORTED_DIRECTORY = "exported"
"""In a training's directory, where Isaac Lab's play.py makes it, too."""
EXPORTED_TORCHSCRIPT = "policy.pt"
EXPORTED_ONNX = "policy.onnx"
EXPORTED_SUMMARY = "policy.json"
"""A `PolicyExport`, written last."""

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)"
TRAINING_PROGRESS = re.compile(
    rf"^Trained iterations: (?P<done>\d+)/(?P<total>\d+) "
    rf"\((?P<steps_per_second>\d+) steps/s(?:, mean reward (?P<mean_reward>{_NUMBER}))?\)",
    re.MULTILINE,
)
"""`done` counts the iterations of the run, over all its attempts. At most a few lines a second; the last one always."""
EVALUATION_PROGRESS = re.compile(r"^Evaluated episodes: (?P<done>\d+)/(?P<total>\d+)", re.MULTILINE)

EXIT_BAD_REQUEST = 2
"""Exit code of a simulator that is asked for what is not there; its last line of output says what is wrong."""

EXIT_NOT_A_NUMBER = 3
"""Exit code of a training that diverged; its last line of output is `NOT_A_NUMBER`. Under torchrun, which exits with a
code of its own, only that line tells."""
NOT_A_NUMBER = re.compile(r"^(?:NaN|infinity) in (?P<what>.+) at iteration (?P<iteration>\d+)$", re.MULTILINE)
"""Iterations count from 1."""


STOP_FILE = "stop-and-save"
"""Where the runner puts this into the run's directory, the process that leads a training saves a checkpoint after the
iteration under way, and exits with `EXIT_STOPPED`."""
EXIT_STOPPED = 4


class CustomEnvironment(Model):
    """An installed package that registers further tasks, in the way of Isaac Lab, when it is imported."""

    path: Path
    """Directory that the modules are imported from."""
    modules: tuple[str, ...]
    """To be imported in this order: when the simulation app has started, and before any task is looked up."""


class SimulationJob(Model):
    """What the runner asks of a simulator. Paths are local: the runner has fetched what they name."""

    training: TrainingConfig
    policy: Path | None = None
    """Checkpoint to evaluate."""
    resume_checkpoint: Path | None = None
    """Weights to start training from."""
    continue_from: Path | None = None
    """Checkpoint of this very run, from which the training goes on to `max_iterations` in total.

    It lies where the simulator left it, below `LOGS_DIRECTORY`: what follows goes into the same directory.
    """
    custom_environment: CustomEnvironment | None = None


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


class TensorDescription(UserModel):
    """An input or output of an exported policy."""

    name: str
    shape: tuple[int | str, ...]
    """A dimension that is a name may have any size."""
    dtype: str


class PolicyExport(UserModel):
    """`policy.json`, beside an exported policy: what it takes, what it gives, and where it comes from."""

    task: str
    rl_library: RlLibrary
    checkpoint: str
    """Name of the checkpoint that holds the same policy."""
    iterations: Annotated[int, Field(ge=0)]
    """Iterations that it was trained for."""
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    normalisation: str
    """What the policy itself does to observations and actions, in words: nobody else needs to."""
    max_abs_difference: dict[str, float]
    """By file: the largest difference of an action from what the library itself computes from the checkpoint."""
    compared_observations: Annotated[int, Field(ge=1)]
