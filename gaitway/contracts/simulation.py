"""The interface between runner and simulator: one file in, a known layout of files out.

The runner writes a `SimulationJob` to `simulation.json` in the run's directory and starts
`python -m gaitway.simulators.<name> simulation.json` there. A simulator leaves
- trained: `logs/<library>/<experiment>/<time>/` as Isaac Lab's train.py does (checkpoints with native names,
  TensorBoard events, params/*.yaml, git/*.diff, videos/train/*.mp4), `exported/` in it, and a line
  `TRAINING_PROGRESS` on stdout as it goes;
- evaluated: the files below `EVALUATION_DIRECTORY`, and a line `EVALUATION_PROGRESS` on stdout as it goes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from gaitway.contracts.errors import RequestError
from gaitway.contracts.inputs import POLICY, RESUME_CHECKPOINT
from gaitway.contracts.model import Document, Model, Stored, UserModel
from gaitway.contracts.workload import AnyConfig, WorkloadConfig
from gaitway.libraries import RlLibrary

C = TypeVar("C", bound=WorkloadConfig)

LOGS_DIRECTORY = Path("logs")
"""Where Isaac Lab's scripts write, relative to the working directory."""
EVALUATION_DIRECTORY = Path("evaluation")
EVALUATION_METRICS = EVALUATION_DIRECTORY / "metrics.csv"
"""One row per episode: episode, environment, return, length, success, termination."""
EVALUATION_SUMMARY = EVALUATION_DIRECTORY / "summary.json"
"""An `EvaluationSummary`."""
EVALUATION_VIDEOS = EVALUATION_DIRECTORY / "videos"

EXPORTED_DIRECTORY = "exported"
"""In a training's directory, where Isaac Lab's play.py also creates it."""
EXPORTED_TORCHSCRIPT = "policy.pt"
EXPORTED_ONNX = "policy.onnx"
EXPORTED_SUMMARY = "policy.json"
"""A `PolicyExport`, written last."""
NOT_EXPORTED = "not-exported.txt"
"""In a training's directory, instead of `EXPORTED_DIRECTORY`: why there is no export, in words."""
LEAPP_DIRECTORY = "leapp"
"""In a training's directory: what LEAPP exported, from a robot's sensors to the targets of its joints."""
NO_LEAPP = "no-leapp.txt"
"""In a training's directory, instead of `LEAPP_DIRECTORY`: why there is none. A simulator without LEAPP has neither."""

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)"
TRAINING_PROGRESS = re.compile(
    rf"^Trained iterations: (?P<done>\d+)/(?P<total>\d+) "
    rf"\((?P<steps_per_second>\d+) steps/s(?:, mean reward (?P<mean_reward>{_NUMBER}))?\)",
    re.MULTILINE,
)
"""`done` counts the iterations of the run, over all its attempts. At most a few lines a second, and always the last
one."""
EVALUATION_PROGRESS = re.compile(r"^Evaluated episodes: (?P<done>\d+)/(?P<total>\d+)", re.MULTILINE)

SIMULATION_WARNING = re.compile(r"^Warning of the simulation: (?P<text>.+)$", re.MULTILINE)
"""What is optional has failed, such as a video. The line is shown with the run's results."""

_LIVE_VIEW = re.compile(r"^Live view: port (?P<port>\d{4,5})$", re.MULTILINE)
_PORTS = range(1024, 65_536)
"""Those that a simulator, which is no administrator, can serve at."""

EXIT_BAD_REQUEST = 2
"""Exit code of a simulator that cannot do what the request asks for; its last line of output says what is wrong."""

EXIT_NOT_A_NUMBER = 3
"""Exit code of a training that diverged; its last line of output is `NOT_A_NUMBER`. torchrun exits with its own code,
so that under torchrun only this line identifies the error."""
NOT_A_NUMBER = re.compile(r"^(?:NaN|infinity) in (?P<what>.+) at iteration (?P<iteration>\d+)$", re.MULTILINE)
"""Iterations count from 1."""


STOP_FILE = "stop-and-save"
"""When the runner puts this file into the run's directory, the leading process of a training saves a checkpoint after
the current iteration, and exits with `EXIT_STOPPED`."""
EXIT_STOPPED = 4


def live_view_line(port: int) -> str:
    """Write the line that a simulator prints when a page at a port of 127.0.0.1 shows it, until its process ends."""
    return f"Live view: port {port}"


def live_view_port(line: str) -> int | None:
    """Read the port from a line of a simulator's output; None if it is another line."""
    match = _LIVE_VIEW.match(line)
    port = int(match["port"]) if match else None
    return port if port in _PORTS else None


class CustomProject(Model):
    """A project that registers further tasks, in the way of Isaac Lab, when its modules are imported."""

    name: str
    """For messages: its folder in the archive, or the name of a wheel's distribution."""
    import_root: Path
    """Directory that the modules are imported from."""
    modules: tuple[str, ...]
    """To be imported in this order, after the simulation app has started and before any task is looked up."""
    folders: dict[str, Path] = Field(default_factory=dict)
    """Packages that are not in a folder of their own name below `import_root`."""
    replaces: tuple[str, ...] = ()
    """Top-level modules that take the place of the image's own, because the project says so."""


class CustomEnvironment(Model):
    """The installed packages of a run."""

    path: Path
    """Directory that everything is in."""
    projects: tuple[CustomProject, ...]
    """Most likely first. All of them can be imported from, and are imported until the task is registered."""
    passed_over: tuple[str, ...] = ()
    """What is in the packages and is not imported, and why, in words."""
    dependencies: Path | None = None
    """Directory with what was installed for this run, which the image does not have; None if that is nothing."""
    installed: dict[str, str] = Field(default_factory=dict)
    """Versions of what it holds, by distribution."""
    warnings: tuple[str, ...] = ()
    """What may be missing, in words."""


class SimulationJob(Model):
    """What the runner asks of a simulator. Paths are local: the runner has downloaded the files."""

    training: AnyConfig
    inputs: dict[str, Path] = Field(default_factory=dict)
    """Input files of the run, by name: those of `gaitway.contracts.inputs`, and others that a request may name."""
    continue_from: Path | None = None
    """Checkpoint of this run, from which the training continues to `max_iterations` in total.

    It is where the simulator wrote it, below `LOGS_DIRECTORY`: the training continues in the same directory.
    """
    custom_environment: CustomEnvironment | None = None

    @property
    def policy(self) -> Path | None:
        """Checkpoint to evaluate."""
        return self.inputs.get(POLICY)

    @property
    def resume_checkpoint(self) -> Path | None:
        """Weights to start training from."""
        return self.inputs.get(RESUME_CHECKPOINT)

    def asks(self, kind: type[C]) -> C:
        """Return the config, as that of one workload.

        Raises:
            RequestError: It belongs to another workload.
        """
        if not isinstance(self.training, kind):
            raise RequestError(f"trainingConfig.mode is {self.training.mode!r}, which this simulator cannot do here")
        return self.training


RESUMPTION_FILE = "resumed-at-{iteration}.json"
"""In a training's directory: a `Resumption`. It is optional."""


class Resumption(UserModel, Stored):
    """What an attempt that resumed has restored of the environments. The library's state is in docs/resume.md."""

    iteration: Annotated[int, Field(ge=0)]
    """Iterations that were done."""
    restored: tuple[str, ...]
    """In words."""
    anew: tuple[str, ...]
    """What could not be restored, and began anew, in words."""


RAN_WITH = "ran-with.json"
"""In the run's directory, written when a simulation begins: a `RanWith`."""


class RanWith(UserModel, Stored):
    """What a simulation ran with, as its own process found it."""

    simulator: str
    """`isaaclab-3`, `isaaclab-2` or `embedded`."""
    device: str
    """Name of the GPU, or of the CPU where there is none; in several processes, of the first one's."""
    versions: dict[str, str]
    """Of Python, of the packages that make the simulator, and of the RL library."""


class EvaluationSummary(UserModel, Stored):
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


class TensorDescription(UserModel, Stored):
    """An input or output of an exported policy."""

    name: str
    shape: tuple[int | str, ...]
    """A dimension that is given by a name may have any size."""
    dtype: str


class PolicyExport(UserModel, Document):
    """`policy.json`, beside an exported policy: its inputs, its outputs, and its origin."""

    task: str
    rl_library: RlLibrary
    checkpoint: str
    """Name of the checkpoint that holds the same policy."""
    iterations: Annotated[int, Field(ge=0)]
    """Iterations that it was trained for."""
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    normalisation: str
    """What the policy itself does to observations and actions, in words. Its user must not do that again."""
    max_abs_difference: dict[str, float]
    """By file: the largest difference between its actions and those that the library computes from the checkpoint."""
    compared_steps: Annotated[int, Field(ge=1)] = 1
    """Length of the sequences that were compared: more than one if the policy has a memory."""
    compared_observations: Annotated[int, Field(ge=1)]
