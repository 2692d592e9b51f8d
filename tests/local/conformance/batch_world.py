"""A queue of the embedded AWS Batch, as tests see it."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.local.emulator import Emulator

Json = dict[str, Any]


@dataclass
class BatchWorld:
    """One compute environment and queue, and the events of its jobs."""

    emulator: Emulator
    job_queue: str
    compute_environment: str
    events_url: str
    events: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batch = self.emulator.client("batch")
        self._sqs = self.emulator.client("sqs")

    def define(self, command: list[str], image: str = "gaitway/shell:local", **definition: Any) -> str:
        """Register a job definition and return its ARN."""
        container = {
            "image": image,
            "command": command,
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
            **definition.pop("containerProperties", {}),
        }
        response = self.batch.register_job_definition(
            jobDefinitionName=f"def-{uuid.uuid4().hex[:8]}",
            type="container",
            containerProperties=container,
            **definition,
        )
        return str(response["jobDefinitionArn"])

    def submit(self, definition: str, **request: Any) -> str:
        """Submit a job and return its id."""
        response = self.batch.submit_job(
            jobName=request.pop("jobName", "job"), jobQueue=self.job_queue, jobDefinition=definition, **request
        )
        return str(response["jobId"])

    def run(self, script: str, **definition: Any) -> str:
        """Submit a shell script and return the job's id."""
        return self.submit(self.define(["sh", "-c", script], **definition))

    def wait_for(self, job_id: str, *statuses: str) -> Json:
        """Wait for the event that tells of one of these statuses, and return the job."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for event in self.events_of(job_id):
                if event["detail"]["status"] in statuses:
                    return self.describe(job_id)
            self._receive()
        raise AssertionError(f"{job_id} did not reach {statuses}: {self.describe(job_id)}")

    def wait_for_end(self, job_id: str) -> Json:
        """Wait until the job has succeeded or failed, and return it."""
        return self.wait_for(job_id, "SUCCEEDED", "FAILED")

    def describe(self, job_id: str) -> Json:
        """Return what DescribeJobs says."""
        return dict(self.batch.describe_jobs(jobs=[job_id])["jobs"][0])

    def events_of(self, job_id: str) -> list[Json]:
        """Return the events of this job that have arrived."""
        return [event for event in self.events if event["detail"]["jobId"] == job_id]

    def log(self, job: Json) -> list[str]:
        """Return the lines of the job's last attempt."""
        events = self.emulator.client("logs").get_log_events(
            logGroupName="/aws/batch/job", logStreamName=job["container"]["logStreamName"], startFromHead=True
        )
        return [event["message"] for event in events["events"]]

    def _receive(self) -> None:
        response = self._sqs.receive_message(QueueUrl=self.events_url, WaitTimeSeconds=5, MaxNumberOfMessages=10)
        for message in response.get("Messages", []):
            self.events.append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self.events_url, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def batch_world(emulator: Emulator, name: str, vcpus: int) -> Iterator[BatchWorld]:
    """Make a queue whose events go to SQS.

    Args:
        emulator: Where.
        name: Of queue and compute environment.
        vcpus: What there is room for.
    """
    batch, events, sqs = emulator.client("batch"), emulator.client("events"), emulator.client("sqs")
    batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        computeResources={"type": "EC2", "maxvCpus": vcpus, "subnets": [], "instanceTypes": ["g6"], "minvCpus": 0},
    )
    queue = batch.create_job_queue(
        jobQueueName=name, priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}]
    )
    events_url = sqs.create_queue(QueueName=f"{name}-events")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=events_url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {"jobQueue": [queue["jobQueueArn"]]},
    }
    events.put_rule(Name=f"{name}-events", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{name}-events", Targets=[{"Id": "1", "Arn": attributes["QueueArn"]}])
    yield BatchWorld(emulator, queue["jobQueueArn"], name, events_url)
    events.remove_targets(Rule=f"{name}-events", Ids=["1"])
    events.delete_rule(Name=f"{name}-events")
