"""Task tokens and credentials stand nowhere but where they must. The emulator marks all that it makes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaitway.aws.run_table import TOKENS
from gaitway.contracts.run import RunState
from gaitway.local.extensions.marks import credential_mark, token_mark
from gaitway.local.guard import MARKER
from gaitway.local.launcher import LocalAws
from gaitway.local.record import ServerRecord
from tests.local.conformance.workflow import until
from tests.local.conftest import SECRET_MARK
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json

_TOKEN = token_mark(SECRET_MARK)
_CREDENTIAL = credential_mark(SECRET_MARK)
_VALUE = r"""[\\"']*\s*(?:=|:|%(?:25)*3D)[\\"'\s]*[\w%+/-]{16}"""
_SECRET = re.compile(f"{_TOKEN}|{_CREDENTIAL}|(?i:X-Amz-(?:Signature|Security-Token)){_VALUE}")
"""The last two are of presigned URLs and of signed requests. Their names alone are no secret: rsl_rl keeps the changes
of the checkout with a run, and those may be to a file like this one."""
_CREDENTIAL_VARIABLES = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
_CREDENTIAL_ADDRESS = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


class Processes:
    """Everything that runs in an emulator, looked at all the time."""

    def __init__(self, emulator_id: str) -> None:
        self.found: set[str] = set()
        self.seen: set[str] = set()
        self.given_credentials: set[str] = set()
        self.given_addresses: set[str] = set()
        self._emulator_id = emulator_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._known: set[tuple[float, int, str]] = set()

    def __enter__(self) -> Processes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for process in psutil.process_iter():
                try:
                    self._look_at(process)
                except (psutil.Error, OSError):
                    continue

    def _look_at(self, process: psutil.Process) -> None:
        """Look at a process once for each program that it becomes."""
        command = process.cmdline()
        identity = (process.create_time(), process.pid, " ".join(command))
        if identity in self._known:
            return
        variables = process.environ()
        if not command or variables.get(MARKER) != self._emulator_id:
            return
        self._known.add(identity)
        name = _kind(command)
        self.seen.add(name)
        if _SECRET.search(" ".join(command)):
            self.found.add(f"command line of {name}")
        if _CREDENTIAL_ADDRESS in variables:
            self.given_addresses.add(name)
        for variable, value in variables.items():
            if variable in _CREDENTIAL_VARIABLES and _CREDENTIAL in value:
                self.given_credentials.add(name)
            elif _SECRET.search(value):
                self.found.add(f"{variable} of {name}")


def _kind(command: list[str]) -> str:
    for part in command:
        if part.startswith(("gaitway.runner.start", "gaitway.simulators")):
            return "runner" if part == "gaitway.runner.start" else "simulator"
    return "function" if any("ministack-lambda" in part for part in command) else "other"


@pytest.fixture(scope="module")
def processes(local_aws: LocalAws, local_state: Path, plane: ControlPlane) -> Processes:
    """What was seen during a training, a failure and its retries, and a job that is lost and then ended."""
    del local_aws
    record = ServerRecord.read(local_state)
    assert record is not None
    with Processes(record.emulator_id) as processes:
        trained = plane.start(plane.vams_machine({"trainingConfig": TINY}), plane.vams_input())
        refused = plane.start(plane.vams_machine({"trainingConfig": TINY}), plane.vams_input("asset-1/no.json"))
        long = {"inputParameters": {"trainingConfig": TINY | {"maxIterations": 100_000, "checkpointInterval": 50}}}
        lost = plane.start(plane.deployment.workflow_arn, long)
        _lose_and_end(plane, lost)
        assert plane.ended(trained)["status"] == "SUCCEEDED"
        assert plane.ended(refused)["status"] == "FAILED"
        assert len(plane.events(refused, "TaskFailed")) == 3
        assert plane.ended(lost)["status"] == "FAILED"
    return processes


def _lose_and_end(plane: ControlPlane, execution_arn: str) -> None:
    """Kill a run's runner, and end the attempt that follows."""
    execution = plane.describe(execution_arn)

    def trains(attempt: int) -> bool:
        record = plane.record_of(execution)
        return (
            record is not None
            and record.state is RunState.RUNNING
            and (record.attempt, record.progress is not None) == (attempt, True)
        )

    until(lambda: trains(1), RUN_SECONDS)
    record = plane.record_of(execution)
    assert record is not None
    for process in psutil.process_iter(["cmdline"]):
        if record.run_id in (process.info["cmdline"] or []):
            process.kill()
    until(lambda: trains(2), RUN_SECONDS)
    plane.batch.terminate_job(jobId=record.job_id, reason="the test ends it")


@pytest.mark.parametrize(
    "written",
    [
        "https://bucket/key?X-Amz-Signature={}&X-Amz-Date=1",
        "https%3A%2F%2Fbucket%3FX-Amz-Security-Token%3D{}",
        "url=https%253A%252F%252Fbucket%253FX-Amz-Signature%253D{}",
        "x-amz-security-token: {}",
        '{{"X-Amz-Security-Token": "{}"}}',
        '"{{\\"X-Amz-Signature\\": \\"{}\\"}}"',
        "{{'X-Amz-Signature': '{}'}}",
    ],
)
def test_a_signature_is_found_however_it_is_written(written: str) -> None:
    assert _found(written.format("f00dFEED" * 8))


def test_the_name_of_a_signature_is_no_secret() -> None:
    assert not _found('-FORBIDDEN = "X-Amz-Signature|X-Amz-Security-Token"\n+FORBIDDEN = ["x-amz-security-token"]')


def test_no_process_is_given_a_token_and_no_simulator_a_credential(processes: Processes) -> None:
    assert processes.seen >= {"runner", "simulator", "function"}
    assert processes.found == set()
    # ECS gives a job the address of its credentials; Lambda gives a function the credentials themselves.
    assert processes.given_credentials == {"function"}
    assert "runner" in processes.given_addresses
    assert not processes.given_addresses & {"simulator", "function"}


def test_no_secret_is_in_any_log(processes: Processes, plane: ControlPlane) -> None:
    text = plane.log_text()
    assert "succeeded" in text
    assert _found(text) == set()


def test_no_secret_is_in_any_object_or_on_the_file_system(
    processes: Processes, plane: ControlPlane, local_state: Path
) -> None:
    searched = 0
    for page in plane.s3.get_paginator("list_objects_v2").paginate(Bucket=plane.bucket):
        for item in page.get("Contents", []):
            body = plane.s3.get_object(Bucket=plane.bucket, Key=item["Key"])["Body"].read()
            assert _found(item["Key"] + body.decode("latin-1")) == set(), item["Key"]
            searched += 1
    for path in (local_state / "efs").rglob("*"):
        if path.is_file():
            assert _found(path.name + path.read_text("latin-1")) == set(), path
            searched += 1
    assert searched > 20


def test_tokens_stand_in_an_item_of_their_own(processes: Processes, plane: ControlPlane, local_aws: LocalAws) -> None:
    session: Any = local_aws.session()
    pages = session.client("dynamodb").get_paginator("scan").paginate(TableName=plane.deployment.run_table_name)
    items = [item for page in pages for item in page["Items"]]
    found = {item["item"]["S"] for item in items if _found(json.dumps(item))}
    assert found == {TOKENS}


def test_no_secret_is_in_what_services_tell(processes: Processes, plane: ControlPlane, local_aws: LocalAws) -> None:
    session: Any = local_aws.session()
    jobs = plane.batch.list_jobs(
        jobQueue=plane.deployment.job_queue_arn, filters=[{"name": "JOB_NAME", "values": ["*"]}]
    )["jobSummaryList"]
    assert len(jobs) >= 2
    told = {
        "metrics": session.client("cloudwatch").list_metrics()["Metrics"],
        "jobs": plane.batch.describe_jobs(jobs=[job["jobId"] for job in jobs])["jobs"],
        "job definitions": plane.batch.describe_job_definitions()["jobDefinitions"],
        "functions": session.client("lambda").list_functions()["Functions"],
        "rules": session.client("events").list_rules()["Rules"],
        "stacks": session.client("cloudformation").describe_stacks()["Stacks"],
        "parameters": session.client("ssm").get_parameters_by_path(Path="/", Recursive=True)["Parameters"],
        "events that nobody could handle": list(_lost_events(session.client("sqs"))),
    }
    assert {where for where, what in told.items() if _found(json.dumps(what, default=str))} == set()


def _lost_events(sqs: Any) -> Iterator[str]:
    for url in sqs.list_queues().get("QueueUrls", []):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
            "Messages", []
        ):
            if "LostEvents" in url:
                yield message["Body"]


def test_an_executions_history_tells_a_token_only_where_its_machine_hands_it_over(
    processes: Processes, plane: ControlPlane
) -> None:
    searched = 0
    tell = set()
    for machine in plane.stepfunctions.list_state_machines()["stateMachines"]:
        if not machine["name"].startswith(("gaitway-", "vams-")):
            continue
        executions = plane.stepfunctions.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
        for execution in executions:
            described = plane.describe(execution["executionArn"])
            assert _found(json.dumps(described, default=str)) == set()
            tell |= {
                (event["type"], field)
                for event in _history(plane, execution["executionArn"])
                for field, value in _leaves(event)
                if _found(value)
            }
            searched += 1
    assert searched >= 6
    # AWS records with what a task calls its function, and so the token; the emulator does not.
    assert tell <= {("TaskScheduled", "parameters")}


def _history(plane: ControlPlane, execution_arn: str) -> list[Json]:
    found: list[Json] = plane.stepfunctions.get_execution_history(executionArn=execution_arn, maxResults=1000)["events"]
    return found


def _leaves(event: Json) -> Iterator[tuple[str, str]]:
    for name, value in event.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, str(value)


def _found(text: str) -> set[str]:
    return set(_SECRET.findall(text))
