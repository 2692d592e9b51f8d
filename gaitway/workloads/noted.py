"""Warnings of a run: what went wrong with something optional, kept in the run's directory until results.json lists it.

The runner notes them, from its own steps and from lines that the simulator prints.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from gaitway.contracts.simulation import SIMULATION_WARNING

logger = logging.getLogger(__name__)

FILE = "warnings.json"
"""In the run's directory."""
_MOST = 50
_MAX_CHARACTERS = 1000


def note_warning(directory: Path, text: str) -> None:
    """Note a warning, once; it is logged if it cannot be written.

    Args:
        directory: The run's directory.
        text: What went wrong, what that means for the results, and what to do.
    """
    text = " ".join(text.split())[:_MAX_CHARACTERS]
    known = noted_warnings(directory)
    if text in known or len(known) >= _MOST:
        return
    logger.warning("%s", text)
    draft = directory / f".{FILE}.draft"
    try:
        draft.write_text(json.dumps([*known, text], ensure_ascii=False), encoding="utf-8")
        draft.replace(directory / FILE)
    except OSError as error:
        logger.warning("the warning could not be kept for %s: %s", FILE, error)


def note_from_output(directory: Path, line: str) -> None:
    """Note the warning that a line of the simulator's output holds, if it holds one."""
    if match := SIMULATION_WARNING.match(line):
        note_warning(directory, match["text"])


def noted_warnings(directory: Path) -> list[str]:
    """List the warnings of a run, in the order in which they were noted."""
    try:
        found = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
