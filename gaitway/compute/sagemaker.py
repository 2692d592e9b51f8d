"""Jobs on SageMaker, through the queues of AWS Batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from botocore.exceptions import ClientError
from pydantic import ConfigDict, Field

from gaitway.compute.jobs import Described, Job, JobRequest, JobState, describe_each
from gaitway.compute.service_job import STATES, ServiceJob, aws_id
from gaitway.compute.training_job import TrainingJobTemplate, submission
from gaitway.contracts.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from types_boto3_batch import BatchClient
    from types_boto3_batch.literals import ServiceJobStatusType

    from gaitway.contracts.request import ComputeConfig

_NOT_FOUND = "ClientException"


class TrainingJobVariables(Model):
    """The environment variable of submit_job that says where training jobs go."""

    # An error must not print the environment, which holds credentials.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    template: Annotated[str, Field(alias="GAITWAY_TRAINING_JOB", min_length=1)]
    """Name of the parameter in Systems Manager that holds the `TrainingJobTemplate`. A parameter, since another stack
    writes it, and what a stack imports from another could not change."""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Read it.

        Raises:
            ValidationError: It is missing.
        """
        return cls.model_validate(dict(variables))


def read_template(client: Callable[[str], Any], variables: Mapping[str, str]) -> TrainingJobTemplate:
    """Read where training jobs go, as it is deployed now.

    Args:
        client: Makes the client of Systems Manager.
        variables: The environment of submit_job.
    """
    name = TrainingJobVariables.of(variables).template
    return TrainingJobTemplate.model_validate_json(client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


class ServiceJobs:
    """`Jobs` on SageMaker.

    Args:
        batch: A Batch client.
        queues: ARNs of the queues whose jobs are ours; needed to list jobs only.
    """

    def __init__(self, batch: BatchClient, queues: Sequence[str] = ()) -> None:
        self._batch = batch
        self._queues = queues

    def get(self, job_id: str, node: int | None = None) -> Job | None:
        """Describe a job: see `Jobs.get`."""
        found = self.describe_one(job_id)
        return found.job(node) if found is not None else None

    def describe_one(self, job_id: str) -> ServiceJob | None:
        """Describe a job in Batch's words; None if Batch does not know it any more."""
        try:
            found = self._batch.describe_service_job(jobId=aws_id(job_id))
        except ClientError as error:
            # Batch says so of a job that it does not know, and of nothing else that a right call can mean:
            # docs.aws.amazon.com/batch/latest/APIReference/API_DescribeServiceJob.html
            if error.response["Error"]["Code"] != _NOT_FOUND:
                raise
            return None
        return ServiceJob.model_validate(found)

    def describe(self, job_ids: Collection[str]) -> Described:
        """Describe many jobs, with a call for each: see `Jobs.describe`."""
        return describe_each(self.get, job_ids)

    def living(self) -> Iterator[Job]:
        """List the jobs that have not ended: see `Jobs.living`."""
        for queue in self._queues:
            for status, state in STATES.items():
                if state in (JobState.WAITING, JobState.RUNNING):
                    for found in self._list(queue, jobStatus=cast("ServiceJobStatusType", status)):
                        yield found.job()

    def stop(self, job_id: str, reason: str) -> None:
        """End a job: see `Jobs.stop`. A training job is given 120 seconds to end."""
        self._batch.terminate_service_job(jobId=aws_id(job_id), reason=reason)

    def named(self, queue: str, name: str) -> Iterator[ServiceJob]:
        """List the jobs of a name, whatever their state, the newest first."""
        return self._list(queue, filters=[{"name": "JOB_NAME", "values": [name]}])

    def _list(self, queue: str, **query: Any) -> Iterator[ServiceJob]:  # noqa: ANN401 - as boto3 takes it
        for page in self._batch.get_paginator("list_service_jobs").paginate(jobQueue=queue, **query):
            yield from map(ServiceJob.model_validate, page["jobSummaryList"])


class ServiceJobSubmitter(ServiceJobs):
    """`Submitter` to SageMaker.

    Args:
        batch: A Batch client.
        template: Reads where jobs go: for each job anew, since a deployment may change it.
    """

    def __init__(self, batch: BatchClient, template: Callable[[], TrainingJobTemplate]) -> None:
        super().__init__(batch)
        self._template = template

    def find_living(self, name: str, compute: ComputeConfig) -> str | None:
        """Find a job by its name: see `Submitter.find_living`."""
        del compute
        return next((job.id for job in self.named(self._template().job_queue, name) if not job.job().has_ended), None)

    def submit(self, job: JobRequest) -> str:
        """Submit a run's job: see `Submitter.submit`."""
        submitted = self._batch.submit_service_job(**submission(job, self._template()))
        return ServiceJob(job_id=submitted["jobId"], job_name=job.name, status="SUBMITTED").id
