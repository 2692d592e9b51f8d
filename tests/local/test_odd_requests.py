"""Odd requests through the deployed functions and machines: each caller is told within seconds, and no job is started.

`tests/fuzz` tries thousands of them on the functions' logic; here some of them show that the logic stands where the
requests arrive, and that nothing between the services changes or swallows them.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitway.contracts.run import RunState
from tests.fuzz.control_plane import ControlPlane as Logic
from tests.fuzz.control_plane import Outcome, message
from tests.fuzz.effort import deployed_examples
from tests.fuzz.from_models import requests
from tests.fuzz.odd import config_files, odd_texts, parameters
from tests.fuzz.wire import Wire
from tests.local.conformance.workflow import ROLE_ARN, until
from tests.local.deployed import ControlPlane, Json

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Generating overly large repr")]

AT_ONCE = 2
"""More would each start a process of their own for each function, which takes longer than what it does then."""
TOLD_SECONDS = 60.0
"""A refusal takes a fraction of a second on an idle machine."""


@dataclass(frozen=True)
class Odd:
    """A request."""

    parameters: Any = ""
    file: bytes | None = None
    """What stands in the JSON file beside it."""


def _arrives(document: object) -> bool:
    """Tell whether Step Functions would take this as part of an execution's input."""
    try:
        text = json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return len(text) < 100_000


odd_requests = st.builds(Odd, parameters.filter(_arrives)) | st.builds(
    Odd, parameters.filter(_arrives) | st.just(""), config_files
)


@cache
def logic() -> Logic:
    return Logic()


def expected(odd: Odd) -> Outcome:
    """Ask the functions' logic what becomes of a request where none of the files exists that it names."""
    key = "asset-1/request.json"
    files = {} if odd.file is None else {f"assets/{key}": odd.file}
    path = "" if odd.file is None else f"s3://assets/{key}"
    event = {"body": message(inputParameters=odd.parameters, inputS3AssetFilePath=path, inputAssetLocationKey="")}
    return logic().put_through(event, Wire(files))


def start(plane: ControlPlane, odd: Odd) -> str:
    """Ask for a run as our own workflow does."""
    document = {"inputParameters": odd.parameters}
    if odd.file is not None:
        document["inputS3AssetFilePath"] = str(plane.put(f"odd/{uuid.uuid4().hex}.json", odd.file))
    return plane.start(plane.deployment.workflow_arn, document)


def told(plane: ControlPlane, execution_arn: str) -> Json:
    """Wait until a caller is told, and check that it was told soon."""
    execution = plane.ended(execution_arn)
    assert execution["stopDate"] - execution["startDate"] < timedelta(seconds=TOLD_SECONDS)
    return execution


@deployed_examples(8)
@given(st.lists(odd_requests.filter(lambda odd: expected(odd).refusal is not None), min_size=AT_ONCE, max_size=AT_ONCE))
def test_an_odd_request_is_refused_as_the_logic_says_and_starts_no_job(plane: ControlPlane, odds: list[Odd]) -> None:
    executions = [start(plane, odd) for odd in odds]
    for odd, started in zip(odds, executions, strict=True):
        execution = told(plane, started)
        refusal = expected(odd).refusal
        assert refusal is not None
        assert (execution["status"], execution["error"]) == ("FAILED", refusal.error), execution["cause"]
        record = plane.record_of(execution)
        if record is not None:
            assert record.state is RunState.FAILED
            assert plane.jobs_of(record.run_id) == []
            assert plane.ended(record.execution_arn or "")["status"] == "FAILED"


@pytest.fixture(scope="module")
def texts_machine(plane: ControlPlane) -> Iterator[str]:
    """A caller whose message is whatever text it is given, around its token."""
    body = "States.Format('{}{}{}', $.before, $$.Task.Token, $.after)"
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": plane.deployment.launch_function_name, "Payload": {"body.$": body}},
        "TimeoutSeconds": 60,
        "End": True,
    }
    arn = plane.stepfunctions.create_state_machine(
        name=f"texts-{uuid.uuid4().hex[:12]}",
        definition=json.dumps({"StartAt": "Ask", "States": {"Ask": state}}),
        roleArn=ROLE_ARN,
    )["stateMachineArn"]
    yield arn
    plane.stepfunctions.delete_state_machine(stateMachineArn=arn)


@deployed_examples(3)
@given(st.lists(odd_texts.filter(_arrives), min_size=AT_ONCE, max_size=AT_ONCE))
def test_a_message_that_nobody_can_read_is_refused_on_the_token_in_it(
    plane: ControlPlane, texts_machine: str, odds: list[str]
) -> None:
    before = '{"TaskToken": "'
    executions = [plane.start(texts_machine, {"before": before, "after": f'", "x": {odd}'}) for odd in odds]
    for started in executions:
        execution = told(plane, started)
        assert (execution["status"], execution["error"]) == ("FAILED", "RequestError"), execution.get("cause")


@deployed_examples(2)
@given(requests(mode="train"))
def test_a_valid_request_gets_a_job(plane: ControlPlane, document: Json) -> None:
    # What is not there, or has no room here, is refused rightly.
    compute = {"numNodes": 1, "gpusPerNode": 1}
    elsewhere = ("resumeCheckpoint", "customEnvironmentPath", "customEnvironmentS3Uri")
    training = {key: value for key, value in document["trainingConfig"].items() if key not in elsewhere}
    valid = {key: value for key, value in document.items() if key not in elsewhere}
    valid |= {"trainingConfig": training, "computeConfig": compute}
    started = plane.start(plane.deployment.workflow_arn, {"inputParameters": valid})

    def job() -> str | None:
        record = plane.record_of(plane.describe(started))
        return record.job_id if record is not None else None

    until(lambda: job() is not None or plane.describe(started)["status"] != "RUNNING")
    assert job() is not None, plane.describe(started)["cause"]
    plane.batch.terminate_job(jobId=job(), reason="that it was submitted is enough")
    assert told(plane, started)["error"] in ("CancelledError", "RequestError"), "cancelled, or of an unknown task"
