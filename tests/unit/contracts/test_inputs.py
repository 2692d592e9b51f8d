"""Input files of a run: named by the request, found, and read from what older versions have written."""

import json
from datetime import UTC, datetime
from typing import Annotated

from gaitway.contracts.artifacts import RunConfig
from gaitway.contracts.inputs import AssetPath, GivenInput, Input, InputFile, given_inputs
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig, parse_request
from gaitway.contracts.run import RunRecord, RunSpec, RunState
from gaitway.contracts.workload import TrainingConfig

POLICY = S3Uri("assets", "model_9.pt")


def spec(**inputs: InputFile) -> RunSpec:
    return RunSpec(
        run_id="run-1",
        training=TrainingConfig(),
        compute=ComputeConfig(),
        output_files=S3Uri("assets", "out/"),
        inputs=inputs,
    )


class RewardedConfig(TrainingConfig):
    """A training with one more input."""

    reward_path: Annotated[AssetPath | None, Input("reward")] = None


def test_a_field_that_is_marked_as_an_input_is_listed_where_it_is_given() -> None:
    config = RewardedConfig(resume_checkpoint="a/model_1.pt", reward_path="s3://assets/reward.py")
    assert list(given_inputs(config)) == [
        GivenInput("resume_checkpoint", "resume_checkpoint", "resumeCheckpoint", "a/model_1.pt"),
        GivenInput("reward", "reward_path", "rewardPath", "s3://assets/reward.py"),
    ]
    assert [given.is_relative for given in given_inputs(config)] == [True, False]
    assert list(given_inputs(TrainingConfig())) == []


def test_fields_of_one_name_lead_to_one_input() -> None:
    for field, path in (("policyPath", "a.pt"), ("checkpointPath", "b.pt"), ("policyS3Uri", str(POLICY))):
        request = parse_request({"trainingConfig": {"mode": "evaluate", field: path}})
        (given,) = given_inputs(request.training_config)
        assert (given.name, given.alias, str(given.path)) == ("policy", field, path)


def test_a_specification_of_an_older_version_has_its_inputs_in_fields_of_their_own() -> None:
    document = json.loads(spec().model_dump_json()) | {"policy": str(POLICY), "custom_environment": "s3://envs/env.whl"}
    del document["inputs"]
    now = datetime.now(UTC)
    record = {"run_id": "run-1", "state": "queued", "created_at": now, "updated_at": now, "spec": document}
    read = RunRecord.read(record).spec
    assert read is not None
    assert read.inputs == {
        "policy": InputFile(uri=POLICY),
        "custom_environment": InputFile(uri=S3Uri("envs", "env.whl")),
    }


def test_todays_specification_is_read_by_older_versions_and_keeps_what_only_newer_ones_know() -> None:
    today = spec(policy=InputFile(uri=POLICY, size=7, etag='"a"'), reward=InputFile(uri=S3Uri("assets", "reward.py")))
    document = json.loads(today.model_dump_json())
    assert (document["policy"], document["resume_checkpoint"]) == (str(POLICY), None)
    now = datetime.now(UTC)
    record = RunRecord(run_id="run-1", state=RunState.QUEUED, created_at=now, updated_at=now, spec=today)
    assert RunRecord.read(record.model_dump_json()).spec == today


def test_a_document_for_users_repeats_the_addresses_as_before() -> None:
    config = RunConfig(
        run_id="run-1",
        training_config=TrainingConfig(),
        compute_config=ComputeConfig(),
        versions={},
        inputs={"resume_checkpoint": InputFile(uri=POLICY, size=7)},
    )
    document = json.loads(config.model_dump_json(by_alias=True))
    assert (document["policy"], document["resumeCheckpoint"]) == (None, str(POLICY))
    assert RunConfig.read(json.dumps(document)) == config
    del document["inputs"]
    assert RunConfig.read(json.dumps(document)).inputs == {"resume_checkpoint": InputFile(uri=POLICY)}
