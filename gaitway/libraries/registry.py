"""The libraries that a request may name."""

from typing import Literal, get_args

from gaitway.libraries.record import LibraryRecord
from gaitway.libraries.rl_games import RL_GAMES
from gaitway.libraries.rsl_rl import RSL_RL
from gaitway.libraries.sb3 import SB3
from gaitway.libraries.skrl import SKRL

RlLibrary = Literal["rsl_rl", "rl_games", "skrl", "sb3"]

LIBRARIES: dict[RlLibrary, LibraryRecord] = {"rsl_rl": RSL_RL, "rl_games": RL_GAMES, "skrl": SKRL, "sb3": SB3}


def record_of(name: str) -> LibraryRecord:
    """Find a library's record.

    Raises:
        ValueError: There is none.
    """
    for record in LIBRARIES.values():
        if record.name == name:
            return record
    raise ValueError(f"{name!r} is not an RL library that is known here, allowed: {', '.join(get_args(RlLibrary))}")
