"""Which back ends there are. Nothing outside this module and the adapters knows which one a job is on.

A job's id says it: ids of AWS Batch are as Batch gives them, and those of any other back end begin with its name and a
slash. So whatever holds an id, a record, the table's index, a log or an event, finds the adapter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from gaitway.compute import batch_job
from gaitway.compute.batch import BatchJobs, BatchSubmitter
from gaitway.compute.jobs import Described, Job, Jobs, Submitter
from gaitway.compute.targets import Targets
from gaitway.contracts.errors import PlatformError

DEFAULT = "batch"
"""Of an id without a name before it, as all ids were before there was a second back end."""

ClientOf = Callable[[str], Any]
"""Makes a client of an AWS service: the stubs know services by literal name only."""

_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Job | None]] = {batch_job.EVENT_SOURCE: batch_job.read_event}
"""Reads the events of a source."""


def jobs_of(client: ClientOf, queues: Sequence[str] = ()) -> Jobs:
    """Return the jobs of all back ends as one.

    Args:
        client: Makes the clients of the adapters.
        queues: ARNs of the queues whose jobs are ours; needed to list jobs only.
    """
    return AllJobs({DEFAULT: BatchJobs(client("batch"), queues)})


def submitter_of(client: ClientOf, targets: Targets) -> Submitter:
    """Return the port for submitting jobs.

    Args:
        client: Makes the clients of the adapters.
        targets: Queues and definitions of the jobs.
    """
    return BatchSubmitter(client("batch"), targets)


def job_of_event(event: Mapping[str, Any]) -> Job | None:
    """Read the job whose state has changed from an event of EventBridge; None if it is not about the job of a run.

    Raises:
        ValueError: No back end sends such events.
    """
    source = event.get("source")
    read = _EVENTS.get(str(source))
    if read is None:
        raise ValueError(f"an event of {source!r}, allowed: {', '.join(_EVENTS)}")
    return read(event)


class AllJobs:
    """`Jobs` of several back ends.

    Args:
        backends: By name.
    """

    def __init__(self, backends: Mapping[str, Jobs]) -> None:
        self._backends = backends

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job: see `Jobs.get`."""
        return self._of(job_id).get(job_id, node)

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs: see `Jobs.describe`."""
        by_backend: dict[str, list[str]] = defaultdict(list)
        for job_id in job_ids:
            by_backend[_backend(job_id)].append(job_id)
        jobs: dict[str, Job] = {}
        unanswered: dict[str, Exception] = {}
        for ids in by_backend.values():
            try:
                described = self._of(ids[0]).describe(ids)
            except PlatformError as error:
                unanswered |= dict.fromkeys(ids, error)
            else:
                jobs |= described.jobs
                unanswered |= described.unanswered
        return Described(jobs, unanswered)

    def living(self) -> Iterator[Job]:
        """List the jobs that have not ended: see `Jobs.living`."""
        for jobs in self._backends.values():
            yield from jobs.living()

    def stop(self, job_id: str, reason: str) -> None:
        """Ask a job to end: see `Jobs.stop`."""
        self._of(job_id).stop(job_id, reason)

    def _of(self, job_id: str) -> Jobs:
        backend = _backend(job_id)
        if backend not in self._backends:
            raise PlatformError(
                f"job {job_id} is on {backend!r}, which this deployment does not know, allowed: "
                f"{', '.join(self._backends)}. Was it submitted by a newer version?"
            )
        return self._backends[backend]


def _backend(job_id: str) -> str:
    name, slash, _ = job_id.partition("/")
    return name if slash else DEFAULT
