"""launch: a caller receives exactly one answer, whatever happened to the run before."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gaitway.contracts.errors import Failure, InterruptedRunError, RequestError
from gaitway.contracts.message import Caller, Message, ReceivedMessage
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.request import ComputeConfig, parse_request
from gaitway.contracts.run import PipelineInput, RunSpec, RunState, output_prefix_of, run_id_of
from gaitway.contracts.workload import TrainingConfig
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.logic import ConstructRun
from lambdas.launch.logic import Launch
from lambdas.launch.vams import Vams
from tests.local.control_plane.world import BACKENDS, Json, World


class _Unreachable:
    """Step Functions, out of reach."""

    exceptions = SimpleNamespace(ExecutionAlreadyExists=KeyError)

    def start_execution(self, **_: object) -> None:
        raise ConnectionError


def cut_off(world: World) -> Launch:
    """Make a function that ends before the execution starts."""
    out_of_reach: Any = _Unreachable()
    return Launch(world.table, world.task_tokens, out_of_reach, Vams(world.s3), world.pipeline_arn, ("embedded",))


def end(world: World, state: RunState, failure: Failure | None = None) -> None:
    """Bring the run to its end, as the inner machine does."""
    spec = RunSpec(
        run_id=world.run_id,
        training=TrainingConfig(),
        compute=ComputeConfig(),
        output_files=S3Uri(world.bucket, "out/"),
    )
    assert world.table.update(world.run_id, state=state, spec=spec, failure=failure, ended_at=datetime.now(UTC))
    world.stop(world.executions()[0])


def test_a_good_request_starts_an_inner_execution_and_the_caller_waits(world: World) -> None:
    caller, token = world.caller()
    answer = world.launch.handle(world.event(token))
    (execution,) = world.executions("RUNNING")
    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert body == {"jobId": world.run_id, "executionArn": execution, "status": "ACCEPTED"}
    assert world.is_waiting(caller)
    assert world.record.state is RunState.ACCEPTED
    assert world.record.execution_arn == execution
    started = json.loads(world.describe(execution)["input"])
    assert started["run_id"] == world.run_id
    assert started["message"]["output_files"] == str(output_prefix_of(world.output_path))
    assert token not in json.dumps(started)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"inputParameters": {"trainingConfig": {"numEnv": 1}}}, "did you mean numEnvs?"),
        ({"inputParameters": "{"}, "not valid JSON"),
        ({"outputS3AssetFilesPath": "nowhere"}, "outputS3AssetFilesPath is 'nowhere'"),
        ({"inputParameters": {"description": "x" * 20_000}}, "description"),
        (
            {"inputParameters": {"trainingConfig": {"hydraOverrides": ["agent.a=" + "b" * 1003] * 129}}},
            "the message is",
        ),
        (
            {"inputParameters": {"trainingConfig": {"hydraOverrides": ["agent.a=" + "b" * 1000] * 200}}},
            "characters long, allowed: 131072",
        ),
    ],
)
def test_a_bad_request_fails_its_caller_at_once_and_starts_nothing(
    world: World, fields: dict[str, object], said: str
) -> None:
    caller, token = world.caller()
    answer = world.launch.handle(world.event(token, **fields))
    told = world.workflow.ended(caller)
    assert answer["statusCode"] == 400
    assert (told["status"], told["error"]) == ("FAILED", "RequestError")
    assert said in told["cause"]
    assert json.loads(answer["body"]) == {"error": told["error"], "cause": told["cause"]}
    assert world.executions() == []
    assert world.table.get(world.run_id) is None


def test_a_library_that_no_deployed_simulator_supports_is_refused_before_anything_starts(world: World) -> None:
    caller, token = world.caller()
    event = world.event(token, inputParameters={"trainingConfig": {"rlLibrary": "sb3"}})
    answer = world.launch_where("isaaclab-2").handle(event)
    assert answer["statusCode"] == 400
    told = world.workflow.ended(caller)
    assert told["error"] == "RequestError"
    assert "rlLibrary is 'sb3', which Isaac Lab 2.3.2 does not support" in told["cause"]
    assert "allowed: rsl_rl, rl_games, skrl" in told["cause"]
    assert world.executions() == []

    event = world.event(world.caller()[1], inputParameters=event["body"]["inputParameters"])
    assert world.launch.handle(event)["statusCode"] == 200


def test_a_body_that_is_no_json_fails_the_caller_whose_token_is_in_it(world: World) -> None:
    caller, token = world.caller()
    text = json.dumps(world.event(token)["body"])
    assert world.launch.handle({"body": text[:-1]})["statusCode"] == 400
    assert world.workflow.ended(caller)["error"] == "RequestError"


def test_without_a_token_the_call_itself_fails(world: World) -> None:
    with pytest.raises(RequestError, match="TaskToken is missing"):
        world.launch.handle(world.event(""))


def test_parameters_beside_a_json_file_are_left_for_the_file_to_complete(world: World) -> None:
    half = {"trainingConfig": {"policyS3Uri": "s3://assets/model_1.pt"}}  # the file says: evaluate
    world.launched(inputParameters=half, inputS3AssetFilePath=f"s3://{world.bucket}/request.json")


def test_a_run_belongs_to_its_group_from_the_start_and_when_it_begins_anew(world: World) -> None:
    parent = "run-" + "0" * 20
    fields = {"inputParameters": {"groupId": "search-1", "parentRunId": parent}}
    world.launched(**fields)
    assert (world.record.group_id, world.record.parent_run_id) == ("search-1", parent)
    end(world, RunState.FAILED, Failure.of(InterruptedRunError("reclaimed")))
    world.launched(**fields)
    assert (world.record.group_id, world.record.parent_run_id) == ("search-1", parent)
    assert [run.run_id for run in world.table.list_group("search-1")] == [world.run_id]


def test_the_same_call_again_changes_nothing(world: World) -> None:
    caller, token = world.caller()
    first = world.launch.handle(world.event(token))
    assert world.launch.handle(world.event(token)) == first
    assert len(world.executions()) == 1
    assert world.is_waiting(caller)


def test_a_second_caller_of_a_run_that_goes_on_takes_it_over(world: World) -> None:
    world.launched()
    record = world.record
    _, token = world.caller()
    answer = world.launch.handle(world.event(token))
    assert json.loads(answer["body"])["executionArn"] == record.execution_arn
    assert world.table.tokens(world.run_id).external == token
    assert len(world.executions()) == 1


def test_a_call_that_was_cut_off_before_the_execution_started_is_completed_by_the_next_one(world: World) -> None:
    _, token = world.caller()
    with pytest.raises(ConnectionError):
        cut_off(world).handle(world.event(token))
    assert world.executions() == []
    world.launched()
    assert world.executions("RUNNING") == [world.record.execution_arn]


def test_a_run_that_an_older_version_started_is_joined_though_it_wrote_another_input(world: World) -> None:
    _, token = world.caller()
    with pytest.raises(ConnectionError):
        cut_off(world).handle(world.event(token))
    execution = world.record.execution_arn or ""
    older = json.dumps({"run_id": world.run_id, "message": world.event("")["body"]})
    world.stepfunctions.start_execution(
        stateMachineArn=world.pipeline_arn, name=execution.rpartition(":")[2], input=older
    )

    caller = world.launched()

    assert world.is_waiting(caller)
    assert world.record.execution_arn == execution
    assert world.executions("RUNNING") == [execution]


class Queue:
    """A caller of another kind, as an adapter reads it: a line with a token, the folder for the outputs and a task."""

    def read(self, event: Json) -> ReceivedMessage:
        """Read a line."""
        token, folder, task = event["line"].split()
        if task == "?":
            raise RequestError("the task is '?', allowed: the name of one")
        message = Message(
            caller=Caller(kind="queue"),
            request={"trainingConfig": {"task": task}},
            output_files=S3Uri.parse(folder),
        )
        return ReceivedMessage(
            message=message, run_id=run_id_of(message.output_files), digest=f"{folder} {task}", task_token=token
        )

    def find_token(self, event: Json) -> str | None:
        """Find the token."""
        return str(event["line"]).partition(" ")[0]


def test_a_caller_of_another_kind_needs_an_adapter_and_nothing_else(world: World) -> None:
    launch = world.launch_where(adapter=Queue())
    output_files = S3Uri(world.bucket, "queue/1/")
    world.run_id = run_id_of(output_files)
    refused, refused_token = world.caller()
    assert launch.handle({"line": f"{refused_token} {output_files} ?"})["statusCode"] == 400
    assert "the task is '?'" in world.workflow.ended(refused)["cause"]
    caller, token = world.caller()
    assert launch.handle({"line": f"{token} {output_files} Example-Ant-v0"})["statusCode"] == 200
    assert world.is_waiting(caller)

    started = json.loads(world.describe(world.record.execution_arn or "")["input"])
    event = ConstructRunEvent.receive(started | {"execution_arn": world.record.execution_arn})
    ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("embedded",)).handle(event)

    spec = world.record.spec
    assert spec is not None
    assert (spec.training.task, spec.output_files, spec.output_metadata) == ("Example-Ant-v0", output_files, None)
    assert spec.caller == Caller(kind="queue")
    assert spec.refused_suffixes == []


def test_a_run_whose_execution_was_stopped_from_outside_begins_anew(world: World) -> None:
    world.launched()
    stopped = world.record.execution_arn
    assert stopped is not None
    world.stop(stopped)
    world.launched()
    assert world.record.execution_arn != stopped
    assert world.executions("RUNNING") == [world.record.execution_arn]


def test_a_run_that_succeeded_is_not_run_again_its_caller_gets_the_result(world: World) -> None:
    world.launched()
    end(world, RunState.SUCCEEDED)
    caller = world.launched()
    told = world.workflow.ended(caller)
    assert told["status"] == "SUCCEEDED"
    assert told["output"]["outputPath"] == f"s3://{world.bucket}/out/"
    assert told["output"]["manifest"] == f"s3://{world.bucket}/out/manifest.json"
    assert len(world.executions()) == 1


def test_a_run_that_no_retry_can_mend_is_refused_at_once_with_the_recorded_cause(world: World) -> None:
    world.launched()
    end(world, RunState.FAILED, Failure.of(RequestError("trainingConfig.task is 'X', allowed: Y")))
    told = world.workflow.ended(world.launched())
    assert told["error"] == "RequestError"
    assert told["cause"].startswith("refused, ")
    assert told["cause"].endswith("trainingConfig.task is 'X', allowed: Y")
    assert len(world.executions()) == 1


def test_a_run_that_a_retry_can_mend_begins_anew_for_a_new_token(world: World) -> None:
    world.launched()
    first = world.record
    world.table.update(world.run_id, job_id="job-1", started_at=first.created_at)
    end(world, RunState.FAILED, Failure.of(InterruptedRunError("reclaimed")))
    caller = world.launched()
    again = world.record
    assert world.is_waiting(caller)
    assert again.state is RunState.ACCEPTED
    assert (again.failure, again.ended_at, again.job_id) == (None, None, None)
    assert (again.created_at, again.started_at) == (first.created_at, first.created_at)
    assert world.executions("RUNNING") == [again.execution_arn]
    assert again.execution_arn != first.execution_arn


def test_the_call_that_failed_repeated_with_its_own_token_begins_nothing(world: World) -> None:
    _, token = world.caller()
    world.launch.handle(world.event(token))
    end(world, RunState.FAILED, Failure.of(InterruptedRunError("reclaimed")))
    answer = world.launch.handle(world.event(token))
    assert json.loads(answer["body"])["status"] == "FAILED"
    assert world.executions("RUNNING") == []


def test_another_request_for_the_same_outputs_is_refused(world: World) -> None:
    world.launched()
    caller, token = world.caller()
    answer = world.launch.handle(world.event(token, inputParameters=""))
    assert answer["statusCode"] == 400
    assert "allowed: a separate path for each run" in world.workflow.ended(caller)["cause"]
    assert len(world.executions()) == 1


def test_a_later_step_of_the_workflow_is_a_run_of_its_own_and_the_same_one_when_it_is_tried_again(world: World) -> None:
    step = {"inputS3AssetFilePath": str(world.output_path), "inputParameters": {"trainingConfig": {"mode": "evaluate"}}}
    world.launched()
    world.launched(**step)
    world.launched(**step)
    assert len(world.executions()) == 2


STEPS = "pipelines/workflowExecutionInputs/1"


def handed_over(world: World, step: int, files: list[str], parameters: Json | None = None) -> Json:
    """Return the message of VAMS 2.6, whose manifest and parameters lie in the bucket."""
    folder = f"{STEPS}/pipeline{step}"
    outputs = {"bucket": world.bucket, "files": world.output_path.key, "metadata": "p/output/1/metadata/"}
    inputs = [{"bucket": world.bucket, "key": key, "assetRootS3Key": "asset-1/", "relativePath": "/x"} for key in files]
    manifest = {"schemaVersion": 1, "inputFiles": inputs, "outputs": outputs, "systemConfig": {}}
    body: Json = {"workflowId": "w", "workflowExecutionId": "1", "executingRequestContext": {}}
    body["inputManifestS3Location"] = str(world.put(f"{folder}/manifest.json", json.dumps(manifest).encode()))
    body["inputConfigurationS3Location"] = f"s3://{world.bucket}/{folder}/config.json"
    if parameters is not None:
        world.put(f"{folder}/config.json", json.dumps(parameters).encode())
    return body


def test_a_manifest_says_what_the_message_said_before_it(world: World) -> None:
    caller, token = world.caller()
    body = handed_over(world, 1, ["asset-1/robot.usd"], {"trainingConfig": {"maxIterations": 7}})
    assert world.launch.handle({"body": body | {"TaskToken": token}})["statusCode"] == 200
    message = PipelineInput.model_validate_json(world.describe(world.executions()[0])["input"]).message
    prefix = output_prefix_of(world.output_path)
    assert message.output_files == prefix
    assert message.output_metadata == S3Uri(world.bucket, f"p/output/1/metadata/{prefix.name}/")
    assert message.input_file == S3Uri(world.bucket, "asset-1/robot.usd")
    assert message.folders == [S3Uri(world.bucket, "asset-1/")]
    assert parse_request(message.request).training_config == TrainingConfig(max_iterations=7)
    assert world.record.run_id == world.run_id
    assert world.is_waiting(caller)


def test_the_manifest_of_a_later_step_means_a_run_of_its_own(world: World) -> None:
    for step, files in ((1, []), (2, ["p/output/1/files/1/checkpoints/model_1.pt", "asset-1/robot.usd"])):
        _, token = world.caller()
        body = json.dumps(handed_over(world, step, files) | {"TaskToken": token})
        assert world.launch.handle({"body": body})["statusCode"] == 200
    assert len(world.executions()) == 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda world: {"inputManifestS3Location": f"s3://{world.bucket}/no.json"}, "no.json, but it does not exist"),
        (lambda world: {"inputManifestS3Location": "s3://no-such-bucket-anywhere/m"}, "its bucket does not exist"),
        (lambda world: {"inputManifestS3Location": "nowhere"}, "allowed: an S3 URI"),
        (lambda world: {"inputManifestS3Location": str(world.put("a/m.json", b"{}"))}, "outputs is missing"),
        (lambda world: handed_over(world, 1, ["a.usd", "b.usd"]), "inputFiles has 2 files"),
    ],
    ids=["missing", "no bucket", "no address", "another document", "several files"],
)
def test_a_manifest_that_is_none_fails_the_caller_at_once(world: World, spoil: Any, said: str) -> None:
    caller, token = world.caller()
    body = handed_over(world, 1, []) | spoil(world) | {"TaskToken": token}
    assert world.launch.handle({"body": body})["statusCode"] == 400
    assert said in world.workflow.ended(caller)["cause"]
    assert world.executions() == []


def test_a_back_end_that_the_deployment_does_not_have_is_refused_to_the_caller(world: World) -> None:
    execution, token = world.caller()
    parameters = json.dumps({"computeConfig": {"backend": "hyperpod-slurm"}})
    answer = world.launch.handle(world.event(token, inputParameters=parameters))
    assert answer["statusCode"] == 400
    told = world.workflow.ended(execution)
    assert told["error"] == "RequestError"
    assert "computeConfig.backend is 'hyperpod-slurm', which this deployment does not have" in told["cause"]
