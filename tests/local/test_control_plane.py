"""The deployed control plane, driven as its callers drive it: by our own workflow, and by one that VAMS generates."""

import json

import pytest

from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunState
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, VAMS_STATE, ControlPlane, Json


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"inputParameters": {"trainingConfig": {"numEnv": 64}}}, "did you mean numEnvs?"),
        ({"inputParameters": '{"trainingConfig": {"numEnvs": "many"}}'}, "trainingConfig.numEnvs is 'many'"),
        ({"inputParameters": {"trainingConfig": {"maxIterations": 0}}}, "trainingConfig.maxIterations is 0"),
        ({"inputParameters": "train"}, "inputParameters is 'train'"),
        ({"inputS3AssetFilePath": "robot.usd"}, "inputS3AssetFilePath is 'robot.usd'"),
    ],
    ids=["unknown key", "wrong type", "range", "no JSON", "no address"],
)
def test_a_bad_request_fails_its_caller_at_once_and_starts_nothing(
    plane: ControlPlane, document: Json, said: str
) -> None:
    execution = plane.run_workflow({"mode": "train"} | document)
    assert (execution["status"], execution["error"]) == ("FAILED", "RequestError")
    assert said in execution["cause"]
    assert plane.record_of(execution) is None


def test_a_mode_that_does_not_exist_is_named(plane: ControlPlane) -> None:
    execution = plane.run_workflow({"mode": "tarin"})
    assert (execution["error"], execution["cause"]) == ("RequestError", 'mode is "tarin", allowed: train, evaluate')


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ({"mode": "train", "inputS3AssetFilePath": "s3://{bucket}/no.json"}, "InputNotFoundError", "does not exist"),
        (
            {"mode": "evaluate", "inputParameters": {"trainingConfig": {"mode": "evaluate", "policyPath": "no.pt"}}},
            "RequestError",
            "trainingConfig.policyPath is 'no.pt'",
        ),
        (
            {"mode": "train", "inputParameters": {"computeConfig": {"numNodes": 5}}},
            "RequestError",
            "computeConfig.numNodes is 5, allowed here: at most 4",
        ),
    ],
    ids=["unreadable file", "missing policy", "no room"],
)
def test_what_cannot_be_resolved_fails_both_machines_with_the_same_words(
    plane: ControlPlane, document: Json, error: str, said: str
) -> None:
    document = json.loads(json.dumps(document).replace("{bucket}", plane.bucket))
    execution = plane.run_workflow(document)
    record = plane.record_of(execution)
    assert record is not None
    inner = plane.ended(record.execution_arn or "")
    assert (execution["error"], inner["error"]) == (error, error)
    assert said in execution["cause"]
    assert inner["cause"] == execution["cause"]
    assert "stackTrace" not in execution["cause"]
    assert record.state is RunState.FAILED
    assert record.failure is not None
    assert not record.failure.retryable
    assert plane.jobs_of(record.run_id) == []


def test_a_vams_workflow_trains_a_policy_and_evaluates_it(plane: ControlPlane) -> None:
    evaluate = {"mode": "evaluate", "task": TINY["task"], "numEnvs": 4, "numEpisodes": 4}
    machine = plane.vams_machine({"trainingConfig": TINY}, {"trainingConfig": evaluate})
    execution = plane.ended(plane.start(machine, plane.vams_input()))
    record = plane.vams_record_of(execution)
    assert record is not None
    assert execution["status"] == "SUCCEEDED", record.failure
    output = json.loads(execution["output"])
    assert output["assetId"] == "asset-1"
    trained, evaluated = output[VAMS_STATE]["output"], output[f"2-{VAMS_STATE}"]["output"]
    assert (trained["jobId"], trained["status"]) == (record.run_id, "SUCCEEDED")
    for result in (trained, evaluated):
        manifest = S3Uri.parse(result["manifest"])
        assert plane.s3.head_object(Bucket=manifest.bucket, Key=manifest.key)
        assert len(plane.jobs_of(result["jobId"])) == 1
    assert plane.ended(record.execution_arn or "")["status"] == "SUCCEEDED"
    # What VAMS will note of the files stands where it looks for it, by the files' own places.
    place = f"pipelines/isaaclab/{VAMS_STATE}/output/{execution['name']}"
    found = [entry["Key"] for entry in plane.s3.list_objects_v2(Bucket=plane.bucket, Prefix=place)["Contents"]]
    noted = [key.removesuffix(".metadata.json") for key in found if key.endswith(".metadata.json")]
    assert sorted(key.rpartition("/")[2] for key in noted) == ["model_1.pt", "results.json"]
    for key in noted:
        assert key.replace("/metadata/", "/files/") in found


def test_what_no_retry_can_mend_is_refused_when_vams_tries_again(plane: ControlPlane) -> None:
    machine = plane.vams_machine({"trainingConfig": TINY})
    execution = plane.ended(plane.start(machine, plane.vams_input("asset-1/no.json")))
    record = plane.vams_record_of(execution)
    assert record is not None
    attempts = [event["taskFailedEventDetails"] for event in plane.events(execution["executionArn"], "TaskFailed")]
    assert execution["status"] == "FAILED"
    assert [attempt["error"] for attempt in attempts] == ["InputNotFoundError"] * 3
    assert [attempt["cause"].startswith("refused, ") for attempt in attempts] == [False, True, True]
    inner = plane.stepfunctions.list_executions(stateMachineArn=plane.deployment.pipeline_arn)["executions"]
    assert sum(found["name"].startswith(record.run_id) for found in inner) == 1


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_when_vams_tries_again(plane: ControlPlane) -> None:
    long = TINY | {"maxIterations": 150, "checkpointInterval": 20}
    started = plane.start(plane.vams_machine({"trainingConfig": long}), plane.vams_input())
    execution = plane.describe(started)

    def first_job() -> str | None:
        record = plane.vams_record_of(execution)
        return record.job_id if record is not None and record.progress is not None else None

    until(lambda: first_job() is not None, RUN_SECONDS)
    interrupted = plane.vams_record_of(execution)
    assert interrupted is not None
    plane.batch.terminate_job(jobId=interrupted.job_id, reason="the instance is reclaimed")
    execution = plane.ended(started)
    record = plane.vams_record_of(execution)
    assert record is not None
    failures = [event["taskFailedEventDetails"] for event in plane.events(started, "TaskFailed")]
    assert [failure["error"] for failure in failures] == ["InterruptedRunError"]
    assert execution["status"] == "SUCCEEDED"
    assert record.state is RunState.SUCCEEDED
    assert record.failure is None
    assert record.execution_arn != interrupted.execution_arn
    assert record.job_id != interrupted.job_id
    # The job reports before it ends.
    until(lambda: sorted(job["status"] for job in plane.jobs_of(record.run_id)) == ["FAILED", "SUCCEEDED"])
