"""What MiniStack lacks, registered with it from outside.

An extension is a module with `register()`, which puts its parts into MiniStack's tables before the first request.
"""

from importlib.metadata import version

from gaitway.local.extensions import (
    batch,
    cloudformation,
    event_targets,
    iam,
    lambda_files,
    marks,
    saved_queries,
    schedules,
    stepfunctions,
    throttled_events,
)
from gaitway.local.runtime import Runtime

MINISTACK_VERSION = "1.5.33"
"""The only version whose inner tables are known to be what the extensions expect."""


class MiniStackVersionError(Exception):
    """Another version of MiniStack is installed."""


def check_version(installed: str) -> None:
    """Refuse any other version of MiniStack than the one that the extensions were written for.

    Raises:
        MiniStackVersionError: It is another one.
    """
    if installed != MINISTACK_VERSION:
        raise MiniStackVersionError(
            f"the embedded AWS needs ministack {MINISTACK_VERSION}, but {installed} is installed; "
            "run `pip install -r requirements.txt -c constraints.txt`"
        )


def register_all(runtime: Runtime) -> None:
    """Add every extension to MiniStack."""
    check_version(version("ministack"))
    batch.register(runtime)
    cloudformation.register()
    # Before the checks of policies, which are put in front of it.
    event_targets.register()
    iam.register()
    lambda_files.register(runtime)
    marks.register()
    saved_queries.register()
    schedules.register()
    stepfunctions.register()
    throttled_events.register()


def start_all() -> None:
    """Begin background work, once MiniStack has restored its state."""
    batch.start()


def shut_down_all() -> None:
    """End background work, before MiniStack saves its state."""
    batch.shut_down()
