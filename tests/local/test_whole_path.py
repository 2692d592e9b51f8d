"""The whole path of a run: our stacks on the embedded AWS, the real job and library, and what the caller is told."""

import contextlib
import csv
import json
import re
import uuid
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import psutil
import pytest

from gaitway.contracts.artifacts import CHECKPOINTS, Results
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.run import RunState, run_id_of
from gaitway.local.launcher import LocalAws
from gaitway.runs import Runs, StartedRun
from tests.local.conformance.workflow import until

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 90.0
TINY = {"task": "Isaac-Cartpole-Direct-v0", "numEnvs": 8, "maxIterations": 2}


class World:
    """The deployment, and what a caller does with it."""

    def __init__(self, local_aws: LocalAws) -> None:
        self.deployment = local_aws.deployment
        self.session = local_aws.session()
        self.runs = Runs(self.session, local_aws.deployment)
        self.states = self.client("stepfunctions")
        self.s3 = self.client("s3")

    def client(self, service: str) -> Any:
        # The stubs know services by literal name only.
        create: Any = self.session.client
        return create(service)

    def put(self, key: str, body: bytes) -> S3Uri:
        self.s3.put_object(Bucket=self.deployment.asset_bucket_name, Key=key, Body=body)
        return S3Uri(self.deployment.asset_bucket_name, key)

    def start_workflow(self, document: dict[str, Any]) -> dict[str, Any]:
        """Start the outer workflow with anything, and wait for its end."""
        execution = self.states.start_execution(
            stateMachineArn=self.deployment.workflow_arn, input=json.dumps(document)
        )
        return self.ended(execution["executionArn"])

    def ended(self, execution_arn: str) -> dict[str, Any]:
        def describe() -> dict[str, Any]:
            description: dict[str, Any] = self.states.describe_execution(executionArn=execution_arn)
            return description

        until(lambda: describe()["status"] != "RUNNING", RUN_SECONDS)
        return describe()

    def do(self, request: Request, input_file: S3Uri | None = None) -> StartedRun:
        """Do a run that must succeed."""
        run = self.runs.start(request, input_file=input_file)
        execution = self.ended(run.execution_arn)
        assert execution["status"] == "SUCCEEDED", execution
        return run

    def jobs(self) -> set[str]:
        pages = self.client("batch").get_paginator("list_jobs")
        return {
            job["jobId"]
            for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
            for page in pages.paginate(jobQueue=self.deployment.job_queue_arn, jobStatus=status)
            for job in page["jobSummaryList"]
        }


@pytest.fixture(scope="module")
def world(local_aws: LocalAws) -> World:
    return World(local_aws)


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[StartedRun, Path]:
    """The demo's training, and what it left behind."""
    run = world.do(parse_request((ROOT / "examples" / "cartpole-train.json").read_text()))
    directory = tmp_path_factory.mktemp("train")
    world.runs.fetch(run.output_files, directory)
    return run, directory


@pytest.mark.timeout(600)
def test_a_training_leaves_everything_that_the_design_promises(world: World, trained: tuple[StartedRun, Path]) -> None:
    run, directory = trained
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}

    assert {f"checkpoints/model_{n}.pt" for n in (0, 20, 40, 60, 79)} <= files
    assert {"metrics.csv", "training-config.json", "results.json", "manifest.json"} <= files
    assert {"params/agent.yaml", "params/env.yaml"} <= files
    with (directory / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(80))
    assert float(rows[-1]["Train/mean_reward"]) > float(rows[0]["Train/mean_reward"])
    record = world.runs.record(run.run_id)
    assert record is not None
    assert record.state is RunState.SUCCEEDED
    assert record.progress is not None
    assert (record.progress.done, record.progress.total) == (80, 80)


@pytest.mark.timeout(600)
def test_the_trained_policy_solves_the_task_and_is_seen_doing_so(
    world: World, trained: tuple[StartedRun, Path], tmp_path: Path
) -> None:
    training, directory = trained
    results = Results.model_validate_json((directory / "results.json").read_bytes())
    assert results.training is not None
    request = parse_request((ROOT / "examples" / "cartpole-evaluate.json").read_text())

    run = world.do(request, training.output_files / results.training.final_checkpoint)

    world.runs.fetch(run.output_files, tmp_path)
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


def test_an_evaluation_takes_the_newest_checkpoint_beside_its_input_file(
    world: World, trained: tuple[StartedRun, Path], tmp_path: Path
) -> None:
    training, _ = trained
    request = parse_request(
        {"trainingConfig": {"mode": "evaluate", "task": TINY["task"], "numEnvs": 4, "numEpisodes": 4, "seed": 1}}
    )

    run = world.do(request, training.output_files / "metrics.csv")

    world.runs.fetch(run.output_files, tmp_path)
    config = json.loads((tmp_path / "evaluation-config.json").read_text())
    assert config["policy"] == str(training.output_files / f"{CHECKPOINTS}model_79.pt")
    assert not (tmp_path / "videos").exists()


def test_a_vams_workflow_drives_launch_and_reads_the_result(world: World) -> None:
    config = world.put("asset/train.json", json.dumps({"name": "tiny", "trainingConfig": TINY}).encode())

    execution = _run_as_vams(world, config)

    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])["81870-isaaclab"]["output"]
    files = f"pipelines/isaaclab/81870-isaaclab/output/{execution['name']}/files/"
    keys = _keys(world, files)
    # Below the files path, in a folder named as the path's own identifier.
    assert f"{files}{execution['name']}/manifest.json" in keys
    assert output["jobId"] == run_id_of(S3Uri(world.deployment.asset_bucket_name, files))


def test_a_run_that_no_retry_can_mend_costs_vams_nothing(world: World) -> None:
    config = world.put("asset/wrong.json", b'{"trainingConfig": {"maxIteration": 5}}')
    jobs = world.jobs()

    execution = _run_as_vams(world, config)

    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    history = world.states.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)["events"]
    causes = [event["taskFailedEventDetails"]["cause"] for event in history if event["type"] == "TaskFailed"]
    assert len(causes) == 3  # the first call, and VAMS's two retries with new tokens
    assert all("did you mean maxIterations?" in cause for cause in causes)
    assert all(cause.startswith("refused") for cause in causes[1:])
    assert world.jobs() == jobs


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        ({"inputParameters": {"trainingConfig": {"numEnv": 5}}}, "RequestError", ["numEnv", "did you mean numEnvs"]),
        ({"inputParameters": {"trainingConfig": {"numEnvs": "5"}}}, "RequestError", ["numEnvs", "'5'", "integer"]),
        ({"inputParameters": {"trainingConfig": {"seed": -1}}}, "RequestError", ["seed", "-1", "greater than"]),
        ({"inputParameters": {"trainingConfig": {"rlLibrary": "sb3"}}}, "RequestError", ["'sb3'", "rsl_rl"]),
        ({"inputParameters": "{nonsense"}, "RequestError", ["inputParameters", "no JSON"]),
        ({"inputParameters": [1]}, "RequestError", ["inputParameters", "[1]"]),
        ({"inputS3AssetFilePath": "https://example.com/x"}, "RequestError", ["inputS3AssetFilePath", "s3://"]),
        ({"inputS3AssetFilePath": "s3://{bucket}/no/such.json"}, "InputNotFoundError", ["no/such.json"]),
        ({"inputS3AssetFilePath": "s3://no-such-bucket-here/x.json"}, "InputNotFoundError", ["no-such-bucket-here"]),
        ({"mode": "evaluate", "inputParameters": {"trainingConfig": {"mode": "evaluate"}}}, "InputNotFoundError", []),
        (
            {
                "mode": "evaluate",
                "inputParameters": {
                    "trainingConfig": {"mode": "evaluate", "policyS3Uri": "s3://{bucket}/missing/model_3.pt"}
                },
            },
            "InputNotFoundError",
            ["missing/model_3.pt"],
        ),
        ({"mode": "dance"}, "RequestError", ["dance", "train, evaluate"]),
    ],
)
def test_a_bad_request_fails_the_caller_at_once_and_starts_no_job(
    world: World, document: dict[str, Any], error: str, words: list[str]
) -> None:
    jobs = world.jobs()
    text = json.dumps(document).replace("{bucket}", world.deployment.asset_bucket_name)

    execution = world.start_workflow(json.loads(text))

    assert (execution["status"], execution["error"]) == ("FAILED", error), execution
    assert all(word in execution["cause"] for word in words), execution["cause"]
    assert world.jobs() == jobs


def test_a_body_that_is_no_json_fails_its_caller_at_once(world: World) -> None:
    machine = world.states.create_state_machine(
        name=f"broken-{uuid.uuid4().hex[:8]}",
        roleArn="arn:aws:iam::000000000000:role/any",
        definition=json.dumps(
            {
                "StartAt": "Call",
                "States": {
                    "Call": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                        "TimeoutSeconds": 60,
                        "Parameters": {
                            "FunctionName": world.deployment.launch_function_name,
                            "Payload": {
                                "body.$": 'States.Format(\'this is no JSON, "TaskToken": "{}"\', $$.Task.Token)'
                            },
                        },
                        "End": True,
                    }
                },
            }
        ),
    )
    execution = world.states.start_execution(stateMachineArn=machine["stateMachineArn"])

    ended = world.ended(execution["executionArn"])

    assert (ended["status"], ended["error"]) == ("FAILED", "RequestError")
    assert "body is" in ended["cause"]


@pytest.mark.parametrize(
    ("training", "error", "words"),
    [
        ({"task": "Isaac-Cartpol-v0"}, "RequestError", ["Isaac-Cartpol-v0", "Isaac-Cartpole-v0"]),
        ({"hydraOverrides": ["agent.algorithm.learning_rat=1"]}, "RequestError", ["learning_rat"]),
        # Weights of nonsense: the library's own words reach the caller.
        ({"resumeCheckpoint": "s3://{bucket}/nonsense/model_9.pt"}, None, ["model_9.pt"]),
    ],
)
def test_what_the_simulator_refuses_its_caller_reads(
    world: World, training: dict[str, Any], error: str | None, words: list[str]
) -> None:
    world.put("nonsense/model_9.pt", b"no checkpoint")
    text = json.dumps({"inputParameters": {"trainingConfig": TINY | training}})

    execution = world.start_workflow(json.loads(text.replace("{bucket}", world.deployment.asset_bucket_name)))

    assert execution["status"] == "FAILED"
    assert execution["error"] == error if error else execution["error"] in ("RequestError", "SimulationError")
    assert all(word in execution["cause"] for word in words), execution["cause"]


def test_a_job_that_is_ended_tells_its_caller_and_leaves_no_process(world: World) -> None:
    request = parse_request({"trainingConfig": TINY | {"maxIterations": 100_000}})
    run = world.runs.start(request)
    until(lambda: (record := world.runs.record(run.run_id)) is not None and record.progress is not None, RUN_SECONDS)
    record = world.runs.record(run.run_id)
    assert record is not None
    assert len(_processes_of(run)) >= 2

    world.client("batch").terminate_job(jobId=record.job_id, reason="the test ends it")

    execution = world.ended(run.execution_arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "InterruptedRunError"), execution
    until(lambda: not _processes_of(run), RUN_SECONDS)
    ended = world.runs.record(run.run_id)
    assert ended is not None
    assert ended.state is RunState.FAILED
    assert ended.failure is not None
    assert ended.failure.retryable


def test_the_same_call_again_starts_nothing(world: World) -> None:
    key = f"twice/{uuid.uuid4().hex}/files/"
    message = {
        "TaskToken": "nobody-waits-on-this",
        "inputParameters": {"trainingConfig": TINY},
        "outputS3AssetFilesPath": str(S3Uri(world.deployment.asset_bucket_name, key)),
    }

    answers = [_invoke_launch(world, {"body": body}) for body in (message, json.dumps(message), message)]

    assert [answer["statusCode"] for answer in answers] == [200] * 3
    arns = {json.loads(answer["body"])["executionArn"] for answer in answers}
    assert len(arns) == 1
    world.ended(arns.pop())


def test_no_token_is_to_be_found_in_logs_or_outputs(world: World, trained: tuple[StartedRun, Path]) -> None:
    run, directory = trained
    history = world.states.get_execution_history(executionArn=run.execution_arn)["events"]
    table = world.client("dynamodb").scan(TableName=world.deployment.run_table_name)["Items"]
    tokens = {item[name]["S"] for item in table for name in ("external", "inner") if name in item}
    assert tokens
    assert history

    texts = [path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file()]
    logs = world.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        texts += [event["message"] for page in pages for event in page["events"]]

    assert any(re.search(run.run_id, text) for text in texts)  # it is the right place to look
    assert not [token for token in tokens for text in texts if token in text]


def _processes_of(run: StartedRun) -> list[psutil.Process]:
    """The runner has the run's id in its command line, the simulator the run's directory as its own."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if run.run_id in process.cmdline() or Path(process.cwd()).name == run.run_id:
                found.append(process)
    return found


def _run_as_vams(world: World, config: S3Uri) -> dict[str, Any]:
    """Run a machine as VAMS generates it, with a configuration file as its asset's file."""
    text = (ROOT / "tests" / "data" / "vams-workflow.asl.json").read_text()
    definition = text.replace("${LaunchFunctionName}", world.deployment.launch_function_name)
    machine = world.states.create_state_machine(
        name=f"vams-{uuid.uuid4().hex[:8]}", roleArn="arn:aws:iam::000000000000:role/any", definition=definition
    )
    vams_input = {
        "bucketAsset": config.bucket,
        "bucketAssetAuxiliary": config.bucket,
        "inputAssetFileKey": config.key,
        "inputAssetLocationKey": "asset/",
        "assetId": "a-1",
        "databaseId": "d-1",
        "workflowDatabaseId": "GLOBAL",
        "workflowId": "isaaclab-training",
        "inputMetadata": "",
        "executingUserName": "ada",
        "executingRequestContext": {},
    }
    execution = world.states.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(vams_input))
    return world.ended(execution["executionArn"])


def _invoke_launch(world: World, event: dict[str, Any]) -> dict[str, Any]:
    answer = world.client("lambda").invoke(
        FunctionName=world.deployment.launch_function_name, Payload=json.dumps(event).encode()
    )
    payload: dict[str, Any] = json.loads(answer["Payload"].read())
    return payload


def _keys(world: World, prefix: str) -> set[str]:
    answer = world.s3.list_objects_v2(Bucket=world.deployment.asset_bucket_name, Prefix=prefix)
    return {item["Key"] for item in answer["Contents"]}
