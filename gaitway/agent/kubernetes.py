"""The agent's scheduler on an EKS cluster: Kueue and the Training Operator, by the Kubernetes API."""

from __future__ import annotations

import http
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gaitway.agent.scheduler import OrderRefusedError, SchedulerError
from gaitway.compute.eks.api import KubernetesApi, KubernetesError
from gaitway.compute.eks.manifests import BACKEND, RUN_LABEL, Eks, job_path, jobs_path, run_manifests
from gaitway.compute.eks.status import PyTorchJob
from gaitway.compute.jobs import Job
from gaitway.contracts.cluster import SubmitOrder, key_of, name_of_job
from gaitway.contracts.errors import RequestError

_NOT_ALLOWED = (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)
"""The agent lacks a right: the same order is accepted once it has it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Container(_Part):
    restart_count: int = 0


class _PodStatus(_Part):
    container_statuses: list[_Container] | None = None


class _PodMetadata(_Part):
    labels: dict[str, str] = Field(default_factory=dict)


class _Pod(_Part):
    metadata: _PodMetadata
    status: _PodStatus = Field(default_factory=_PodStatus)

    @property
    def job(self) -> str | None:
        return self.metadata.labels.get("training.kubeflow.org/job-name")

    @property
    def is_master(self) -> bool:
        return self.metadata.labels.get("training.kubeflow.org/replica-type") == "master"

    @property
    def restarts(self) -> int:
        return sum(container.restart_count for container in self.status.container_statuses or ())


@dataclass(frozen=True)
class KubernetesScheduler:
    """`Scheduler` of an EKS cluster.

    A job's object is named after the job's id, and a namespace has one object of a name: an order that is carried out
    twice makes one job.

    Args:
        api: The cluster's API.
        eks: Where jobs go.
    """

    api: KubernetesApi
    eks: Eks

    backend = BACKEND
    service = "Kubernetes"

    def submit(self, order: SubmitOrder) -> None:
        """Submit a job: see `Scheduler.submit`."""
        try:
            manifests = run_manifests(order, self.eks)
        except RequestError as error:
            raise OrderRefusedError(str(error)) from error
        for manifest in manifests:
            try:
                self.api.call("POST", jobs_path(self._namespace), manifest)
            except KubernetesError as error:
                # A call whose answer was lost.
                if error.is_taken:
                    continue
                if error.is_final and error.status not in _NOT_ALLOWED:
                    raise OrderRefusedError(str(error)) from error
                raise SchedulerError(str(error)) from error

    def find(self, job_id: str) -> Job | None:
        """Find a job: see `Scheduler.find`."""
        try:
            found = self.api.call("GET", job_path(self._namespace, key_of(job_id)))
        except KubernetesError as error:
            if error.is_missing:
                return None
            raise SchedulerError(str(error)) from error
        return self._job(found, {})

    def states(self) -> Collection[Job]:
        """Describe all jobs: see `Scheduler.states`."""
        ours = {"labelSelector": RUN_LABEL}
        try:
            jobs = self.api.call("GET", jobs_path(self._namespace), query=ours)["items"]
            pods = self.api.call("GET", f"/api/v1/namespaces/{self._namespace}/pods", query=ours)["items"]
        except KubernetesError as error:
            raise SchedulerError(str(error)) from error
        restarts = _restarts(pods)
        return [self._job(job, restarts) for job in jobs]

    def stop(self, job_id: str, reason: str) -> None:
        """End a job: see `Scheduler.stop`.

        Its object stays, marked as deleted, until its pods are gone ("foreground"), so that none of the run's next job
        meets one of this job: kubernetes.io/docs/concepts/architecture/garbage-collection.
        """
        del reason  # The run table has it.
        try:
            self.api.call("DELETE", job_path(self._namespace, key_of(job_id)), {"propagationPolicy": "Foreground"})
        except KubernetesError as error:
            if not error.is_missing:
                raise SchedulerError(str(error)) from error

    @property
    def _namespace(self) -> str:
        return self.eks.cluster.namespace

    def _job(self, document: dict[str, Any], restarts: dict[str, int]) -> Job:
        try:
            found = PyTorchJob.model_validate(document)
        except ValidationError as error:
            raise SchedulerError(f"Kubernetes describes a job in a form that is not known: {error}") from error
        job_id = f"{BACKEND}/{found.metadata.name}"
        return Job(
            id=job_id,
            name=name_of_job(job_id),
            state=found.state,
            service=self.service,
            end=found.end,
            reason=found.reason,
            attempts=restarts.get(found.metadata.name, 0),
            created_at=found.created_at,
            ended_at=found.ended_at,
        )


def _restarts(pods: list[dict[str, Any]]) -> dict[str, int]:
    """Return how often the leading container of each job was restarted; what cannot be read counts as never."""
    counts: dict[str, int] = {}
    for document in pods:
        try:
            pod = _Pod.model_validate(document)
        except ValidationError:
            continue
        if pod.job is not None and pod.is_master:
            counts[pod.job] = pod.restarts
    return counts
