"""The simulation app: what is done as soon as it has started, and how its process ends."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from container.simulators.common.ranks import replaced

CLOSING_SECONDS = 20.0
"""For how long Kit may close. The runner would wait a minute, and then end the process by force."""


@contextlib.contextmanager
def when_started(do: Callable[[], None]) -> Iterator[None]:
    """Do something between the start of the simulation app and whatever the code that starts it does next.

    Isaac Lab's scripts start the app when they are loaded, and make the environment right after that. Custom tasks, and
    what watches over the libraries, can be imported neither before the one nor after the other.

    Args:
        do: What to do, once for each app.
    """
    import isaaclab.app

    class Launcher(isaaclab.app.AppLauncher):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **kwargs)
            do()

    with replaced(isaaclab.app, "AppLauncher", Launcher):
        yield


def end_soon() -> None:
    """See to it that the process ends, with success: its work is done, and Kit may hang while it closes."""

    def wait() -> None:
        time.sleep(CLOSING_SECONDS)
        end(0)

    flush()
    threading.Thread(target=wait, name="closing", daemon=True).start()


def end(code: int) -> NoReturn:
    """End the process at once: Kit's own way of closing would put 0 in the place of any other exit code."""
    flush()
    os._exit(code)


def flush() -> None:
    """Bring out what was printed: Kit may end the process before Python does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
