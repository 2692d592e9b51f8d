"""Jobs on a cluster that accepts no connection: orders go to its agent by a queue, and its reports to the run table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, Json

from gaitway.aws.cluster_jobs import ClusterJobTable
from gaitway.aws.orders import Orders
from gaitway.compute.cluster_job import read_item
from gaitway.compute.jobs import Described, Job, JobRequest, JobState, describe_each
from gaitway.contracts.cluster import AgentConfig, StopOrder, SubmitOrder, name_of_job
from gaitway.contracts.errors import PlatformError
from gaitway.contracts.model import Model
from gaitway.contracts.request import ComputeConfig

if TYPE_CHECKING:
    from gaitway.aws.cluster_jobs import JobItem


class ClusterJobs:
    """`Jobs` and `Submitter` of one cluster.

    Args:
        backend: Its name, with which the ids of its jobs begin.
        table: Where they are kept.
        orders: The queue of its agent; None for a reader, which gives none.
    """

    def __init__(self, backend: str, table: ClusterJobTable, orders: Orders | None) -> None:
        self._backend = backend
        self._table = table
        self._orders = orders

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job: see `Jobs.get`. Its nodes have logs of their own, and nothing else."""
        item = self._table.get(job_id)
        if item is None:
            return None
        job = read_item(item)
        if node is None or job.log is None:
            return job
        stream, _, _ = job.log.stream.rpartition("-")
        return replace(job, log=replace(job.log, stream=f"{stream}-{node}"))

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs: see `Jobs.describe`."""
        return describe_each(self.get, job_ids)

    def living(self) -> Iterator[Job]:
        """List the jobs that have not ended: see `Jobs.living`."""
        if self._orders is None:
            return
        for job_id in self._table.living():
            if job_id.startswith(f"{self._backend}/"):
                yield Job(id=job_id, name=name_of_job(job_id), state=JobState.RUNNING, service=self._backend)

    def stop(self, job_id: str, reason: str) -> None:
        """Ask a job to end: see `Jobs.stop`."""
        if self._table.ask_to_stop(job_id, reason):
            self._send(StopOrder(job_id=job_id, reason=reason))

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job by its name: see `Submitter.find_living`.

        One that no agent has accepted yet may be of a call that was cut off before it gave the order. The next call
        for the same run orders it again: see `submit`.
        """
        del compute
        newest = self._newest(name)
        return newest.job_id if newest is not None and not newest.has_ended and newest.is_accepted else None

    def submit(self, job: JobRequest) -> str:
        """Order a run's job: see `Submitter.submit`."""
        newest = self._newest(job.name)
        if newest is not None and not newest.has_ended:
            job_id = newest.job_id
        else:
            job_id = id_of(self._backend, job.name, _number(newest.job_id) + 1 if newest is not None else 1)
            # If another call has written it meanwhile, both give the same order.
            self._table.create(job_id)
        self._send(order_of(job, job_id))
        return job_id

    def _newest(self, name: str) -> JobItem | None:
        newest, number = None, 1
        while (item := self._table.get(id_of(self._backend, name, number))) is not None:
            newest, number = item, number + 1
        return newest

    def _send(self, order: SubmitOrder | StopOrder) -> None:
        if self._orders is None:
            raise PlatformError(f"{self._backend} has no queue of orders here: was it removed from the deployment?")
        self._orders.send(order)


def id_of(backend: str, name: str, number: int = 1) -> str:
    """Name a job of a run's execution; the execution may need another one when the first has ended."""
    return f"{backend}/{name}-{number}"


def order_of(job: JobRequest, job_id: str) -> SubmitOrder:
    """Write the order for a job."""
    return SubmitOrder(
        job_id=job_id,
        run_id=job.run_id,
        compute=job.compute,
        timeout_seconds=job.timeout_seconds,
        task=job.task,
        group_id=job.group_id,
        simulator=job.simulator,
    )


class ClusterVariables(Model):
    """The variables of a function that say where the jobs of clusters are."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    run_table: Annotated[str, Field(alias="GAITWAY_RUN_TABLE")] = ""
    orders: Annotated[Json[dict[str, str]], Field(alias="GAITWAY_CLUSTER_ORDERS")] = Field(default_factory=dict)
    """Names of the queues of the clusters' agents."""


def jobs_of_cluster(backend: str, client: Callable[[str], Any], variables: Mapping[str, str]) -> ClusterJobs:
    """Return the jobs of a cluster.

    Args:
        backend: The cluster.
        client: Makes clients.
        variables: The environment of the function that asks.
    """
    places = ClusterVariables.model_validate(dict(variables), strict=False)
    queue = places.orders.get(backend)
    return ClusterJobs(
        backend,
        ClusterJobTable(client("dynamodb"), places.run_table),
        Orders(client("sqs"), queue) if queue is not None else None,
    )


def config_of(backend: str, client: Callable[[str], Any], variables: Mapping[str, str]) -> AgentConfig:
    """Read what the agent of a cluster is told: the parameter has the name that the queue has."""
    queue = ClusterVariables.model_validate(dict(variables), strict=False).orders[backend]
    deployment = queue.removesuffix(f"-{backend}-orders.fifo")
    value = client("ssm").get_parameter(Name=f"/{deployment}/agent/{backend}")["Parameter"]["Value"]
    return AgentConfig.read(value)


def _number(job_id: str) -> int:
    return int(job_id.rpartition("-")[2])
