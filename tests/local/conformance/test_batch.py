"""The embedded AWS Batch runs jobs, and behaves as Batch's documentation says."""

import http.client
import json
import os
import shlex
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conformance.batch_world import BatchWorld, Json, batch_world
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator
from tests.processes import wait_until_ended


@pytest.fixture(scope="module")
def world(emulator: Emulator) -> Iterator[BatchWorld]:
    """A queue with room for two vCPUs."""
    with batch_world(emulator, "queue", vcpus=2) as world:
        yield world


def test_a_job_passes_every_state_and_each_is_an_event(world: BatchWorld) -> None:
    job_id = world.run("exit 0")
    job = world.wait_for_end(job_id)

    statuses = [event["detail"]["status"] for event in world.events_of(job_id)]
    assert statuses == ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]


def test_an_event_carries_the_job_as_described(world: BatchWorld) -> None:
    job_id = world.run("exit 3")
    job = world.wait_for_end(job_id)
    event = world.events_of(job_id)[-1]

    assert event["source"] == "aws.batch"
    assert event["resources"] == [job["jobArn"]]
    detail = event["detail"]
    assert detail["jobName"] == "job"
    assert detail["jobQueue"] == world.job_queue
    assert detail["status"] == "FAILED"
    assert detail["container"]["exitCode"] == 3
    assert detail["attempts"][0]["container"]["exitCode"] == 3
    assert detail["attempts"][0]["statusReason"] == "Essential container in task exited"


def test_output_of_both_streams_reaches_the_log(world: BatchWorld) -> None:
    job = world.wait_for_end(world.run("echo one; echo two >&2; printf unfinished"))
    assert world.log(job) == ["one", "two", "unfinished"]
    definition = job["jobDefinition"].rpartition("/")[2].partition(":")[0]
    assert job["container"]["logStreamName"].startswith(f"{definition}/default/")


def test_output_is_in_the_log_while_the_job_runs(world: BatchWorld, tmp_path: Path) -> None:
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    job_id = world.run(f"echo started; cat {fifo}; echo done")
    job = world.wait_for(job_id, "RUNNING")
    # Opening a pipe for writing returns once the job has opened it for reading, which it does after its first line.
    with fifo.open("w"):
        deadline = time.monotonic() + 10
        while world.log(job) != ["started"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert world.log(job) == ["started"]
    assert world.log(world.wait_for_end(job_id)) == ["started", "done"]


def test_the_job_sees_its_environment(world: BatchWorld) -> None:
    definition = world.define(
        ["sh", "-c", "env"],
        containerProperties={
            "environment": [{"name": "KEPT", "value": "definition"}, {"name": "CHANGED", "value": "definition"}]
        },
    )
    job_id = world.submit(definition, containerOverrides={"environment": [{"name": "CHANGED", "value": "override"}]})
    job = world.wait_for_end(job_id)
    environment = dict(line.split("=", 1) for line in world.log(job) if "=" in line)

    assert environment["KEPT"] == "definition"
    assert environment["CHANGED"] == "override"
    assert environment["AWS_BATCH_JOB_ID"] == job_id
    assert environment["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert environment["AWS_BATCH_JQ_NAME"] == "queue"
    assert environment["AWS_BATCH_CE_NAME"] == world.compute_environment
    assert environment["AWS_ENDPOINT_URL"] == world.emulator.endpoint_url


def test_a_job_is_given_what_batch_ecs_and_docker_set_and_no_more(world: BatchWorld) -> None:
    """No region, with which a job that sets none would run here and end with NoRegionError on AWS.

    docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-environment-variables.html
    github.com/aws/amazon-ecs-agent/pull/4946: agents before it set no region.
    """
    definition = world.define(["env"], containerProperties={"jobRoleArn": role(world, "ecs-tasks.amazonaws.com")})
    log = world.log(world.wait_for_end(world.submit(definition)))
    assert {line.partition("=")[0] for line in log} == {
        *("AWS_BATCH_CE_NAME", "AWS_BATCH_JOB_ATTEMPT", "AWS_BATCH_JOB_ID", "AWS_BATCH_JQ_NAME"),
        *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EXECUTION_ENV", "ECS_CONTAINER_METADATA_URI_V4"),
        *("HOME", "HOSTNAME", "PATH"),
        # The emulator's address and mark.
        *("AWS_ENDPOINT_URL", "GAITWAY_EMULATOR_ID"),
    }


def test_a_job_that_sets_no_region_has_none(world: BatchWorld) -> None:
    script = "import boto3; boto3.client('dynamodb')"
    definition = world.define(["python", "-c", script])
    log = world.log(world.wait_for_end(world.submit(definition)))
    assert log[-1] == "botocore.exceptions.NoRegionError: You must specify a region."


def test_the_job_acts_in_its_role(world: BatchWorld) -> None:
    """docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html; a session is named after its task."""
    script = "import boto3; print(boto3.client('sts', 'us-east-1').get_caller_identity()['Arn'])"
    arn = role(world, "ecs-tasks.amazonaws.com")
    definition = world.define(["python", "-c", script], containerProperties={"jobRoleArn": arn})
    job = world.wait_for_end(world.submit(definition))
    task_id = job["container"]["taskArn"].rpartition("/")[2]
    assert world.log(job) == [f"{arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{task_id}"]


def test_a_job_without_a_role_has_no_credentials(world: BatchWorld) -> None:
    script = "import boto3; print(boto3.Session().get_credentials())"
    definition = world.define(
        ["python", "-c", script],
        # Else the instance's role is asked for, at an address where nobody answers on a laptop.
        containerProperties={"environment": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]},
    )
    assert world.log(world.wait_for_end(world.submit(definition))) == ["None"]


def test_credentials_are_given_for_as_long_as_the_task_runs(world: BatchWorld) -> None:
    definition = world.define(
        ["sh", "-c", "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        containerProperties={"jobRoleArn": role(world, "ecs-tasks.amazonaws.com")},
    )
    (address,) = world.log(world.wait_for_end(world.submit(definition)))
    host, path = address.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host)
    connection.request("GET", f"/{path}")
    assert connection.getresponse().status == 400
    connection.close()


def test_the_agent_tells_of_the_task(world: BatchWorld) -> None:
    """docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html."""
    script = (
        "import os, urllib.request as request; "
        "print(request.urlopen(os.environ['ECS_CONTAINER_METADATA_URI_V4'] + '/task').read().decode())"
    )
    job = world.wait_for_end(world.submit(world.define(["python", "-c", script])))
    (answer,) = world.log(job)
    task = json.loads(answer)
    assert task["TaskARN"] == job["container"]["taskArn"]
    assert [container["Image"] for container in task["Containers"]] == ["gaitway/shell:local"]


@pytest.mark.parametrize("trusted", [None, "lambda.amazonaws.com"])
def test_a_role_that_ecs_cannot_assume_keeps_the_job_from_starting(world: BatchWorld, trusted: str | None) -> None:
    """docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html; the reason is ECS's own."""
    arn = role(world, trusted) if trusted else "arn:aws:iam::000000000000:role/nobody"
    definition = world.define(["true"], containerProperties={"jobRoleArn": arn})
    job = world.wait_for_end(world.submit(definition))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == (
        f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role being "
        "passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this "
        "role."
    )


def test_a_deleted_queue_ends_its_jobs(emulator: Emulator) -> None:
    """docs.aws.amazon.com/batch/latest/APIReference/API_DeleteJobQueue.html

    "All jobs in the queue are eventually terminated when you delete a job queue."
    """
    with batch_world(emulator, "queue-that-goes", vcpus=1) as world:
        runs = world.run("exec sleep 60")
        waits = world.run("true")
        world.wait_for(runs, "RUNNING")
        world.batch.update_job_queue(jobQueue=world.job_queue, state="DISABLED")
        world.batch.delete_job_queue(jobQueue=world.job_queue)
        assert [world.wait_for_end(job)["status"] for job in (runs, waits)] == ["FAILED", "FAILED"]


def test_a_deleted_compute_environment_takes_its_instances_from_the_jobs_on_them(emulator: Emulator) -> None:
    """docs.aws.amazon.com/batch/latest/userguide/job_retries.html: such a job is attempted again, elsewhere."""
    with batch_world(emulator, "environment-that-goes", vcpus=1) as world:
        job_id = world.run("exec sleep 60", retryStrategy={"attempts": 2})
        world.wait_for(job_id, "RUNNING")
        world.batch.update_job_queue(jobQueue=world.job_queue, computeEnvironmentOrder=[])
        world.batch.update_compute_environment(computeEnvironment=world.compute_environment, state="DISABLED")
        world.batch.delete_compute_environment(computeEnvironment=world.compute_environment)
        until(lambda: len(world.describe(job_id)["attempts"]) == 1)
        job = world.describe(job_id)
        assert job["attempts"][0]["statusReason"].startswith("Host EC2")
        assert "exitCode" not in job["attempts"][0]["container"]
        assert job["status"] == "RUNNABLE"


def role(world: BatchWorld, service: str) -> str:
    """Make a role that a service may assume."""
    principal = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    answer = world.emulator.client("iam").create_role(
        RoleName=f"role-{uuid.uuid4().hex[:8]}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [principal]}),
    )
    return str(answer["Role"]["Arn"])


def test_parameters_replace_their_references(world: BatchWorld) -> None:
    definition = world.define(["echo", "Ref::first", "Ref::second", "plain"], parameters={"first": "a", "second": "b"})
    job = world.wait_for_end(world.submit(definition, parameters={"second": "c"}))
    assert world.log(job) == ["a c plain"]


def test_an_overridden_command_replaces_the_defined_one(world: BatchWorld) -> None:
    definition = world.define(["echo", "defined"])
    job = world.wait_for_end(world.submit(definition, containerOverrides={"command": ["echo", "override"]}))
    assert world.log(job) == ["override"]


def test_a_failed_attempt_is_tried_again_with_its_number(world: BatchWorld) -> None:
    script = 'echo "attempt $AWS_BATCH_JOB_ATTEMPT"; test "$AWS_BATCH_JOB_ATTEMPT" = 2'
    job_id = world.run(script, retryStrategy={"attempts": 3})
    job = world.wait_for_end(job_id)

    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 0]
    assert world.log(job) == ["attempt 2"]
    assert len({attempt["container"]["logStreamName"] for attempt in job["attempts"]}) == 2
    statuses = [event["detail"]["status"] for event in world.events_of(job_id)]
    assert statuses[4:7] == ["RUNNING", "RUNNABLE", "STARTING"]


@pytest.mark.parametrize(
    ("rules", "attempts"),
    [
        pytest.param([{"action": "EXIT", "onExitCode": "7"}], 1, id="the exit code matches"),
        pytest.param([{"action": "EXIT", "onExitCode": "8"}], 2, id="what matches nothing is retried"),
        pytest.param(
            [{"action": "RETRY", "onExitCode": "7"}, {"action": "EXIT", "onReason": "*"}], 2, id="first match"
        ),
        pytest.param([{"action": "EXIT", "onStatusReason": "essential container*"}], 1, id="prefix, case ignored"),
        pytest.param([{"action": "EXIT", "onExitCode": "7", "onStatusReason": "Host EC2*"}], 2, id="all must match"),
    ],
)
def test_rules_decide_about_a_retry(world: BatchWorld, rules: list[Json], attempts: int) -> None:
    job = world.wait_for_end(world.run("exit 7", retryStrategy={"attempts": 2, "evaluateOnExit": rules}))
    assert job["status"] == "FAILED"
    assert len(job["attempts"]) == attempts


def test_an_unknown_image_cannot_be_pulled(world: BatchWorld) -> None:
    definition = world.define(["true"], image="example.com/unknown:1")
    job = world.wait_for_end(world.submit(definition))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith(
        "CannotPullContainerError: pull access denied for example.com/unknown:1"
    )
    assert "exitCode" not in job["container"]


def test_a_missing_program_cannot_be_started(world: BatchWorld) -> None:
    job = world.wait_for_end(world.submit(world.define(["/no/such/program"])))
    assert job["status"] == "FAILED"
    assert job["container"]["reason"].startswith("CannotStartContainerError")


def test_a_missing_log_group_stops_the_start(world: BatchWorld) -> None:
    options = {"awslogs-group": "/no/such/group"}
    properties = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
    job = world.wait_for_end(world.submit(world.define(["true"], containerProperties=properties)))
    assert job["status"] == "FAILED"
    assert "The specified log group does not exist" in job["container"]["reason"]


def test_an_attempt_that_exceeds_its_timeout_is_asked_to_end_and_not_retried(world: BatchWorld) -> None:
    script = "trap 'echo asked; exit 9' TERM; echo ready; while true; do sleep 0.05; done"
    job = world.wait_for_end(world.run(script, timeout={"attemptDurationSeconds": 1}, retryStrategy={"attempts": 3}))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Job attempt duration exceeded timeout"
    assert job["container"]["exitCode"] == 9
    assert len(job["attempts"]) == 1
    assert world.log(job) == ["ready", "asked"]


def test_a_terminated_job_fails_with_the_given_reason_and_is_not_retried(world: BatchWorld) -> None:
    job_id = world.run("exec sleep 60", retryStrategy={"attempts": 3})
    world.wait_for(job_id, "RUNNING")
    world.batch.terminate_job(jobId=job_id, reason="changed my mind")
    job = world.wait_for_end(job_id)

    assert job["status"] == "FAILED"
    assert job["statusReason"] == "changed my mind"
    # 128 + SIGTERM
    assert job["container"]["exitCode"] == 143
    assert len(job["attempts"]) == 1


def test_terminating_a_job_that_has_ended_changes_nothing(world: BatchWorld) -> None:
    job_id = world.run("exit 0")
    before = world.wait_for_end(job_id)
    world.batch.terminate_job(jobId=job_id, reason="too late")
    assert world.describe(job_id) == before


def test_the_end_of_the_main_process_ends_the_container(world: BatchWorld) -> None:
    python = "import subprocess,sys; p=subprocess.Popen(['sleep','60'],start_new_session=True); print(p.pid)"
    job = world.wait_for_end(world.run(f"python -c {shlex.quote(python)}"))
    wait_until_ended(int(world.log(job)[0]))


def test_jobs_beyond_the_vcpus_wait_and_then_run(world: BatchWorld) -> None:
    needs_two = {"resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "GPU", "value": "1"}]}
    first = world.run("exec sleep 60", containerProperties=needs_two)
    world.wait_for(first, "RUNNING")
    second = world.run("exit 0")
    assert world.describe(second)["status"] == "RUNNABLE"

    world.batch.terminate_job(jobId=first, reason="make room")
    assert world.wait_for_end(second)["status"] == "SUCCEEDED"
    assert world.describe(first)["stoppedAt"] <= world.describe(second)["startedAt"]


def test_a_job_that_finds_no_room_keeps_those_behind_it_waiting(world: BatchWorld, tmp_path: Path) -> None:
    """First in, first out: docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html."""
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    running = world.run(f"cat {fifo}")
    world.wait_for(running, "RUNNING")
    both = [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "512"}]
    head = world.run("exit 0", containerProperties={"resourceRequirements": both})
    behind = world.run("exit 0")
    world.wait_for(behind, "RUNNABLE")
    fifo.write_text("")
    first, second = world.wait_for_end(head), world.wait_for_end(behind)
    assert first["stoppedAt"] <= second["startedAt"]


def test_cancel_ends_a_job_that_waits_but_not_one_that_runs(world: BatchWorld) -> None:
    needs_two = {"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
    running = world.run("exec sleep 60", containerProperties=needs_two)
    world.wait_for(running, "RUNNING")
    waiting = world.run("exit 0")
    for job_id in (running, waiting):
        world.batch.cancel_job(jobId=job_id, reason="not needed")

    job = world.wait_for_end(waiting)
    assert (job["status"], job["statusReason"]) == ("FAILED", "not needed")
    assert world.describe(running)["status"] == "RUNNING"
    world.batch.terminate_job(jobId=running, reason="clean up")
    world.wait_for_end(running)


def test_jobs_are_listed_by_status_and_by_name(world: BatchWorld) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    definition = world.define(["true"])
    job_ids = [world.submit(definition, jobName=f"{name}-{index}") for index in range(2)]
    for job_id in job_ids:
        world.wait_for_end(job_id)

    def listed(**query: Any) -> set[str]:
        response = world.batch.list_jobs(jobQueue=world.job_queue, **query)
        return {job["jobId"] for job in response["jobSummaryList"]}

    assert listed(filters=[{"name": "JOB_NAME", "values": [f"{name.upper()}*"]}]) == set(job_ids)
    assert listed(filters=[{"name": "JOB_NAME", "values": [f"{name}-0"]}]) == {job_ids[0]}
    assert set(job_ids) <= listed(jobStatus="SUCCEEDED")
    assert not set(job_ids) & listed()


def test_a_file_system_is_one_directory_for_all_jobs_that_mount_it(world: BatchWorld) -> None:
    efs = world.emulator.client("efs")
    file_system = efs.create_file_system(CreationToken=uuid.uuid4().hex)["FileSystemId"]
    properties = {
        "volumes": [{"name": "runs", "efsVolumeConfiguration": {"fileSystemId": file_system, "rootDirectory": "/"}}],
        "mountPoints": [{"containerPath": "/mnt/efs", "sourceVolume": "runs", "readOnly": False}],
        "environment": [{"name": "ROOT", "value": "/mnt/efs/runs"}, {"name": "OTHER", "value": "/mnt/efs-other"}],
    }
    write = world.define(
        ["sh", "-c", 'mkdir -p "$ROOT"; echo content > "$ROOT/file"; echo "$OTHER"'], containerProperties=properties
    )
    assert world.log(world.wait_for_end(world.submit(write))) == ["/mnt/efs-other"]
    assert (world.emulator.state_directory / "efs" / file_system / "runs" / "file").read_text() == "content\n"

    read = world.define(["cat", "/mnt/efs/runs/file"], containerProperties=properties)
    assert world.log(world.wait_for_end(world.submit(read))) == ["content"]


def test_each_registration_is_a_revision_and_a_name_means_the_newest_active(world: BatchWorld) -> None:
    name = f"revised-{uuid.uuid4().hex[:8]}"

    def register(word: str) -> str:
        properties = {"image": "gaitway/shell:local", "command": ["echo", word]}
        response = world.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=properties
        )
        return str(response["jobDefinitionArn"])

    arns = [register("one"), register("two")]
    assert arns[1].endswith(f"{name}:2")
    assert world.log(world.wait_for_end(world.submit(name))) == ["two"]
    assert world.log(world.wait_for_end(world.submit(f"{name}:1"))) == ["one"]

    world.batch.deregister_job_definition(jobDefinition=arns[1])
    assert world.log(world.wait_for_end(world.submit(name))) == ["one"]


def test_a_submission_that_names_nothing_is_refused(world: BatchWorld) -> None:
    definition = world.define(["true"])
    with pytest.raises(ClientError, match="does not exist"):
        world.submit("no-such-definition")
    with pytest.raises(ClientError, match="does not exist"):
        world.batch.submit_job(jobName="job", jobQueue="no-such-queue", jobDefinition=definition)


def test_tags_can_be_read_and_changed(world: BatchWorld) -> None:
    world.batch.tag_resource(resourceArn=world.job_queue, tags={"team": "legs", "stage": "test"})
    world.batch.untag_resource(resourceArn=world.job_queue, tagKeys=["stage"])
    assert world.batch.list_tags_for_resource(resourceArn=world.job_queue)["tags"] == {"team": "legs"}
