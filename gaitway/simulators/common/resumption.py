"""What a training that resumes takes up again, and what begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gaitway.contracts.simulation import RESUMPTION_FILE, Resumption
from gaitway.simulators.common.files import written_whole

_ANEW = (
    "states of the environments: all begin new episodes",
    "random numbers: drawn from another seed",
    "mean reward and length of the latest episodes: counted from here",
)
"""True of every simulator and library."""


def note_resumption(directory: Path, iteration: int, restored: Sequence[str], anew: Sequence[str]) -> None:
    """Write what an attempt resumes with, for results.json and the report.

    Args:
        directory: The training's directory.
        iteration: Iterations that are done.
        restored: What the simulator has restored of the environments, in words.
        anew: What it cannot restore, besides what no simulator can.
    """
    resumption = Resumption(iteration=iteration, restored=(*restored,), anew=(*anew, *_ANEW))
    with written_whole(directory / RESUMPTION_FILE.format(iteration=iteration)) as temporary:
        temporary.write_text(resumption.model_dump_json(by_alias=True, indent=2), encoding="utf-8")


def counted(steps: int) -> str:
    """Describe a restored step counter."""
    return f"the environments' step counter (common_step_counter): {steps}, for curricula that read it"
