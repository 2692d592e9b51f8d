"""This job on Kubernetes: a pod of a PyTorchJob.

The Training Operator tells each pod its place: github.com/kubeflow/training-operator/blob/v1.9.3/pkg/controller.v1/
pytorch/envvar.go. WORLD_SIZE counts pods as long as the job names no `nprocPerNode`; the processes of a pod are the
runner's affair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError

from gaitway.compute.eks.api import KubernetesApi, KubernetesError
from gaitway.compute.eks.manifests import BACKEND, job_path
from gaitway.compute.eks.status import PyTorchJob
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Machine
from gaitway.contracts.model import Model
from gaitway.contracts.text import Like
from gaitway.instances.prices import price_of
from gaitway.runner.host.host import Image, Nodes
from gaitway.runner.host.no_notices import NoNotices

logger = logging.getLogger(__name__)

_ATTEMPTS_FILE = "attempts"
_TIMEOUT_SECONDS = 3.0
"""A pod that is being ended has only seconds."""


class EksVariables(Model):
    """Variables about the job, from its manifest and from the operator."""

    # An error must not print the environment: a developer may keep secrets there.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    job_object: Annotated[str, Field(alias="GAITWAY_JOB_OBJECT", min_length=1)]
    """Name of the PyTorchJob."""
    namespace: Annotated[str, Field(alias="GAITWAY_JOB_NAMESPACE", min_length=1)]
    job_attempts: Annotated[int, Field(alias="GAITWAY_JOB_ATTEMPTS", ge=1)] = 1
    """The most attempts that are made in one pod."""
    pod_directory: Annotated[Path, Field(alias="GAITWAY_POD_DIRECTORY")]
    """Lives as long as the pod."""
    api: Annotated[
        str, Field(alias="GAITWAY_KUBERNETES_API"), Like(r"https?://.*", "an address that begins with https://")
    ]
    service_account: Annotated[Path, Field(alias="GAITWAY_SERVICE_ACCOUNT")]
    """Where the pod's token is."""
    image: Annotated[str | None, Field(alias="GAITWAY_IMAGE")] = None
    instance_type: Annotated[str | None, Field(alias="GAITWAY_INSTANCE_TYPE")] = None
    num_nodes: Annotated[int, Field(alias="WORLD_SIZE", ge=1)] = 1
    node_index: Annotated[int, Field(alias="RANK", ge=0)] = 0
    main_node_address: Annotated[str, Field(alias="MASTER_ADDR", min_length=1)] = "127.0.0.1"
    node_port: Annotated[int, Field(alias="MASTER_PORT", ge=1, le=65_535)] = 29_400


class EksHost:
    """`Host` in a pod of a PyTorchJob.

    Args:
        variables: The variables of the pod's environment that describe the job.
    """

    def __init__(self, variables: EksVariables) -> None:
        self._variables = variables

    @classmethod
    def of(cls, variables: Mapping[str, str], client: Callable[[str], Any]) -> Self:
        """Read the pod's environment.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
        """
        del client
        return cls(EksVariables.model_validate(dict(variables), strict=False))

    @property
    def job_id(self) -> str:
        """The job's id, the same in all of its pods."""
        return f"{BACKEND}/{self._variables.job_object}"

    @cached_property
    def attempt(self) -> int:
        """Attempt in this pod, from 1.

        A container does not learn how often its pod has restarted it: the API says so, but some time later. So each
        counts itself. A pod that replaces another one begins anew, as the operator's limit does.
        """
        path = self._variables.pod_directory / _ATTEMPTS_FILE
        count = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(count))
        return count

    @property
    def nodes(self) -> Nodes:
        """The pods of the job: the master leads."""
        return Nodes(
            count=self._variables.num_nodes,
            index=self._variables.node_index,
            main_index=0,
            main_address=self._variables.main_node_address,
            port=self._variables.node_port,
        )

    @property
    def may_be_attempted_again(self) -> bool:
        """Whether the container is restarted if this attempt fails on its own."""
        return self.attempt < self._variables.job_attempts

    def is_attempted_again_after_stop(self) -> bool:
        """Return, after a signal to stop, whether another attempt follows.

        Yes if the node is drained or replaced, or Kueue takes it for another job: the operator makes another pod. No if
        the job is deleted, or has ended. Without an answer the job counts as ended, and the caller receives that.
        """
        api = KubernetesApi(self._variables.api, self._variables.service_account, _TIMEOUT_SECONDS)
        try:
            job = PyTorchJob.model_validate(
                api.call("GET", job_path(self._variables.namespace, self._variables.job_object))
            )
        except KubernetesError as error:
            if not error.is_missing:
                logger.warning("Kubernetes did not say why the pod was asked to stop: %s", error)
            return False
        except ValidationError as error:
            logger.warning("Kubernetes describes the job in a form that is not known: %s", error)
            return False
        return not job.is_over(datetime.now(UTC))

    def report_failure(self, failure: Failure) -> None:
        """Kubernetes shows the exit code, which says it."""

    def image(self) -> Image:
        """Describe the container's image: how long it was pulled is not known in the pod."""
        return Image(self._variables.image)

    def machine(self, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
        """Describe the node, which the manifest has chosen by its type."""
        if self._variables.instance_type is None:
            return None
        price = price_of(self._variables.instance_type, prices)
        if price is None:
            logger.warning("an hour of %s costs an unknown price: set instancePrices", self._variables.instance_type)
        return Machine(
            instance_type=self._variables.instance_type,
            nodes=num_nodes,
            usd_per_hour=price.usd_per_hour if price else None,
            price_as_of=price.as_of if price else None,
        )

    def notices(self, machine: Machine | None) -> NoNotices:
        """Return a watch that never has a notice: a pod whose node goes is asked to stop instead."""
        del machine
        return NoNotices()
