"""What there is to know about an RL library."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePosixPath

NUMBER = r"(?P<value>[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"
"""A number in a line that a library prints."""

_NUM_ENVS = re.compile(r"^ +num_envs: *(?P<count>[1-9]\d*) *$", re.MULTILINE | re.ASCII)


class Counts(Enum):
    """The unit of the number in a checkpoint's name, and of the step of logged scalars."""

    ITERATION_INDEX = auto()
    """Index of the iteration that was finished last, from 0."""
    ITERATIONS = auto()
    """Iterations that are done."""
    STEPS = auto()
    """Steps of each environment."""
    STEPS_OF_ALL = auto()
    """Steps of all environments together."""


@dataclass(frozen=True)
class CheckpointFiles:
    """How a library stores checkpoints."""

    suffix: str
    numbered: re.Pattern[str]
    """A whole file name; group `number` is what it counts."""
    best: re.Pattern[str] | None
    """A whole file name: the best so far, which has no number and is overwritten; None where it writes none."""
    directory: str | None
    """Folder in the directory of a training; None if they are in the directory itself."""
    shares_suffix: bool = False
    """Whether other kinds of files also have this suffix: then only files that are named as above count."""
    member: str = "data.pkl"
    """A file that the archive of every checkpoint holds: that of torch.save by default."""
    entries: tuple[str, ...] = ()
    """Keys of what torch.save wrote: a checkpoint has one of them, according to the library's release."""


@dataclass(frozen=True)
class ScalarTags:
    """What a library calls its scalars."""

    mean_reward: str
    mean_length: str
    """Environment steps of an episode."""
    steps_per_second: str | None
    """None: it does not log the duration of an iteration, and counts steps, so that it can be computed."""
    about_speed: str
    """Beginning of the tags that are about speed, not about what is learnt; in small letters."""
    iteration_seconds: tuple[str, ...]
    """The parts of an iteration's duration; empty if it logs none."""
    left_out: tuple[str, ...]
    """Endings of tags that are logged a second time, at another step than the iteration."""
    step_counter: str | None = None
    """Tag whose value is the iteration, if the step of the other tags is something else."""
    by_iteration: tuple[str, ...] = ()
    """Endings of those tags that are logged by iteration nevertheless."""


@dataclass(frozen=True)
class ProgressLines:
    """The lines in which a library itself reports its progress, for simulators that do not."""

    iteration: re.Pattern[str]
    """Groups `done` and `total`."""
    first_iteration: int
    """Number of the library's first iteration; the library reports an iteration's number when it is finished."""
    steps_per_second: re.Pattern[str]
    """Group `value`."""
    mean_reward: re.Pattern[str]
    """Group `value`."""


@dataclass(frozen=True)
class AgentSettings:
    """Names in Isaac Lab's settings of an agent for what a request also sets."""

    iterations: str
    """Length of the training: an override of it would change nothing."""
    checkpoint_interval: str | None
    """None: there is no such setting."""
    steps: str | None = None
    """Steps of each environment in an iteration; None for a library that counts iterations."""
    networks: tuple[tuple[str, ...], ...] = ()
    """Settings, below `agent.`, that decide whether a checkpoint fits, or how it acts; each with the names that other
    releases give it in `params/agent.yaml`."""


@dataclass(frozen=True)
class LibraryRecord:
    """One RL library."""

    name: str
    """As requests, Isaac Lab's scripts and the directory below `logs/` have it."""
    distribution: str
    """Its package on PyPI."""
    module: str
    """What Python imports."""
    checkpoints: CheckpointFiles
    counts: Counts
    """What checkpoints' names and metrics.csv's `step` count."""
    scalars: ScalarTags
    settings: AgentSettings
    steps_setting: re.Pattern[str] | None = None
    """The line of `params/agent.yaml` with the steps that each environment takes in an iteration, group `steps`; None
    for a library that counts iterations."""
    progress_lines: ProgressLines | None = None
    trains_in_several_processes: bool = True
    """Whether torchrun can start several that train one policy."""

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself."""
        if (self.counts in (Counts.STEPS, Counts.STEPS_OF_ALL)) != (self.steps_setting is not None):
            raise ValueError(f"{self.name}: steps_setting belongs to libraries that count steps, and to no other")

    def number_of(self, name: str) -> int | None:
        """Read the number in the name of one of its checkpoints; None where it is none, or has none.

        Args:
            name: File name, path or key.
        """
        match = self.checkpoints.numbered.fullmatch(PurePosixPath(name).name)
        return int(match["number"]) if match else None

    def is_best(self, name: str) -> bool:
        """Return whether this is the name of its best checkpoint so far."""
        best = self.checkpoints.best
        return best is not None and best.fullmatch(PurePosixPath(name).name) is not None

    def training_directory(self, checkpoint: Path) -> Path:
        """Find the directory of a checkpoint's training."""
        directory = checkpoint.parent
        return directory.parent if directory.name == self.checkpoints.directory else directory

    def iteration_length(self, params: Callable[[str], str | None]) -> int | None:
        """Return how many of its units an iteration has; None if the training's parameters do not contain that.

        Args:
            params: Returns the text of `agent.yaml` or `env.yaml` in the training's `params/`; None if there is none.
                Isaac Lab and the embedded simulator write both.
        """
        if self.steps_setting is None:
            return 1
        steps = self.steps_setting.search(params("agent.yaml") or "")
        environments = _NUM_ENVS.search(params("env.yaml") or "")
        if steps is None or (environments is None and self.counts is Counts.STEPS_OF_ALL):
            return None
        return self.length(int(steps["steps"]), int(environments["count"]) if environments else 1)

    def length(self, steps: int, num_envs: int) -> int:
        """Return how many of its units an iteration has.

        Args:
            steps: Steps of each environment in an iteration.
            num_envs: Environments over all processes.
        """
        return {Counts.STEPS: steps, Counts.STEPS_OF_ALL: steps * num_envs}.get(self.counts, 1)

    def environment_steps(self, num_envs: int) -> int:
        """Return how many environment steps one of its steps is.

        Args:
            num_envs: Environments over all processes.
        """
        return num_envs if self.counts is Counts.STEPS else 1

    def completed(self, number: float, length: int) -> float:
        """Return how many iterations are done at a number in its unit, with a fraction inside an iteration.

        Args:
            number: From a checkpoint's name, or the step of a logged scalar.
            length: See `iteration_length`.
        """
        if self.counts is Counts.ITERATION_INDEX:
            return number + 1
        return number if self.counts is Counts.ITERATIONS else number / length
