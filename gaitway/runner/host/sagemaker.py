"""This job as a SageMaker training job, which AWS Batch has queued."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from gaitway.aws.errors import AWS_ERRORS
from gaitway.compute.sagemaker import ServiceJobs
from gaitway.compute.service_job import FAILURE_MARK, ServiceJob
from gaitway.compute.training_job import JOB_ATTEMPTS, JOB_NAME, JOB_QUEUE
from gaitway.contracts.errors import Failure, InterruptedRunError
from gaitway.contracts.history import Machine
from gaitway.contracts.model import Model
from gaitway.instances.prices import price_of
from gaitway.runner.host.host import Image, Nodes
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

ACTIONS = ("batch:ListServiceJobs", "batch:DescribeServiceJob", "sagemaker:DescribeTrainingJob")
PREFIXES = ("SAGEMAKER_", "SM_", "TRAINING_JOB_")
"""Prefixes of the variables that SageMaker sets."""
MAX_FAILURE_CHARACTERS = 1024
"""SageMaker shows as many: docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html"""
_FIND_SECONDS = 60.0
"""Batch knows which training job it made for a job some seconds after that, and a container starts minutes later."""
_POLL_SECONDS = 2.0


class TrainingJobVariables(Model):
    """Variables about the job, set by SageMaker and by what was submitted.

    docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
    """

    # An error must not print the environment: a developer may keep secrets there.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    training_job_arn: Annotated[str, Field(alias="TRAINING_JOB_ARN", min_length=1)]
    training_job_name: Annotated[str, Field(alias="TRAINING_JOB_NAME", min_length=1)]
    job_name: Annotated[str, Field(alias=JOB_NAME, min_length=1)]
    """Of Batch's job."""
    job_queue: Annotated[str, Field(alias=JOB_QUEUE, min_length=1)]
    job_attempts: Annotated[int, Field(alias=JOB_ATTEMPTS, ge=1)] = 1
    """The most attempts that Batch makes at the job."""
    base_directory: Annotated[Path, Field(alias="SAGEMAKER_BASE_DIR")] = Path("/opt/ml")
    """github.com/aws/sagemaker-training-toolkit, `environment.py`: AWS's own toolkit reads it, too."""
    is_spot: Annotated[bool, Field(alias="GAITWAY_MANAGED_SPOT")] = False
    image: Annotated[str | None, Field(alias="GAITWAY_IMAGE")] = None
    """The container's image, which SageMaker does not tell it."""
    node_port: Annotated[int, Field(alias="GAITWAY_NODE_PORT", ge=1, le=65_535)] = 29_400
    main_address: Annotated[str | None, Field(alias="GAITWAY_MAIN_ADDRESS")] = None
    """Address of the first host where the hosts' names have none, as in the embedded AWS."""


class ResourceConfig(Model):
    """`resourceconfig.json`: this host, and all of them. Same page."""

    model_config = ConfigDict(extra="ignore")

    current_host: str
    hosts: list[str]
    current_instance_type: str | None = None

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.current_host not in self.hosts:
            raise ValueError(f"current_host is {self.current_host!r}, which is not among the hosts")
        return self

    @property
    def in_order(self) -> list[str]:
        """The hosts in an order that is the same on each: algo-2 comes before algo-10."""
        return sorted(self.hosts, key=lambda host: (len(host), host))


class SageMakerHost:
    """`Host` in a SageMaker training job.

    Args:
        variables: The variables of the job's environment that describe the job.
        resources: What SageMaker says of the hosts.
        client: Creates a client of a service with short timeouts.
    """

    def __init__(
        self, variables: TrainingJobVariables, resources: ResourceConfig, client: Callable[[str], Any]
    ) -> None:
        self._variables = variables
        self._resources = resources
        self._client = client

    @classmethod
    def of(cls, variables: Mapping[str, str], client: Callable[[str], Any]) -> Self:
        """Read the job's environment and what SageMaker has written.

        Raises:
            ValidationError: Names every variable that is missing or wrong.
            ValueError: SageMaker's file cannot be read.
        """
        read = TrainingJobVariables.model_validate(dict(variables), strict=False)
        path = read.base_directory / "input" / "config" / "resourceconfig.json"
        try:
            resources = ResourceConfig.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ValueError(f"{path} does not describe the hosts of this training job: {error}") from error
        return cls(read, resources, client)

    @property
    def job_id(self) -> str:
        """The job's id, the same on all hosts."""
        return self._job.id

    @property
    def attempt(self) -> int:
        """Attempt of the job, from 1. A training job that SageMaker restarts on another Spot instance is still one."""
        return len(self._job.attempts) + 1

    @property
    def nodes(self) -> Nodes:
        """The hosts of the job; the first leads."""
        hosts = self._resources.in_order
        return Nodes(
            count=len(hosts),
            index=hosts.index(self._resources.current_host),
            main_index=0,
            main_address=self._variables.main_address or hosts[0],
            port=self._variables.node_port,
        )

    @property
    def may_be_attempted_again(self) -> bool:
        """Whether Batch retries this attempt if it fails on its own."""
        return self.attempt < self._variables.job_attempts

    def is_attempted_again_after_stop(self) -> bool:
        """Return, after a signal to stop, whether another attempt follows.

        Yes if a Spot instance is taken back: SageMaker then restarts the training job, whose status stays InProgress.
        No if a user ended the job, or its time is over: then it is Stopping
        (docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html). The signal is the same, so this
        asks. Without an answer the job counts as ended, and the caller receives that.
        """
        if not self._variables.is_spot:
            return False
        try:
            name = self._variables.training_job_name
            training = self._client("sagemaker").describe_training_job(TrainingJobName=name)
            job = ServiceJobs(self._client("batch")).describe_one(self.job_id)
        except AWS_ERRORS as error:
            logger.warning("why the job was asked to stop is not known: %s", error)
            return False
        return training["TrainingJobStatus"] == "InProgress" and job is not None and not job.is_terminated

    def image(self) -> Image:
        """Describe the job's container image; SageMaker does not say when it was pulled."""
        return Image(self._variables.image)

    def machine(self, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
        """Describe the instance that SageMaker has started."""
        instance_type = self._resources.current_instance_type
        if instance_type is None:
            logger.warning("what this machine is, and so what it costs, is not known")
            return None
        price = price_of(instance_type, prices)
        if price is None:
            logger.warning("an hour of %s costs an unknown price: set instancePrices", instance_type)
        return Machine(
            instance_type=instance_type,
            purchase="spot" if self._variables.is_spot else "on-demand",
            nodes=num_nodes,
            usd_per_hour=price.usd_per_hour if price else None,
            price_as_of=price.as_of if price else None,
        )

    def notices(self, machine: Machine | None) -> NoNotices:
        """Return a watch that sees nothing: SageMaker announces a Spot reclaim to no container."""
        del machine
        return NoNotices()

    def report_failure(self, failure: Failure) -> None:
        """Write why the run failed to where SageMaker shows it, in a form that Batch attempts no further."""
        path = self._variables.base_directory / "output" / "failure"
        cause = failure.cause.partition("\n")[0]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = f"{FAILURE_MARK} {failure.error}: {cause}"
            path.write_text(text[:MAX_FAILURE_CHARACTERS], encoding="utf-8")
        except OSError as error:
            logger.warning("SageMaker will not show why the run failed: %s", error)

    @cached_property
    def _job(self) -> ServiceJob:
        """Find this job among those of its name: the one whose newest training job this is.

        Raises:
            InterruptedRunError: Batch has no such job.
        """
        jobs = ServiceJobs(self._client("batch"))
        give_up_at = time.monotonic() + _FIND_SECONDS
        while True:
            for job in jobs.named(self._variables.job_queue, self._variables.job_name):
                if job.training_job_arn == self._variables.training_job_arn:
                    # The list has no attempts.
                    return jobs.describe_one(job.id) or job
            if time.monotonic() >= give_up_at:
                raise InterruptedRunError(
                    f"no job {self._variables.job_name} in the queue {self._variables.job_queue} has the training job "
                    f"{self._variables.training_job_name}: was it submitted to SageMaker itself? Start the run again"
                )
            time.sleep(_POLL_SECONDS)


class NoNotices:
    """A watch for notices that never come."""

    notice: None = None

    def wait_until_gone(self, stop: StopRequest) -> None:
        """Wait for nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
