"""The simulation app of Isaac Sim: code that runs as soon as it has started."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from gaitway.simulators.common.ranks import replaced


@contextlib.contextmanager
def when_started(do: Callable[[], None]) -> Iterator[None]:
    """Call a function after the start of the simulation app and before the next step of the code that starts it.

    Isaac Lab's scripts start the app when they are loaded, and create the environment right after that. Custom tasks
    and the modules that watch the libraries can be imported only in between.

    Args:
        do: The function, called once for each app.
    """
    import isaaclab.app

    class Launcher(isaaclab.app.AppLauncher):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **kwargs)
            do()

    with replaced(isaaclab.app, "AppLauncher", Launcher):
        yield
