"""The watching of Isaac Lab 3.0's training, and evaluation with the library's own inference."""

from __future__ import annotations

import importlib
from typing import cast

from gaitway.libraries import RlLibrary
from gaitway.simulators.common.isaaclab.training import Library


def find_library(name: RlLibrary) -> Library:
    """Import a library."""
    return cast("Library", importlib.import_module(f"{__name__}.{name}"))
