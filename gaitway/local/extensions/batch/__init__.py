"""AWS Batch that runs jobs, as local processes."""

from gaitway.local.runtime import Runtime


def register(runtime: Runtime) -> None:
    """Put this service in the place of MiniStack's stub."""


def start() -> None:
    """Does nothing yet."""


def shut_down() -> None:
    """Does nothing yet."""
