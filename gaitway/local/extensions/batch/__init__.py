"""AWS Batch that runs jobs, as local processes; MiniStack's own reports success at once.

Supplied: compute environments, job queues and definitions; SubmitJob to the end with states, events, attempts,
timeouts, logs and limits of capacity; multi-node parallel jobs with a process for each node.
"""

from ministack import app

from gaitway.local.extensions.batch.api import BatchService
from gaitway.local.runtime import Runtime

_service: BatchService | None = None


def register(runtime: Runtime) -> None:
    """Take the place of MiniStack's stub: it keeps a service's module by name once it is loaded."""
    global _service
    _service = app._loaded_modules["batch"] = BatchService(runtime)


def service() -> BatchService:
    """Return the service of this emulator."""
    assert _service, "register first"
    return _service


def start() -> None:
    """Resume the jobs that were restored."""
    service().jobs.resume()


def shut_down() -> None:
    """End all jobs' processes."""
    service().jobs.close()
    for part in service().parts:
        part.close()
