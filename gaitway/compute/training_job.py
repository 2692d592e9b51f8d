"""What is submitted for a run that SageMaker trains: its training job, in a service job of AWS Batch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from gaitway.compute.jobs import JobRequest
from gaitway.compute.service_job import REPORTED, SAID
from gaitway.compute.targets import of_simulator
from gaitway.contracts.artifacts import run_directory
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import Model
from gaitway.libraries.simulators import Simulator

IMAGE = "GAITWAY_IMAGE"
JOB_NAME = "GAITWAY_JOB_NAME"
JOB_QUEUE = "GAITWAY_JOB_QUEUE"
JOB_ATTEMPTS = "GAITWAY_JOB_ATTEMPTS"
"""Variables by which the runner finds its own job: SageMaker tells a container the name of the training job only."""

_NAME_CHARACTERS = 20
"""Batch puts `AWSBatch` before a training job's name and a digest of 32 characters after it
(docs.aws.amazon.com/batch/latest/userguide/service-job-events.html), and 63 are allowed:
docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html"""
_SHARE_CHARACTERS = 255
"""docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html"""
_NO_GROUP = "ungrouped"


class TrainingJobTemplate(Model):
    """What all training jobs of a deployment have in common: stacks/components/training_jobs.py writes it."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, extra="ignore", strict=False
    )

    job_queue: str
    """Its name."""
    attempts: Annotated[int, Field(ge=1, le=10)]
    instance_types: dict[int, str]
    """By `gpusPerNode`."""
    wait_seconds: Annotated[int, Field(ge=0)] = 0
    """How long a job waits for Spot capacity; 0: jobs are on demand."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Of each service job and training job: who may end one is decided by them."""
    runs_uri: str | None = None
    """The prefix in S3 with which SageMaker synchronises the directories of runs; None: training jobs mount EFS."""
    images: dict[Simulator, str]
    """By simulator."""
    training_job: dict[str, Any]
    """The request of CreateTrainingJob, without what depends on the run."""

    def image(self, simulator: Simulator | None) -> str:
        """Choose the image of a job.

        Args:
            simulator: Its run's; None if a version without a choice has constructed the run.

        Raises:
            RequestError: The simulator is not deployed any more.
        """
        return of_simulator(self.images, simulator)


def training_job(job: JobRequest, template: TrainingJobTemplate) -> dict[str, Any]:
    """Write the request of CreateTrainingJob for a run's job.

    Raises:
        RequestError: No deployed instance type has as many GPUs.
    """
    instance_type = template.instance_types.get(job.compute.gpus_per_node)
    if instance_type is None:
        allowed = ", ".join(map(str, sorted(template.instance_types)))
        raise RequestError(
            f"computeConfig.gpusPerNode is {job.compute.gpus_per_node}, allowed here on SageMaker: {allowed} (what "
            "fits the deployed sagemakerInstanceTypes)"
        )
    common, image = template.training_job, template.image(job.simulator)
    stopping = {"MaxRuntimeInSeconds": job.timeout_seconds}
    if template.wait_seconds:
        # Of waiting and running together.
        stopping["MaxWaitTimeInSeconds"] = job.timeout_seconds + template.wait_seconds
    environment = {
        **common.get("Environment", {}),
        IMAGE: image,
        JOB_NAME: job.name,
        JOB_QUEUE: template.job_queue,
        JOB_ATTEMPTS: str(template.attempts),
    }
    return {
        **common,
        **_synchronised(job.run_id, template),
        "TrainingJobName": job.run_id[:_NAME_CHARACTERS],
        # Only an id: everyone who may describe a training job can read its arguments.
        "AlgorithmSpecification": common["AlgorithmSpecification"]
        | {"TrainingImage": image, "ContainerArguments": [job.run_id]},
        "ResourceConfig": common["ResourceConfig"]
        | {"InstanceType": instance_type, "InstanceCount": job.compute.num_nodes},
        "StoppingCondition": stopping,
        "Environment": environment,
        "Tags": [{"Key": key, "Value": value} for key, value in _tags(job, template).items()],
    }


def _synchronised(run_id: str, template: TrainingJobTemplate) -> dict[str, Any]:
    """Let SageMaker synchronise the run's directory, and nothing beside it, with a prefix of its own."""
    if template.runs_uri is None:
        return {}
    directory = run_directory(Path(template.training_job["Environment"]["GAITWAY_EFS_ROOT"]), run_id)
    # Without the slash, SageMaker also restores what is below prefixes that only begin like this one:
    # github.com/syne-tune/syne-tune/pull/363
    return {"CheckpointConfig": {"S3Uri": f"{template.runs_uri}{run_id}/", "LocalPath": str(directory)}}


def submission(job: JobRequest, template: TrainingJobTemplate) -> dict[str, Any]:
    """Write the request of SubmitServiceJob for a run's job.

    Raises:
        RequestError: No deployed instance type has as many GPUs.
    """
    return {
        "jobName": job.name,
        "jobQueue": template.job_queue,
        "serviceJobType": "SAGEMAKER_TRAINING",
        "serviceRequestPayload": json.dumps(training_job(job, template)),
        # Groups share the queue fairly.
        "shareIdentifier": re.sub(r"[^A-Za-z0-9]", "", job.group_id or "")[:_SHARE_CHARACTERS] or _NO_GROUP,
        "schedulingPriority": 1,
        "retryStrategy": {
            "attempts": template.attempts,
            "evaluateOnExit": [
                {"action": "EXIT", "onStatusReason": f"{REPORTED}*"},
                {"action": "EXIT", "onStatusReason": f"{SAID}ValidationException*"},
                {"action": "RETRY", "onStatusReason": f"{SAID}*"},
            ],
        },
        "timeoutConfig": {"attemptDurationSeconds": job.timeout_seconds + template.wait_seconds},
        "tags": _tags(job, template),
    }


def documents(job: JobRequest, template: TrainingJobTemplate) -> dict[str, str]:
    """Write what is submitted, by file name: see `gaitway.compute.backends.documents_of`."""
    return {
        "submit-service-job.json": json.dumps(submission(job, template), indent=2) + "\n",
        # The same as in the other one's payload, to read, or to submit to SageMaker itself.
        "create-training-job.json": json.dumps(training_job(job, template), indent=2) + "\n",
    }


def _tags(job: JobRequest, template: TrainingJobTemplate) -> dict[str, str]:
    named = {"GaitwayRun": job.run_id, "GaitwayTask": job.task, "GaitwayGroup": job.group_id or ""}
    return template.tags | {key: value for key, value in named.items() if value}
