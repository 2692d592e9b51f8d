"""A request's way through launch and construct_run, as the state machines take it, to a job or to a refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from gaitway.aws.run_table import RunTable
from gaitway.aws.task_tokens import TaskTokens
from gaitway.compute.sizes import BackendSizes, JobSize
from gaitway.contracts.backends import Backend
from gaitway.contracts.errors import Failure, GaitwayError, RequestError
from gaitway.contracts.pipeline import ConstructRunEvent, ReportedError
from gaitway.contracts.run import ConstructedRun, RunRecord, RunSpec, RunState
from gaitway.contracts.vams_message import find_task_token
from gaitway.names import DEFAULT_NAMES
from gaitway.runner.host.session import run_policies
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.logic import ConstructRun
from lambdas.handle_failure.explain import explain
from lambdas.launch.logic import Launch
from lambdas.launch.vams import Vams
from tests.fuzz.wire import Clients, Wire, assert_json

NAMESPACE = DEFAULT_NAMES.metrics_namespace

Json = dict[str, Any]

TOKEN = "AQCoAAAAKgAAAAMAAAAAAAAAASecret+marker/of=the=task"
OUTPUT = "s3://assets/pipelines/step/output/8d2c5f/files/"
PIPELINE_ARN = "arn:aws:states:us-east-1:000000000000:stateMachine:pipeline"
SIZES = {gpus: JobSize(gpus=gpus, vcpus=1, memory_mib=128, max_nodes=64, instance_gpus=8) for gpus in range(1, 9)}
BACKENDS: BackendSizes = dict.fromkeys(get_args(Backend), SIZES)
MAX_ERROR_BYTES = 20_000
"""Of what a function raises. Step Functions cuts a cause off after 32,768 characters, and adds Lambda's own around."""


MAX_POLICY_CHARACTERS = 2_048
"""docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""


@dataclass(frozen=True)
class Outcome:
    """What became of a request."""

    constructed: ConstructedRun | None = None
    """The run that a job would be submitted for."""
    refusal: Failure | None = None
    """What the caller was told."""


class ControlPlane:
    """The functions, between the callers and the job."""

    def __init__(self) -> None:
        self._clients = Clients()
        table = RunTable(self._clients.dynamodb, "runs")
        tokens = TaskTokens(self._clients.stepfunctions)
        vams = Vams(self._clients.s3)
        self._launch = Launch(
            table, tokens, self._clients.stepfunctions, vams, PIPELINE_ARN, ("embedded",), tuple(BACKENDS)
        )
        self._construct_run = ConstructRun(table, Inputs(self._clients.s3), BACKENDS, ("embedded",))

    def put_through(self, event: Any, wire: Wire | None = None) -> Outcome:
        """Let a request go its way, and check at each step what holds for every request.

        Args:
            event: What launch receives.
            wire: What is in S3; nothing when None.
        """
        wire = self._clients.wire = wire or Wire()
        try:
            answer = self._launch.handle(event)
        except RequestError as error:
            # Lambda fails the caller's task with this; there is no token on which to tell more.
            assert find_task_token(event) is None
            assert wire.calls == []
            return Outcome(refusal=_described(error))
        assert_json(answer["body"])
        assert TOKEN not in answer["body"]
        told = wire.made("SendTaskFailure")
        if answer["statusCode"] == 400:
            (failure,) = told
            assert [name for name, _ in wire.calls] == ["SendTaskFailure"]
            assert TOKEN not in failure["cause"]
            return Outcome(refusal=Failure.reported(failure["error"], failure["cause"]))
        assert answer["statusCode"] == 200
        assert told == []
        (execution,) = wire.made("StartExecution")
        assert TOKEN not in execution["input"]
        return self._construct(json.loads(execution["input"]), execution["name"])

    def _construct(self, started: Json, name: str) -> Outcome:
        arn = f"{PIPELINE_ARN.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            constructed = self._construct_run.handle(ConstructRunEvent.model_validate(started | {"execution_arn": arn}))
        except GaitwayError as error:
            return Outcome(refusal=_described(error))
        (update,) = self._clients.wire.made("UpdateItem")
        spec = update["ExpressionAttributeValues"][":new_spec"]["S"]
        assert_json(spec)
        _check_policy(RunSpec.model_validate_json(spec), arn)
        return Outcome(constructed=constructed)


def _check_policy(spec: RunSpec, execution_arn: str) -> None:
    """Check that the job can be given a session of its own."""
    now = datetime.now(UTC)
    record = RunRecord(
        run_id=spec.run_id,
        state=RunState.QUEUED,
        created_at=now,
        updated_at=now,
        execution_arn=execution_arn,
        spec=spec,
    )
    policies = list(run_policies(record, "aws", NAMESPACE))
    assert policies
    for policy in policies:
        assert len(policy) <= MAX_POLICY_CHARACTERS
        assert_json(policy)
        writable = next(one["Resource"] for one in json.loads(policy)["Statement"] if "s3:PutObject" in one["Action"])
        assert f"arn:aws:s3:::{spec.output_files.bucket}/*" not in writable, "no run may write into all of a bucket"


def _described(error: GaitwayError) -> Failure:
    """Describe a function's error as it arrives at the caller: through Lambda and Step Functions."""
    document = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
    assert len(document) <= MAX_ERROR_BYTES
    assert_json(document)
    failure = explain(ReportedError.model_validate({"Error": type(error).__name__, "Cause": document}), None)
    assert failure == Failure.of(error)
    assert TOKEN not in failure.cause
    return Failure.model_validate_json(failure.model_dump_json())


def message(**fields: object) -> Json:
    """Return VAMS's message with fields of one's own."""
    return {
        "TaskToken": TOKEN,
        "outputS3AssetFilesPath": OUTPUT,
        "bucketAsset": "assets",
        "inputAssetLocationKey": "asset-1/",
        "inputS3AssetFilePath": "",
        **fields,
    }
