"""Two deployments side by side in one account: both run, and neither sees or touches what is the other's."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gaitway.cli import main
from gaitway.client.runs import StartedRun
from gaitway.contracts.request import parse_request
from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import STATE_VARIABLE, Launcher, LocalAws
from gaitway.names import DEFAULT_NAMES, Names
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane
from tests.local.roles import AssumedRole, denied

pytestmark = pytest.mark.slow

DEV = Names("legs-dev")
BOTH = (DEFAULT_NAMES, DEV)


class Deployed:
    """One of the deployments."""

    def __init__(self, names: Names, local_aws: LocalAws) -> None:
        self.names = names
        self.plane = ControlPlane(local_aws)
        self.session: Any = local_aws.session()
        self._endpoint_url = local_aws.endpoint_url

    def role(self, verb: str) -> AssumedRole:
        """Act as one of its functions."""
        function = self.session.client("lambda").get_function_configuration(FunctionName=self.names.function(verb))
        return AssumedRole(self._endpoint_url, function["Role"])

    def start(self, **training: Any) -> StartedRun:
        """Ask for a run."""
        return self.plane.runs.start(parse_request({"trainingConfig": TINY | training}))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployed, Deployed]]:
    """One embedded AWS with both, each put into it by the command line's own launcher."""
    directory = tmp_path_factory.mktemp("two")
    launchers = [Launcher(directory / "state", CdkDeployer(directory / "cdk", names), names) for names in BOTH]
    try:
        first, second = (Deployed(names, one.up(lambda _: None)) for names, one in zip(BOTH, launchers, strict=True))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(STATE_VARIABLE, str(directory / "state"))
            yield first, second
    finally:
        launchers[0].down()


@pytest.fixture(scope="module")
def runs(both: tuple[Deployed, Deployed]) -> tuple[StartedRun, StartedRun]:
    """A training in each, at the same time, both to the end."""
    first, second = (deployed.start() for deployed in both)
    for deployed, run in zip(both, (first, second), strict=True):
        assert deployed.plane.ended(run.execution_arn)["status"] == "SUCCEEDED"
    return first, second


@pytest.fixture
def gaitway(capsys: pytest.CaptureFixture[str], both: object) -> Callable[[str], str]:
    """Run the command line; return what it printed."""

    def run(line: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return out

    return run


def test_the_command_line_lists_a_deployments_own_runs_only(
    gaitway: Callable[[str], str], runs: tuple[StartedRun, StartedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = (run.run_id for run in runs)

    def listed(options: str) -> set[str]:
        # Other tests have runs of their own in both.
        return {run["run_id"] for run in json.loads(gaitway(f"ls --local --json {options}"))} & {ours, others}

    assert listed("") == {ours}
    assert listed("--deployment legs-dev") == {others}
    monkeypatch.setenv("GAITWAY_DEPLOYMENT", "legs-dev")
    assert listed("") == {others}
    assert listed("--deployment gaitway") == {ours}


def test_both_stay_when_one_is_brought_up_again(
    both: tuple[Deployed, Deployed], gaitway: Callable[[str], str], runs: object
) -> None:
    for deployed in both:
        status = json.loads(gaitway(f"local status --json{deployed.names.option}"))
        assert status["is_current"]
        assert status["deployment"]["pipeline_arn"] == deployed.plane.deployment.pipeline_arn


def test_metrics_of_a_deployment_are_in_its_own_namespace(
    both: tuple[Deployed, Deployed], runs: tuple[StartedRun, StartedRun]
) -> None:
    for deployed, run in zip(both, runs, strict=True):
        deployed.plane.lambda_.invoke(FunctionName=deployed.names.function("heartbeat"), Payload=b"{}")
        pages = deployed.plane.cloudwatch.get_paginator("list_metrics").paginate(
            Namespace=deployed.names.metrics_namespace
        )
        values = {
            dimension["Value"]
            for page in pages
            for metric in page["Metrics"]
            for dimension in metric["Dimensions"]
            if dimension["Name"] == "RunId"
        }
        assert values <= {run.run_id}


def test_neither_ends_or_adopts_the_others_jobs(both: tuple[Deployed, Deployed]) -> None:
    ours, others = both
    run = others.start(maxIterations=100_000)
    until(lambda: _job_of(others, run) is not None, RUN_SECONDS)
    job_id = _job_of(others, run)
    assert job_id is not None
    # Ours looks after all runs and all jobs that it knows of.
    ours.plane.lambda_.invoke(FunctionName=ours.names.function("heartbeat"), Payload=b"{}")
    (job,) = others.plane.batch.describe_jobs(jobs=[job_id])["jobs"]
    assert job["status"] not in ("SUCCEEDED", "FAILED")
    for verb in ("heartbeat", "handle_failure", "tell_caller"):
        with denied():
            ours.role(verb).client("batch").terminate_job(jobId=job_id, reason="not ours")
    # Its own may, and its caller is told.
    others.plane.runs.cancel(others.plane.runs.find(run.run_id))
    assert others.plane.ended(run.execution_arn)["status"] in ("FAILED", "ABORTED")
    until(lambda: others.plane.batch.describe_jobs(jobs=[job_id])["jobs"][0]["status"] == "FAILED", RUN_SECONDS)


def _job_of(deployed: Deployed, run: StartedRun) -> str | None:
    record = deployed.plane.table.get(run.run_id)
    return record.job_id if record else None


def test_no_role_reaches_into_the_other_deployment(
    both: tuple[Deployed, Deployed], runs: tuple[StartedRun, StartedRun]
) -> None:
    ours, others = both
    there = others.plane.deployment
    definition = others.names.job_definition("embedded")
    attempts: dict[str, Callable[[AssumedRole], object]] = {
        "submit to its queue": lambda role: role.client("batch").submit_job(
            jobName="any", jobQueue=there.job_queue_arn, jobDefinition=ours.names.job_definition("embedded")
        ),
        "submit its job": lambda role: role.client("batch").submit_job(
            jobName="any", jobQueue=ours.plane.deployment.job_queue_arn, jobDefinition=definition
        ),
        "start its pipeline": lambda role: role.client("stepfunctions").start_execution(
            stateMachineArn=there.pipeline_arn
        ),
        "stop its executions": lambda role: role.client("stepfunctions").stop_execution(
            executionArn=others.plane.table.get(runs[1].run_id).execution_arn  # type: ignore[union-attr]
        ),
        "call its functions": lambda role: role.client("lambda").invoke(
            FunctionName=others.names.function("handle_failure"), InvocationType="DryRun"
        ),
        "read its records": lambda role: role.client("dynamodb").query(
            TableName=there.run_table_name,
            KeyConditionExpression="run_id = :run",
            ExpressionAttributeValues={":run": {"S": runs[1].run_id}},
        ),
        "read its files": lambda role: role.client("s3").get_object(Bucket=there.asset_bucket_name, Key="any"),
        "write its files": lambda role: role.client("s3").put_object(
            Bucket=there.asset_bucket_name, Key="any", Body=b"x"
        ),
        "publish its metrics": lambda role: role.client("cloudwatch").put_metric_data(
            Namespace=others.names.metrics_namespace, MetricData=[{"MetricName": "any", "Value": 1.0}]
        ),
    }
    verbs = ("launch", "construct_run", "submit_job", "collect_results", "handle_failure", "heartbeat", "job_state")
    for verb in verbs:
        role = ours.role(verb)
        for what, attempt in attempts.items():
            try:
                with denied():
                    attempt(role)
            except (AssertionError, pytest.fail.Exception, ClientError) as error:
                raise AssertionError(f"{verb} may {what}") from error


def test_a_rule_receives_events_of_its_own_queues_and_machines_only(both: tuple[Deployed, Deployed]) -> None:
    events: Any = both[0].session.client("events")
    patterns = [
        json.loads(rule["EventPattern"])["detail"]
        for page in events.get_paginator("list_rules").paginate()
        for rule in page["Rules"]
        if rule.get("EventPattern")
    ]
    named = {queue: pattern for pattern in patterns for queue in pattern.get("jobQueue", [])}
    for deployed in both:
        queues = {arn for arn in named if arn.rpartition("/")[2].startswith(f"{deployed.names.deployment}-")}
        (training,) = queues - set(deployed.plane.deployment.job_queue_arns)
        assert training.rpartition("/")[2] == deployed.names.training_queue
        assert queues > set(deployed.plane.deployment.job_queue_arns)
    machines = [tuple(pattern["stateMachineArn"]) for pattern in patterns if "stateMachineArn" in pattern]
    assert sorted(machines) == sorted(
        (arn,)
        for deployed in both
        for arn in (deployed.plane.deployment.pipeline_arn, deployed.plane.deployment.workflow_arn)
    )


def test_a_deployment_that_is_not_there_is_named_with_what_to_do(
    both: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["ls", "--local", "--deployment", "arms"])
    assert "no complete deployment arms: run `gaitway local up --deployment arms`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ls", "--local", "--deployment", "Arms"])
    assert "--deployment is 'Arms', but must have 2 to 32 lower-case letters" in capsys.readouterr().err
