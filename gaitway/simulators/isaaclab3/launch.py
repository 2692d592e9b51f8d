"""Isaac Lab's launch of a simulation, which passes on the errors that we report in one line without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import isaaclab.app

from gaitway.simulators.common.exits import KNOWN_ERRORS
from gaitway.simulators.common.optional import optional
from gaitway.simulators.isaaclab3.kernels import ask_for_cubin

_LAUNCH: Any = isaaclab.app.launch_simulation


class _Passing(SystemExit):
    """One of our errors on its way through Isaac Lab, which prints the traceback of every `Exception`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(1)
        self.error = error


@contextmanager
def launch_quietly(config: Any, arguments: Any = None, *, live_view: bool = False) -> Iterator[Any]:  # noqa: ANN401
    """Launch a simulation as `isaaclab.app.launch_simulation` does.

    Args:
        config: The environment's configuration.
        arguments: Isaac Lab's launcher arguments.
        live_view: Whether it serves a page that shows it.

    Yields:
        The configuration of the physics.
    """
    if live_view:
        add_live_view(config, arguments)
    ask_for_cubin()
    try:
        with _LAUNCH(config, arguments) as physics:
            try:
                yield physics
            except KNOWN_ERRORS as error:
                raise _Passing(error) from error
    except _Passing as passing:
        raise passing.error from None


def add_live_view(config: Any, arguments: Any = None) -> None:  # noqa: ANN401
    """Let the simulation of a configuration serve a page that shows it; a warning says why it cannot.

    Args:
        config: The environment's configuration.
        arguments: Isaac Lab's launcher arguments.
    """
    with optional("there is no live view"):
        # Imported now: what it needs is loaded by simulations that are looked at, and by no others.
        from gaitway.simulators.isaaclab3.live_view import visualizer

        present = config.sim.visualizer_cfgs
        added = visualizer()
        config.sim.visualizer_cfgs = [*(present if isinstance(present, list) else [present]), added]
        if named := getattr(arguments, "visualizer", None):
            # Of the configuration's, Isaac Lab then takes those that the command line names, as for a video.
            arguments.visualizer = [*([named] if isinstance(named, str) else named), added.visualizer_type]


def launch_our_way(*, live_view: bool) -> None:
    """Make the backends of Isaac Lab's training, which are imported later, launch with `launch_quietly`."""
    isaaclab.app.launch_simulation = partial(launch_quietly, live_view=live_view)
