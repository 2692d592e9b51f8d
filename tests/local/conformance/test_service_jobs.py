"""Service jobs of the embedded AWS Batch, and the training jobs that they are on SageMaker."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gaitway.local.extensions.sagemaker import INTERRUPT
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator

Json = dict[str, Any]
END_SECONDS = 60.0


class Queue:
    """A queue of service jobs with room for two instances, and the events of its jobs."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.batch, self.sagemaker = emulator.client("batch"), emulator.client("sagemaker")
        self._sqs, events = emulator.client("sqs"), emulator.client("events")
        name = f"training-{uuid.uuid4().hex[:8]}"
        environment = self.batch.create_service_environment(
            serviceEnvironmentName=name,
            serviceEnvironmentType="SAGEMAKER_TRAINING",
            capacityLimits=[{"maxCapacity": 2, "capacityUnit": "NUM_INSTANCES"}],
        )["serviceEnvironmentArn"]
        policy = self.batch.create_scheduling_policy(name=name, fairsharePolicy={"shareDecaySeconds": 60})["arn"]
        self.arn = self.batch.create_job_queue(
            jobQueueName=name,
            jobQueueType="SAGEMAKER_TRAINING",
            priority=1,
            schedulingPolicyArn=policy,
            serviceEnvironmentOrder=[{"order": 1, "serviceEnvironment": environment}],
        )["jobQueueArn"]
        self._events_url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._events_url, AttributeNames=["QueueArn"])
        pattern = {"detail-type": ["Batch Service Job State Change"], "detail": {"jobQueue": [self.arn]}}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": attributes["Attributes"]["QueueArn"]}])
        iam = emulator.client("iam")
        self.role = f"arn:aws:iam::000000000000:role/{name}"
        trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))

    def payload(self, script: str, hosts: int = 1, **fields: Any) -> Json:
        """Write the request of a training job that runs a shell script."""
        return {
            "TrainingJobName": "job",
            "RoleArn": self.role,
            "AlgorithmSpecification": {
                "TrainingImage": "gaitway/shell:local",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["sh", "-c"],
                "ContainerArguments": [script],
            },
            "OutputDataConfig": {"S3OutputPath": "s3://any/"},
            "ResourceConfig": {"InstanceType": "ml.g6.2xlarge", "InstanceCount": hosts, "VolumeSizeInGB": 50},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        } | fields

    def submit(self, payload: Json, share: str = "a", **request: Any) -> str:
        """Submit a service job; return its id."""
        submitted = self.batch.submit_service_job(
            jobName=request.pop("jobName", "job"),
            jobQueue=self.arn,
            serviceJobType="SAGEMAKER_TRAINING",
            serviceRequestPayload=json.dumps(payload),
            shareIdentifier=share,
            **request,
        )
        return str(submitted["jobId"])

    def describe(self, job_id: str) -> Json:
        """Describe a service job."""
        return dict(self.batch.describe_service_job(jobId=job_id))

    def reached(self, job_id: str, *states: str) -> Json:
        """Wait for a state; describe the job."""
        until(lambda: self.describe(job_id)["status"] in states, END_SECONDS)
        return self.describe(job_id)

    def ended(self, job_id: str) -> Json:
        """Wait for the end; describe the job."""
        return self.reached(job_id, "SUCCEEDED", "FAILED")

    def training(self, job_id: str) -> Json:
        """Describe the newest training job of a service job."""
        arn = self.describe(job_id)["latestAttempt"]["serviceResourceId"]["value"]
        return dict(self.sagemaker.describe_training_job(TrainingJobName=arn.rpartition("/")[2]))

    def log(self, job_id: str, host: str = "algo-1") -> list[str]:
        """Read what a host has said."""
        logs, name = self.emulator.client("logs"), self.training(job_id)["TrainingJobName"]
        group = "/aws/sagemaker/TrainingJobs"
        found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/{host}-")["logStreams"]
        return [
            event["message"]
            for stream in found
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        ]

    def events(self, job_id: str) -> list[Json]:
        """Receive the next events, and return those of a job."""
        found = self._sqs.receive_message(QueueUrl=self._events_url, WaitTimeSeconds=2, MaxNumberOfMessages=10)
        events = [json.loads(message["Body"]) for message in found.get("Messages", [])]
        return [event for event in events if event["detail"]["jobId"] == job_id]


@pytest.fixture(scope="module")
def queue(emulator: Emulator) -> Queue:
    return Queue(emulator)


@pytest.fixture
def held(queue: Queue) -> Iterator[list[str]]:
    """Jobs that are ended with the test."""
    jobs: list[str] = []
    yield jobs
    for job_id in jobs:
        queue.batch.terminate_service_job(jobId=job_id, reason="the test is over")


def test_a_job_goes_through_its_states_and_each_but_the_first_has_an_event(queue: Queue) -> None:
    job_id = queue.submit(queue.payload("true"), tags={"Team": "legs"})
    job = queue.ended(job_id)
    assert (job["status"], job["statusReason"]) == (
        "SUCCEEDED",
        "Received status from SageMaker: Training job completed",
    )
    seen: list[Json] = []
    until(lambda: seen.extend(queue.events(job_id)) or len(seen) >= 5, END_SECONDS)  # type: ignore[func-returns-value]
    assert [event["detail"]["status"] for event in seen] == [
        "RUNNABLE",
        "SCHEDULED",
        "STARTING",
        "RUNNING",
        "SUCCEEDED",
    ]
    assert all(not {"tags", "serviceRequestPayload"} & event["detail"].keys() for event in seen)
    transitions = [one["Status"] for one in queue.training(job_id)["SecondaryStatusTransitions"]]
    assert transitions == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    assert queue.training(job_id)["TrainingJobName"].startswith("AWSBatchjob")


def test_a_container_finds_its_hosts_and_its_name_and_no_variables_beside(queue: Queue) -> None:
    script = "cat $SAGEMAKER_BASE_DIR/input/config/resourceconfig.json; echo; env"
    job_id = queue.submit(queue.payload(script, hosts=2, Environment={"MINE": "/opt/ml/here"}))
    assert queue.ended(job_id)["status"] == "SUCCEEDED"
    resources, *lines = queue.log(job_id, "algo-2")
    assert json.loads(resources)["hosts"] == ["algo-1", "algo-2"]
    assert json.loads(resources)["current_host"] == "algo-2"
    variables = dict(line.partition("=")[::2] for line in lines if "=" in line)
    assert variables["TRAINING_JOB_NAME"] == queue.training(job_id)["TrainingJobName"]
    assert variables["MINE"] == f"{variables['SAGEMAKER_BASE_DIR']}/here"
    documented = {"TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "MINE"}
    ours = {"SAGEMAKER_BASE_DIR", "GAITWAY_MAIN_ADDRESS", "GAITWAY_EMULATOR_ID", "AWS_ENDPOINT_URL"}
    shell = {"PWD", "HOME", "HOSTNAME", "PATH", "_", "SHLVL", "OLDPWD"}
    assert variables.keys() - shell == documented | ours | {"AWS_CONTAINER_CREDENTIALS_FULL_URI"}


def test_a_failure_is_attempted_again_unless_a_rule_says_otherwise(queue: Queue) -> None:
    rules = [{"action": "EXIT", "onStatusReason": "Received status from SageMaker: AlgorithmError: told*"}]
    strategy = {"attempts": 3, "evaluateOnExit": rules}
    again = queue.ended(queue.submit(queue.payload("exit 11"), retryStrategy=strategy))
    assert (again["status"], len(again["attempts"])) == ("FAILED", 3)
    assert again["statusReason"] == "Received status from SageMaker: AlgorithmError: , exit code: 11"
    assert len({one["serviceResourceId"]["value"] for one in again["attempts"]}) == 3
    script = "echo 'told why' > $SAGEMAKER_BASE_DIR/output/failure; exit 10"
    told = queue.ended(queue.submit(queue.payload(script), retryStrategy=strategy))
    assert (len(told["attempts"]), told["status"]) == (1, "FAILED")
    assert told["statusReason"].startswith("Received status from SageMaker: AlgorithmError: told why")


def test_one_host_that_fails_ends_the_others(queue: Queue) -> None:
    script = (
        "grep -q 'current_host\": \"algo-2' $SAGEMAKER_BASE_DIR/input/config/resourceconfig.json && exit 3; sleep 600"
    )
    job = queue.ended(queue.submit(queue.payload(script, hosts=2)))
    assert "exit code" in job["statusReason"]


def test_a_stopped_job_is_asked_to_end_and_not_attempted_again(queue: Queue) -> None:
    script = "trap 'echo asked; exit 0' TERM; echo ready; while true; do sleep 0.1; done"
    job_id = queue.submit(queue.payload(script), retryStrategy={"attempts": 3})
    queue.reached(job_id, "RUNNING")
    until(lambda: "ready" in queue.log(job_id), END_SECONDS)
    queue.batch.terminate_service_job(jobId=job_id, reason="wrong robot")
    job = queue.ended(job_id)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "wrong robot", True)
    assert queue.log(job_id)[-1] == "asked"
    assert queue.training(job_id)["TrainingJobStatus"] == "Stopped"


def test_a_training_job_ends_when_its_time_is_over(queue: Queue) -> None:
    payload = queue.payload("exec sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = queue.ended(queue.submit(payload))
    assert "MaxRuntimeInSeconds" in job["statusReason"]


def test_an_interrupted_spot_job_starts_again_on_an_empty_disk(queue: Queue, tmp_path: Path) -> None:
    mark = tmp_path / "seen"
    script = f"ls $SAGEMAKER_BASE_DIR/output/data; [ -e {mark} ] && exit 0; touch {mark} left; sleep 600"
    stopping = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    payload = queue.payload(script, EnableManagedSpotTraining=True, StoppingCondition=stopping)
    job_id = queue.submit(payload)
    until(mark.exists, END_SECONDS)
    name = queue.training(job_id)["TrainingJobName"]
    urllib.request.urlopen(f"{queue.emulator.endpoint_url}{INTERRUPT}{name}").close()  # noqa: S310
    job = queue.ended(job_id)
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 1)
    transitions = [one["Status"] for one in queue.training(job_id)["SecondaryStatusTransitions"]]
    assert transitions.count("Training") == 2
    assert "Interrupted" in transitions


def test_jobs_wait_for_room_and_shares_take_turns(queue: Queue, held: list[str]) -> None:
    holds = queue.payload("exec sleep 600")
    held += [queue.submit(holds), queue.submit(holds)]
    queue.reached(held[1], "RUNNING")
    held += [queue.submit(holds), queue.submit(holds, share="b")]
    assert [queue.describe(one)["status"] for one in held[2:]] == ["RUNNABLE", "RUNNABLE"]
    queue.batch.terminate_service_job(jobId=held[0], reason="make room")
    # The other share uses nothing yet, and its job goes before the older one.
    queue.reached(held[3], "RUNNING")
    assert queue.describe(held[2])["status"] == "RUNNABLE"
    listed = queue.batch.list_service_jobs(jobQueue=queue.arn, jobStatus="RUNNABLE")["jobSummaryList"]
    assert [one["jobId"] for one in listed] == [held[2]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"RoleArn": "arn:aws:iam::000000000000:role/no-such-role"}, "Could not assume role"),
        ({"ResourceConfig": {"InstanceType": "g6.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}}, "enum value set"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "MaxRuntimeInSeconds"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds must be set"),
        ({"TrainingJobname": "job"}, "'TrainingJobname' is not a member"),
        ({"Environment": {"1": "x"}}, "regular expression pattern"),
        ({"HyperParameters": {"seed": "1"}}, "not supported by the embedded SageMaker"),
    ],
)
def test_a_payload_is_refused_after_its_submission(queue: Queue, changes: Json, said: str) -> None:
    job = queue.ended(queue.submit(queue.payload("true") | changes))
    assert job["status"] == "FAILED"
    assert job["statusReason"].startswith("Received status from SageMaker: ValidationException: ")
    assert said in job["statusReason"]


def test_an_image_that_does_not_exist_fails_the_job(queue: Queue) -> None:
    payload = queue.payload("true")
    payload["AlgorithmSpecification"]["TrainingImage"] = "nobody/nothing:1"
    assert "ClientError: Cannot find the requested image" in queue.ended(queue.submit(payload))["statusReason"]


@pytest.mark.parametrize(
    "changes",
    [
        {"shareIdentifier": "not a share"},
        {"schedulingPriority": 10_000},
        {"retryStrategy": {"attempts": 11}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onStatusReason": "a*b"}]}},
        {"serviceRequestPayload": "[]"},
        {"serviceRequestPayload": json.dumps({"x": "y" * 40_000})},
        {"jobName": "no spaces"},
    ],
)
def test_a_submission_that_batch_does_not_take_is_refused(queue: Queue, changes: Json) -> None:
    request = {
        "jobName": "job",
        "jobQueue": queue.arn,
        "serviceJobType": "SAGEMAKER_TRAINING",
        "serviceRequestPayload": "{}",
        "shareIdentifier": "a",
    }
    with pytest.raises(ClientError, match="ClientException"):
        queue.batch.submit_service_job(**request | changes)


def test_a_queue_of_service_jobs_takes_no_other_jobs(queue: Queue) -> None:
    definition = queue.batch.register_job_definition(
        jobDefinitionName="any", type="container", containerProperties={"image": "gaitway/shell:local", "command": []}
    )["jobDefinitionArn"]
    with pytest.raises(ClientError, match="service jobs only"):
        queue.batch.submit_job(jobName="job", jobQueue=queue.arn, jobDefinition=definition)


def test_a_submission_that_is_sent_again_is_the_same_job(queue: Queue) -> None:
    # docs.aws.amazon.com/batch/latest/APIReference/API_SubmitServiceJob.html
    token, payload = uuid.uuid4().hex, queue.payload("exit 0")
    first = queue.submit(payload, clientToken=token)
    assert queue.submit(payload, clientToken=token) == first
    assert queue.submit(payload, clientToken=uuid.uuid4().hex) != first


def test_instances_are_kept_for_a_while_after_a_job_that_has_ended_by_itself(queue: Queue, held: list[str]) -> None:
    resources = {"InstanceType": "ml.g6.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50}

    def submit(script: str, seconds: int) -> str:
        return queue.submit(queue.payload(script, ResourceConfig=resources | {"KeepAlivePeriodInSeconds": seconds}))

    held.append(submit("sleep 60", 600))
    queue.reached(held[0], "RUNNING")
    assert queue.training(held[0])["WarmPoolStatus"] == {"Status": "InUse"}
    kept, over, failed = submit("true", 600), submit("true", 1), submit("false", 600)
    for job_id in (kept, over, failed):
        queue.ended(job_id)
    assert {queue.training(one)["WarmPoolStatus"]["Status"] for one in (kept, failed)} == {"Available"}
    until(lambda: queue.training(over)["WarmPoolStatus"]["Status"] == "Terminated", END_SECONDS)
    assert queue.training(over)["WarmPoolStatus"]["ResourceRetainedBillableTimeInSeconds"] == 1
