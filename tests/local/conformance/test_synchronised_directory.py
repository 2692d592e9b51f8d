"""The embedded SageMaker keeps a container's directory the same as a prefix in S3, and is no kinder than SageMaker."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator
from tests.processes import kill_processes

END_SECONDS = 60.0
DIRECTORY = '"$SAGEMAKER_BASE_DIR/checkpoints"'
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]


class Trainer:
    """Training jobs that share a prefix, with a role that may use it."""

    def __init__(self, emulator: Emulator) -> None:
        self.sagemaker, self.s3 = emulator.client("sagemaker"), emulator.client("s3")
        self.bucket = self.role_name = f"synchronised-{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.iam = emulator.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.role = self.iam.create_role(
            RoleName=self.role_name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
        )["Role"]["Arn"]
        self.allow(*ACTIONS)

    def allow(self, *actions: str) -> None:
        """Allow the role these actions, and no other."""
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName=self.role_name, PolicyName="own", PolicyDocument=document)

    def train(self, script: str) -> str:
        """Start a training job that runs a shell script; return its name."""
        name = f"job-{uuid.uuid4().hex}"
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=self.role,
            AlgorithmSpecification={
                "TrainingImage": "gaitway/shell:local",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["sh", "-c"],
                "ContainerArguments": [f"cd {DIRECTORY} && {script}"],
            },
            OutputDataConfig={"S3OutputPath": "s3://any/"},
            CheckpointConfig={"S3Uri": f"s3://{self.bucket}/run/", "LocalPath": "/opt/ml/checkpoints"},
            ResourceConfig={"InstanceType": "ml.g6.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        return name

    def ended(self, name: str) -> Any:
        """Wait for the end of a training job; describe it."""

        def describe() -> Any:
            return self.sagemaker.describe_training_job(TrainingJobName=name)

        until(lambda: describe()["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"), END_SECONDS)
        return describe()

    def object(self, name: str) -> bytes | None:
        """Read an object below the prefix; None if there is none."""
        try:
            return bytes(self.s3.get_object(Bucket=self.bucket, Key=f"run/{name}")["Body"].read())
        except ClientError:
            return None


@pytest.fixture
def trainer(emulator: Emulator) -> Trainer:
    return Trainer(emulator)


def test_what_is_written_while_the_job_runs_is_there_for_the_next_and_what_is_deleted_is_not(trainer: Trainer) -> None:
    name = trainer.train("mkdir a && echo 1 > a/kept && echo 2 > gone && while [ ! -e ends ]; do sleep 0.1; done")
    until(lambda: trainer.object("a/kept") == b"1\n" and trainer.object("gone") == b"2\n", END_SECONDS)
    # What comes to S3 later does not come to a container that runs.
    trainer.s3.put_object(Bucket=trainer.bucket, Key="run/ends", Body=b"")
    trainer.sagemaker.stop_training_job(TrainingJobName=name)
    trainer.ended(name)
    second = trainer.train(
        "cat a/kept && [ -e ends ] && rm gone && echo 3 > new; until [ -e new.sagemaker-uploaded ]; do sleep 0.1; done"
    )
    assert trainer.ended(second)["TrainingJobStatus"] == "Completed"
    assert (trainer.object("a/kept"), trainer.object("gone"), trainer.object("new")) == (b"1\n", None, b"3\n")


def test_marks_stand_beside_what_was_brought_and_are_not_brought_themselves(trainer: Trainer) -> None:
    name = trainer.train("echo 1 > file && while [ ! -e file.sagemaker-uploaded ]; do sleep 0.1; done")
    assert trainer.ended(name)["TrainingJobStatus"] == "Completed"
    keys = [item["Key"] for item in trainer.s3.list_objects_v2(Bucket=trainer.bucket)["Contents"]]
    assert keys == ["run/file"]


def test_nothing_is_brought_once_the_container_has_ended(trainer: Trainer) -> None:
    assert trainer.ended(trainer.train("echo 1 > last"))["TrainingJobStatus"] == "Completed"
    assert trainer.object("last") is None


def test_what_a_machine_wrote_in_its_last_moment_is_lost(trainer: Trainer) -> None:
    name = trainer.train(
        "echo 1 > file; until [ -e file.sagemaker-uploaded ]; do sleep 0.1; done; echo 2 > file; kill -9 $$"
    )
    assert "exit code: 137" in trainer.ended(name)["FailureReason"]
    assert trainer.object("file") == b"1\n"


def test_a_role_that_may_not_read_the_prefix_starts_nothing(trainer: Trainer) -> None:
    trainer.allow("s3:PutObject")
    job = trainer.ended(trainer.train("true"))
    assert job["TrainingJobStatus"] == "Failed"
    assert "Data download failed" in job["FailureReason"]


def test_a_file_that_is_written_slowly_is_brought_torn_and_then_whole(trainer: Trainer) -> None:
    name = trainer.train(
        "printf ab > file; until [ -e file.sagemaker-uploaded ]; do sleep 0.1; done; rm file.sagemaker-uploaded;"
        " cp file seen; printf cd >> file; until [ -e file.sagemaker-uploaded ]; do sleep 0.1; done; sleep 60"
    )
    until(lambda: trainer.object("file") == b"abcd", END_SECONDS)
    assert trainer.object("seen") == b"ab"
    kill_processes("TRAINING_JOB_NAME", name)
    trainer.ended(name)
