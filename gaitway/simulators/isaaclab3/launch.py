"""Isaac Lab's launch of a simulation, which passes on the errors that we report in one line without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import isaaclab.app

from gaitway.simulators.common.exits import KNOWN_ERRORS

_LAUNCH: Any = isaaclab.app.launch_simulation


class _Passing(SystemExit):
    """One of our errors on its way through Isaac Lab, which prints the traceback of every `Exception`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(1)
        self.error = error


@contextmanager
def launch_quietly(config: Any, arguments: Any = None) -> Iterator[Any]:  # noqa: ANN401
    """Launch a simulation as `isaaclab.app.launch_simulation` does.

    Args:
        config: The environment's configuration.
        arguments: Isaac Lab's launcher arguments.

    Yields:
        The configuration of the physics.
    """
    try:
        with _LAUNCH(config, arguments) as physics:
            try:
                yield physics
            except KNOWN_ERRORS as error:
                raise _Passing(error) from error
    except _Passing as passing:
        raise passing.error from None


def say_known_errors_once() -> None:
    """Make the backends of Isaac Lab's training, which are imported later, launch this way."""
    isaaclab.app.launch_simulation = launch_quietly
