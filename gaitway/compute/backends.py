"""Which back ends there are. Nothing outside this module and the adapters knows which one a job is on.

A request names its back end. A job's id says it: ids of AWS Batch are as Batch gives them, and those of any other back
end begin with its name and a slash. So whatever holds an id, a record, the table's index, a log or an event, finds the
adapter.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from gaitway.compute import batch, batch_job, cluster, cluster_job, sagemaker, service_job, slurm, training_job
from gaitway.compute.eks import documents as eks_documents
from gaitway.compute.jobs import Described, Job, JobRequest, Jobs, Submitter
from gaitway.compute.sizes import FURTHER_BACKENDS, check_backend
from gaitway.compute.targets import TargetVariables
from gaitway.contracts.backends import DEFAULT_BACKEND, Backend
from gaitway.contracts.cluster import EVENT_TYPE, AgentConfig, SubmitOrder
from gaitway.contracts.errors import PlatformError
from gaitway.contracts.request import ComputeConfig

DEFAULT = DEFAULT_BACKEND
"""Of an id without a name before it."""

T = TypeVar("T")

ClientOf = Callable[[str], Any]
"""Makes a client of an AWS service: the stubs know services by literal name only."""
Variables = Mapping[str, str]
"""The environment of submit_job: it says where jobs go."""


@dataclass(frozen=True)
class Adapter:
    """What a back end consists of in the control plane."""

    jobs: Callable[[ClientOf, Sequence[str], Variables], Jobs]
    """Makes its `Jobs`, from clients, the ARNs of the queues whose jobs are ours, and where the deployment has jobs."""
    submitter: Callable[[ClientOf, Variables], Submitter]
    """Makes its `Submitter`."""
    target: Callable[[ClientOf, Variables], Any]
    """Finds out where its jobs go, as its `Submitter` does for each job."""
    documents: Callable[[JobRequest, Any], dict[str, str]]
    """Writes what its `Submitter` sends for a job to such a target, by file name. It calls nothing."""
    events: Mapping[str, Callable[[Mapping[str, Any]], Job | None]]
    """By the detail type of its events: reads the job whose state has changed."""


def _cluster(backend: Backend, documents: Callable[[SubmitOrder, AgentConfig], dict[str, str]]) -> Adapter:
    """Make the adapter of a cluster.

    Args:
        backend: The cluster.
        documents: Writes what its agent submits for an order.
    """

    def documents_of_job(job: JobRequest, config: AgentConfig) -> dict[str, str]:
        return documents(cluster.order_of(job, cluster.id_of(backend, job.name)), config)

    return Adapter(
        jobs=lambda client, _, variables: cluster.jobs_of_cluster(backend, client, variables),
        submitter=lambda client, variables: cluster.jobs_of_cluster(backend, client, variables),
        target=lambda client, variables: cluster.config_of(backend, client, variables),
        documents=documents_of_job,
        events={EVENT_TYPE: cluster_job.read_event},
    )


ADAPTERS: Mapping[Backend, Adapter] = {
    "batch": Adapter(
        jobs=lambda client, queues, _: batch.BatchJobs(client("batch"), queues),
        submitter=lambda client, variables: batch.BatchSubmitter(
            client("batch"), TargetVariables.of(variables).targets
        ),
        target=lambda _, variables: TargetVariables.of(variables).targets,
        documents=batch.documents,
        events={batch_job.EVENT_TYPE: batch_job.read_event},
    ),
    "sagemaker": Adapter(
        jobs=lambda client, queues, _: sagemaker.ServiceJobs(client("batch"), queues),
        submitter=lambda client, variables: sagemaker.ServiceJobSubmitter(
            client("batch"), partial(sagemaker.read_template, client, variables)
        ),
        target=sagemaker.read_template,
        documents=training_job.documents,
        events={service_job.EVENT_TYPE: service_job.read_event},
    ),
    "hyperpod-eks": _cluster("hyperpod-eks", eks_documents.documents),
    "hyperpod-slurm": _cluster("hyperpod-slurm", slurm.documents),
}
"""The back ends that this version can use; a deployment has those of its setting `backends`."""


def jobs_of(
    client: ClientOf, queues: Mapping[Backend, Sequence[str]] | None = None, variables: Variables | None = None
) -> Jobs:
    """Return the jobs of all back ends as one.

    Args:
        client: Makes the clients of the adapters.
        queues: ARNs of the queues whose jobs are ours, by back end; needed to list jobs only.
        variables: The environment of the function that asks, or as much of it as is known elsewhere.
    """
    known = queues or {}
    return AllJobs(
        {name: adapter.jobs(client, known.get(name, ()), variables or {}) for name, adapter in ADAPTERS.items()}
    )


def submitter_of(client: ClientOf, backends: Collection[Backend], variables: Variables) -> Submitter:
    """Return the port for submitting jobs.

    Args:
        client: Makes the clients of the adapters.
        backends: Those of the deployment.
        variables: Where jobs go.
    """
    return AllSubmitters({name: ADAPTERS[name].submitter(client, variables) for name in backends})


def documents_of(job: JobRequest, client: ClientOf, variables: Variables) -> dict[str, str]:
    """Write what would be submitted for a job, by file name.

    Args:
        job: The job.
        client: Makes the clients that the adapter needs to find out where jobs go.
        variables: The environment of submit_job.

    Raises:
        RequestError: The job does not fit what is deployed, or its back end is not deployed.
    """
    check_backend(job.compute, (DEFAULT, *json.loads(variables.get(FURTHER_BACKENDS, "{}"))))
    adapter = ADAPTERS[job.compute.backend]
    return adapter.documents(job, adapter.target(client, variables))


def job_of_event(event: Mapping[str, Any]) -> Job | None:
    """Read the job whose state has changed from an event of EventBridge; None if it is not about the job of a run.

    Raises:
        ValueError: No back end sends such events.
    """
    readers = {name: read for adapter in ADAPTERS.values() for name, read in adapter.events.items()}
    name = event.get("detail-type")
    read = readers.get(str(name))
    if read is None:
        raise ValueError(f"an event {name!r} of {event.get('source')!r}, allowed: {', '.join(readers)}")
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
        return _of(self._backends, job_id).get(job_id, node)

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs: see `Jobs.describe`."""
        by_backend: dict[str, list[str]] = defaultdict(list)
        for job_id in job_ids:
            by_backend[_backend(job_id)].append(job_id)
        jobs: dict[str, Job] = {}
        unanswered: dict[str, Exception] = {}
        for ids in by_backend.values():
            try:
                described = _of(self._backends, ids[0]).describe(ids)
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
        _of(self._backends, job_id).stop(job_id, reason)


class AllSubmitters:
    """`Submitter` of several back ends.

    Args:
        backends: By name.
    """

    def __init__(self, backends: Mapping[str, Submitter]) -> None:
        self._backends = backends

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job: see `Jobs.get`."""
        return _of(self._backends, job_id).get(job_id, node)

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job by its name: see `Submitter.find_living`."""
        return self._asked(compute).find_living(name, compute)

    def submit(self, job: JobRequest) -> str:
        """Submit a run's job: see `Submitter.submit`."""
        return self._asked(job.compute).submit(job)

    def _asked(self, compute: ComputeConfig) -> Submitter:
        check_backend(compute, self._backends)
        return self._backends[compute.backend]


def _of(backends: Mapping[str, T], job_id: str) -> T:
    backend = _backend(job_id)
    if backend not in backends:
        raise PlatformError(
            f"job {job_id} is on {backend!r}, which this deployment does not know, allowed: "
            f"{', '.join(backends)}. Was it submitted by a newer version?"
        )
    return backends[backend]


def _backend(job_id: str) -> str:
    name, slash, _ = job_id.partition("/")
    return name if slash else DEFAULT
