"""Find out whether the custom environment's code made a simulator fail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitway.contracts.errors import CustomEnvironmentError, RequestError
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, NOT_A_NUMBER, CustomEnvironment
from gaitway.packages.image import distribution_of
from gaitway.runner.known_failures import recognise
from gaitway.runner.processes.simulate import Ending, SimulatorExit
from gaitway.runner.verdict.judge import quote

_RANK = re.compile(r"^\[(?:rank|default)?\d+\]: ?")
"""torch puts a process's rank before the lines of its traceback."""
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'")
_ERROR = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")


@dataclass(frozen=True)
class Blamed:
    """Where the package's own code failed."""

    error: str
    """The traceback's last line."""
    file: Path
    line: int


def judge_custom_environment(end: SimulatorExit, custom: CustomEnvironment | None) -> None:
    """Blame a package if the traceback goes through its code. To be called only as long as nothing was trained with it.

    Args:
        end: How the simulator ended.
        custom: The package; None if there is none.

    Raises:
        CustomEnvironmentError: The traceback's own message, and where it was raised.
    """
    if custom is None or end.ending is not Ending.EXITED or end.code in (0, EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER):
        return
    known = recognise(end.lines)
    if known is not None and not issubclass(known.error, RequestError):
        # The machine or NaN values are the cause; the package's code is only where they show.
        return
    blamed = blame(end.lines, custom.path)
    if blamed is None or any(NOT_A_NUMBER.match(line) for line in end.lines):
        return
    raise CustomEnvironmentError(
        f"the custom environment failed: {blamed.error} ({_shown(blamed.file, custom)}, line {blamed.line}). "
        f"{_cure(blamed.error)}. {quote(end)}"
    )


def _shown(file: Path, custom: CustomEnvironment) -> Path:
    """Name a file as its author knows it: by its place in the project."""
    roots = [custom.path, *(project.import_root for project in custom.projects)]
    return min(
        (file.relative_to(root) for root in roots if file.is_relative_to(root)), key=lambda path: len(path.parts)
    )


def _cure(error: str) -> str:
    """Say what to do about a package's error."""
    missing = _NO_MODULE.match(error)
    if missing is None:
        return "Mend the package, and start a new run with it"
    module = missing["module"].partition(".")[0]
    return (
        f"Declare {distribution_of(module) or module} among the package's dependencies and give "
        "trainingConfig.installDependencies: true, or put its code into the archive"
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
