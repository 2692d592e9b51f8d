"""Videos of environments: recorded while they are stepped, drawn and encoded afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitway.simulators.common.episodes import Step
from gaitway.simulators.common.optional import optional
from gaitway.simulators.common.video import write_video
from gaitway.simulators.embedded.vector_environment import VectorEnvironment

FRAMES_PER_SECOND = 30
MAX_VIEWS = 4
"""Environments shown side by side."""


@dataclass(frozen=True)
class Ending:
    """How the episode in a view ended; its last state is shown from then on."""

    step: int
    success: bool
    text: str


@dataclass(frozen=True)
class View:
    """One environment at one moment."""

    states: NDArray[np.float32]
    """As the environment's `drawable_states` gave them."""
    episode_return: float
    """Sum of the episode's rewards so far."""
    ending: Ending | None
    """None while the episode is running."""


class Painter(Protocol):
    """Draws the views of one moment as a picture."""

    def __call__(self, views: list[View], seconds: float) -> NDArray[np.uint8]:
        """Return a picture of the shape (height, width, 3), both of them even."""


class Recorder:
    """Records the states of the first environments. It only reads: metrics are the same without it."""

    def __init__(self, environment: VectorEnvironment, max_views: int = MAX_VIEWS) -> None:
        self.num_views = min(max_views, MAX_VIEWS, environment.num_envs)
        self._environment = environment
        self._states: list[Tensor] = []
        self._returns = [torch.zeros(self.num_views, device=environment.device)]
        self._restarted = torch.zeros(self.num_views, dtype=torch.bool, device=environment.device)

    @property
    def steps(self) -> int:
        """How many steps are recorded."""
        return len(self._returns) - 1

    def record(self, step: Step) -> None:
        """Record a step that the environment has just made."""
        shown = slice(self.num_views)
        self._states.append(self._environment.drawable_states(self.num_views))
        before = torch.where(self._restarted, 0, self._returns[-1])
        self._returns.append(before + step.rewards[shown])
        self._restarted = (step.terminated | step.time_outs)[shown]

    def write(self, path: Path, title: str, subtitle: str, endings: list[Ending] | None = None) -> None:
        """Draw the recorded steps and write them as H.264 in the pixel format that browsers play.

        Args:
            path: The .mp4 file.
            title: First line above the picture.
            subtitle: Second line above the picture.
            endings: How the episode of each view ended; without it the views continue into the next episodes.
        """
        painter = self._environment.painter(self.num_views, title, subtitle)
        write_video(path, self._frames(painter, endings), FRAMES_PER_SECOND)

    def _frames(self, painter: Painter, endings: list[Ending] | None) -> Iterator[NDArray[np.uint8]]:
        states = torch.stack(self._states).cpu().numpy()
        returns = torch.stack(self._returns[1:]).cpu().numpy()
        steps_per_frame = 1 / (FRAMES_PER_SECOND * self._environment.step_seconds)
        last = max(ending.step for ending in endings) if endings else self.steps
        for frame in range(frame_count(last, self._environment.step_seconds)):
            # The current step at the end of the frame; slightly less, since exact multiples may be rounded up.
            now = min(math.ceil((frame + 1) * steps_per_frame - 1e-6), last)
            views = []
            for view in range(self.num_views):
                ending = endings[view] if endings and endings[view].step <= now else None
                index = (ending.step if ending else now) - 1
                views.append(View(states[index, view], float(returns[index, view]), ending))
            yield painter(views, now * self._environment.step_seconds)


def frame_count(steps: int, step_seconds: float) -> int:
    """Count the frames that show so many steps at the speed at which they were simulated; at least one."""
    return max(1, round(steps * step_seconds * FRAMES_PER_SECOND))


class TrainingVideos:
    """Records the training every so often, with the intervals and file names of Isaac Lab's train.py."""

    INTERVAL_STEPS = 2000
    LENGTH_STEPS = 200

    def __init__(self, environment: VectorEnvironment, title: str, directory: Path, first_step: int = 0) -> None:
        self._environment = environment
        self._title = title
        self._directory = directory
        self._step_number = first_step
        self._started_at = 0
        self._recorder: Recorder | None = None

    def on_step(self, step: Step) -> None:
        """Record a step of the training. An error ends the recording, and never the training."""
        with optional(self._lost()):
            self._record(step)
            return
        self._recorder = None

    def _record(self, step: Step) -> None:
        if self._step_number % self.INTERVAL_STEPS == 0:
            self._started_at = self._step_number
            self._recorder = Recorder(self._environment)
        self._step_number += 1
        if self._recorder is not None:
            self._recorder.record(step)
            if self._recorder.steps == self.LENGTH_STEPS:
                self.close()

    def close(self) -> None:
        """Write the video that is being recorded, if there is one, even if it is short."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            with optional(self._lost()):
                recorder.write(self._directory / self._name, self._title, f"training, from step {self._started_at}")

    @property
    def _name(self) -> str:
        return f"rl-video-step-{self._started_at}.mp4"

    def _lost(self) -> str:
        return f"there is no video {self._name} of the training"
