"""Find out whether it is the code of the custom environment that made a simulator fail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from container.runner.judge import quote
from container.runner.known_failures import recognise
from container.runner.simulate import Ending, SimulatorExit
from gaitway.contracts.errors import CustomEnvironmentError, RequestError
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, NOT_A_NUMBER, CustomEnvironment

_RANK = re.compile(r"^\[(?:rank|default)?\d+\]: ?")
"""torch puts a process's rank before the lines of its traceback."""
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_ERROR = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")


@dataclass(frozen=True)
class Blamed:
    """Where the package's own code failed."""

    error: str
    """The traceback's last line."""
    file: Path
    line: int


def judge_custom_environment(end: SimulatorExit, custom: CustomEnvironment | None) -> None:
    """Refuse a package through whose code a traceback goes; to be asked as long as nothing has been trained with it.

    Args:
        end: How the simulator ended.
        custom: The package; None where there is none.

    Raises:
        CustomEnvironmentError: The traceback's own words, and where it happened.
    """
    if custom is None or end.ending is not Ending.EXITED or end.code in (0, EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER):
        return
    known = recognise(end.lines)
    if known is not None and not issubclass(known.error, RequestError):
        # The machine, or numbers, at fault: the package's code is only where that shows.
        return
    blamed = blame(end.lines, custom.path)
    if blamed is None or any(NOT_A_NUMBER.match(line) for line in end.lines):
        return
    raise CustomEnvironmentError(
        f"the custom environment failed: {blamed.error} ({blamed.file.relative_to(custom.path)}, line {blamed.line}). "
        f"Mend the package, and start a new run with it. {quote(end)}"
    )


def blame(lines: Sequence[str], root: Path) -> Blamed | None:
    """Find the last traceback that goes through files below a directory.

    Args:
        lines: Output of a simulator.
        root: Where the package is.
    """
    found: Blamed | None = None
    place: tuple[Path, int] | None = None
    for line in (_RANK.sub("", line) for line in lines):
        if line.startswith("Traceback (most recent call last)"):
            place = None
        elif match := _FRAME.match(line):
            file = Path(match["file"])
            place = (file, int(match["line"])) if file.is_relative_to(root) else place
        elif place is not None and _ERROR.match(line):
            found = Blamed(line.strip(), *place)
            place = None
    return found
