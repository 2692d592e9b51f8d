"""The whole path of a run: our stacks on the embedded AWS, the real job and library, and what the caller is told."""

import contextlib
import csv
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import psutil
import pytest

from gaitway.acceptance.query_fields import DISCOVERED, OF_EXCEPTIONS, OF_MACHINES, fields_of, keys_of
from gaitway.aws.metrics import Metrics, datum
from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import CHECKPOINTS, Results
from gaitway.contracts.metrics import (
    COST,
    GPU_MEMORY_UTILIZATION,
    GPU_UTILIZATION,
    METRICS,
    SILENT_SECONDS,
)
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.run import RunState
from gaitway.local.launcher import LocalAws
from gaitway.names import DEFAULT_NAMES
from tests.checkpoints import checkpoint
from tests.local.conformance.workflow import ROLE_ARN, until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json

NAMESPACE = DEFAULT_NAMES.metrics_namespace

ROOT = Path(__file__).parents[2]


def succeeded(plane: ControlPlane, request: Request, input_file: S3Uri | None = None) -> StartedRun:
    """Do a run that must succeed."""
    run = plane.runs.start(request, input_file=input_file)
    execution = plane.ended(run.execution_arn)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    return run


@pytest.fixture(scope="module")
def trained(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> tuple[StartedRun, Path]:
    """The demo's training, and what it left behind."""
    run = succeeded(plane, parse_request((ROOT / "examples" / "cartpole-train.json").read_text()))
    directory = tmp_path_factory.mktemp("train")
    plane.runs.fetch(run.output_files, directory)
    return run, directory


@pytest.mark.timeout(600)
def test_a_training_leaves_everything_that_the_design_promises(
    plane: ControlPlane, trained: tuple[StartedRun, Path]
) -> None:
    run, directory = trained
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}

    assert {f"checkpoints/model_{n}.pt" for n in (0, 20, 40, 60, 79)} <= files
    assert {"metrics.csv", "training-config.json", "results.json", "manifest.json"} <= files
    assert {"params/agent.yaml", "params/env.yaml"} <= files
    with (directory / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(80))
    assert float(rows[-1]["Train/mean_reward"]) > float(rows[0]["Train/mean_reward"])
    record = plane.runs.record(run.run_id)
    assert record is not None
    assert record.state is RunState.SUCCEEDED
    assert record.progress is not None
    assert (record.progress.done, record.progress.total) == (80, 80)


@pytest.mark.timeout(600)
def test_the_trained_policy_solves_the_task_and_is_seen_doing_so(
    plane: ControlPlane, trained: tuple[StartedRun, Path], tmp_path: Path
) -> None:
    training, directory = trained
    results = Results.model_validate_json((directory / "results.json").read_bytes())
    assert results.training is not None
    assert results.training.final_checkpoint == f"{CHECKPOINTS}model_79.pt"
    request = parse_request((ROOT / "examples" / "cartpole-evaluate.json").read_text())

    # The newest checkpoint beside the input file is taken.
    run = succeeded(plane, request, training.output_files / "metrics.csv")

    plane.runs.fetch(run.output_files, tmp_path)
    config = json.loads((tmp_path / "evaluation-config.json").read_text())
    assert config["policy"] == str(training.output_files / results.training.final_checkpoint)
    evaluation = Results.model_validate_json((tmp_path / "results.json").read_bytes()).evaluation
    assert evaluation is not None
    assert evaluation.success_rate >= 0.95
    with (tmp_path / "metrics.csv").open() as file:
        episodes = list(csv.DictReader(file))
    assert len(episodes) == 100
    assert len({row["environment"] for row in episodes}) == 100
    videos = list((tmp_path / "videos").glob("*.mp4"))
    assert len(videos) == 1
    # 299 steps of 1/60 s, shown at 30 frames per second.
    assert len(list(iio.imiter(videos[0]))) == pytest.approx(150, abs=3)


def test_a_body_that_is_no_json_fails_its_caller_at_once(plane: ControlPlane) -> None:
    machine = plane.stepfunctions.create_state_machine(
        name=f"broken-{uuid.uuid4().hex[:8]}",
        roleArn=ROLE_ARN,
        definition=json.dumps(
            {
                "StartAt": "Call",
                "States": {
                    "Call": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                        "TimeoutSeconds": 60,
                        "Parameters": {
                            "FunctionName": plane.deployment.launch_function_name,
                            "Payload": {
                                "body.$": 'States.Format(\'this is not JSON, "TaskToken": "{}"\', $$.Task.Token)'
                            },
                        },
                        "End": True,
                    }
                },
            }
        ),
    )
    execution = plane.stepfunctions.start_execution(stateMachineArn=machine["stateMachineArn"])

    ended = plane.ended(execution["executionArn"])

    assert (ended["status"], ended["error"]) == ("FAILED", "RequestError")
    assert "body is" in ended["cause"]


def test_what_the_simulator_refuses_its_caller_reads(plane: ControlPlane) -> None:
    smaller = plane.put("smaller/model_9.pt", checkpoint())
    training = TINY | {"resumeCheckpoint": str(smaller)}

    execution = plane.run_workflow({"inputParameters": {"trainingConfig": training}})

    assert (execution["status"], execution["error"]) == ("FAILED", "RequestError"), execution
    assert (
        "model_9.pt holds no actor_state_dict that fits agent.policy.actor_hidden_dims=[32, 32]" in execution["cause"]
    )


def test_a_job_that_is_ended_tells_its_caller_and_leaves_no_process(plane: ControlPlane) -> None:
    request = parse_request({"trainingConfig": TINY | {"maxIterations": 100_000}})
    run = plane.runs.start(request)
    until(lambda: (record := plane.runs.record(run.run_id)) is not None and record.progress is not None, RUN_SECONDS)
    record = plane.runs.record(run.run_id)
    assert record is not None
    assert len(_processes_of(run)) >= 2

    plane.batch.terminate_job(jobId=record.job_id, reason="the test ends it")

    execution = plane.ended(run.execution_arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "InterruptedRunError"), execution
    until(lambda: not _processes_of(run), RUN_SECONDS)
    ended = plane.runs.record(run.run_id)
    assert ended is not None
    assert ended.state is RunState.FAILED
    assert ended.failure is not None
    assert ended.failure.retryable


def test_the_same_call_again_starts_nothing(plane: ControlPlane) -> None:
    key = f"twice/{uuid.uuid4().hex}/files/"
    message = {
        "TaskToken": "nobody-waits-on-this",
        "inputParameters": {"trainingConfig": TINY},
        "outputS3AssetFilesPath": str(S3Uri(plane.bucket, key)),
    }

    answers = [_invoke_launch(plane, {"body": body}) for body in (message, json.dumps(message), message)]

    assert [answer["statusCode"] for answer in answers] == [200] * 3
    arns = {json.loads(answer["body"])["executionArn"] for answer in answers}
    assert len(arns) == 1
    plane.stepfunctions.stop_execution(executionArn=arns.pop())


@pytest.mark.timeout(600)
def test_whatever_a_dashboard_draws_of_runs_has_been_published(
    plane: ControlPlane, trained: tuple[StartedRun, Path]
) -> None:
    run, _ = trained
    nowhere = TINY | {"resumeCheckpoint": f"s3://{plane.bucket}/nowhere/model_9.pt"}
    assert plane.run_workflow({"inputParameters": {"trainingConfig": nowhere}})["error"] == "InputNotFoundError"
    plane.lambda_.invoke(FunctionName="gaitway-heartbeat", Payload=b"{}")

    pages = plane.cloudwatch.get_paginator("list_metrics").paginate(Namespace=NAMESPACE)
    published: dict[str, set[tuple[str, str]]] = {}
    for metric in (metric for page in pages for metric in page["Metrics"]):
        dimensions = {(dimension["Name"], dimension["Value"]) for dimension in metric["Dimensions"]}
        published.setdefault(metric["MetricName"], set()).update(dimensions)

    # No GPU is there to be measured, and no price is known of this machine.
    assert published.keys() >= {metric.name for metric in METRICS} - {
        metric.name for metric in (GPU_UTILIZATION, GPU_MEMORY_UTILIZATION, COST)
    }
    for metric in METRICS:
        assert {name for name, _ in published.get(metric.name, ())} <= {metric.dimension}, metric.name
    assert ("Error", "InputNotFoundError") in published["Failures"]
    for name in ("StepsPerSecond", "MeanReward"):
        assert ("RunId", run.run_id) in published[name]


@pytest.mark.timeout(600)
def test_a_saved_query_reads_what_log_lines_have(plane: ControlPlane, trained: tuple[StartedRun, Path]) -> None:
    run, _ = trained
    queries = plane.logs.describe_query_definitions(queryDefinitionNamePrefix="gaitway/")["queryDefinitions"]
    lines = plane.log_text().splitlines()
    known = keys_of(lines) | DISCOVERED | OF_MACHINES | OF_EXCEPTIONS
    assert len(queries) >= 5
    for query in queries:
        assert fields_of(query["queryString"]) - known == set(), query["name"]
    # The run's story: each function that was called for it says so.
    told = [json.loads(line) for line in lines if line.startswith("{") and run.run_id in line]
    assert {line["function_name"] for line in told if line.get("run_id") == run.run_id} == {
        "gaitway-construct-run",
        "gaitway-submit-job",
        "gaitway-collect-results",
    }


def test_a_value_over_its_threshold_notifies_subscribers(local_aws: LocalAws, plane: ControlPlane) -> None:
    name = "gaitway-stalled-run"
    session: Any = local_aws.session()
    sqs = session.client("sqs")
    queue = sqs.create_queue(QueueName=f"told-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": queue_arn}]}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    (alarm,) = plane.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    (topic,) = alarm["AlarmActions"]
    session.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    Metrics(plane.cloudwatch, NAMESPACE).publish([datum(SILENT_SECONDS, alarm["Threshold"], datetime.now(UTC))])
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    told = json.loads(json.loads(message["Body"])["Message"])
    assert told["NewStateValue"] == "ALARM"
    assert "docs/dashboard.md#stalled-run" in told["AlarmDescription"]


def _processes_of(run: StartedRun) -> list[psutil.Process]:
    """The runner has the run's id in its command line, the simulator the run's directory as its own."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if run.run_id in process.cmdline() or Path(process.cwd()).name == run.run_id:
                found.append(process)
    return found


def _invoke_launch(plane: ControlPlane, event: Json) -> Json:
    answer = plane.lambda_.invoke(
        FunctionName=plane.deployment.launch_function_name, Payload=json.dumps(event).encode()
    )
    payload: Json = json.loads(answer["Payload"].read())
    return payload
