"""The agent's scheduler on an EKS cluster: Kueue and the Training Operator, by the Kubernetes API."""

from __future__ import annotations

import http
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gaitway.agent.scheduler import OrderRefusedError, SchedulerError
from gaitway.compute import ends
from gaitway.compute.eks.api import KubernetesApi, KubernetesError
from gaitway.compute.eks.manifests import (
    API,
    BACKEND,
    DEPLOYMENT_LABEL,
    SERVICE_ACCOUNT_DIRECTORY,
    Eks,
    job_path,
    jobs_path,
    run_manifests,
)
from gaitway.compute.eks.status import PyTorchJob
from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.cluster import AgentConfig, SubmitOrder, key_of, name_of_job
from gaitway.contracts.errors import RequestError

_NOT_ALLOWED = (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)
"""The agent lacks a right: the same order is accepted once it has it."""
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
"""The kubelet's words: kubernetes.io/docs/concepts/containers/images/#imagepullbackoff"""
PULL_SECONDS = 300.0
"""For which an image may fail to be pulled: a registry may be away for a while."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Waiting(_Part):
    reason: str = ""
    message: str = ""


class _ContainerState(_Part):
    waiting: _Waiting | None = None


class _Container(_Part):
    restart_count: int = 0
    state: _ContainerState = Field(default_factory=_ContainerState)


class _PodStatus(_Part):
    start_time: AwareDatetime | None = None
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

    def lacks_image(self, now: datetime) -> str | None:
        """Return the kubelet's message about an image that it has tried to pull for long enough."""
        start = self.status.start_time
        if start is None or (now - start).total_seconds() < PULL_SECONDS:
            return None
        waiting = (container.state.waiting for container in self.status.container_statuses or ())
        return next((one.message or one.reason for one in waiting if one and one.reason in _NO_IMAGE), None)


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
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

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
        ours = {"labelSelector": f"{DEPLOYMENT_LABEL}={self.eks.config.deployment}"}
        try:
            jobs = self.api.call("GET", jobs_path(self._namespace), query=ours)["items"]
            pods = self.api.call("GET", f"/api/v1/namespaces/{self._namespace}/pods", query=ours)["items"]
        except KubernetesError as error:
            raise SchedulerError(str(error)) from error
        pods_of = _by_job(pods)
        return [self._ended_without_image(self._job(job, pods_of), pods_of) for job in jobs]

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

    def _ended_without_image(self, job: Job, pods_of: Mapping[str, list[_Pod]]) -> Job:
        """End a job whose image cannot be pulled, which Kubernetes would try until the job's time is over."""
        found = (pod.lacks_image(self.clock()) for pod in pods_of.get(key_of(job.id), ()) if not job.has_ended)
        message = next((message for message in found if message is not None), None)
        if message is None:
            return job
        self.stop(job.id, message)
        return replace(job, state=JobState.FAILED, end=ends.NO_IMAGE, reason=message, ended_at=self.clock())

    @property
    def _namespace(self) -> str:
        return self.eks.cluster.namespace

    def _job(self, document: dict[str, Any], pods_of: Mapping[str, list[_Pod]]) -> Job:
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
            attempts=sum(pod.restarts for pod in pods_of.get(found.metadata.name, ()) if pod.is_master),
            created_at=found.created_at,
            ended_at=found.ended_at,
        )


def _by_job(documents: list[dict[str, Any]]) -> dict[str, list[_Pod]]:
    """Read pods, by the names of their jobs; what cannot be read is left out."""
    pods_of: dict[str, list[_Pod]] = defaultdict(list)
    for document in documents:
        with suppress(ValidationError):
            pod = _Pod.model_validate(document)
            if pod.job is not None:
                pods_of[pod.job].append(pod)
    return pods_of


def kubernetes(config: AgentConfig) -> KubernetesScheduler:
    """Return the scheduler of the cluster in which this process is a pod.

    Args:
        config: The agent's. Outside of a pod, variables say where the API and a service account's token are.

    Raises:
        ValueError: It is of another kind of cluster.
    """
    account = Path(os.environ.get("GAITWAY_SERVICE_ACCOUNT", SERVICE_ACCOUNT_DIRECTORY))
    return KubernetesScheduler(KubernetesApi(os.environ.get("GAITWAY_KUBERNETES_API", API), account), Eks.of(config))
