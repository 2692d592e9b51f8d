"""A token is answered, and is never shown."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.errors import Failure

TOKEN = "AQC-secret-marker"
FAILURE = Failure(error="SimulationError", cause="the loss is NaN", retryable=True)


@pytest.fixture
def stepfunctions() -> Any:
    return boto3.client("stepfunctions", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_token_that_nobody_waits_on_is_no_error(stepfunctions: Any, code: str) -> None:
    tokens = TaskTokens(stepfunctions)
    with Stubber(stepfunctions) as stubber:
        for operation in ("send_task_heartbeat", "send_task_success", "send_task_failure"):
            stubber.add_client_error(operation, code)
        assert not tokens.heartbeat(TOKEN)
        assert not tokens.succeed(TOKEN, {})
        assert not tokens.fail(TOKEN, FAILURE)


def test_an_error_that_quotes_the_token_is_raised_without_it(stepfunctions: Any) -> None:
    with Stubber(stepfunctions) as stubber:
        stubber.add_client_error("send_task_failure", "ValidationException", f"Value '{TOKEN}' at 'taskToken' is long")
        with pytest.raises(ClientError, match="Value '<task token>' at") as caught:
            TaskTokens(stepfunctions).fail(TOKEN, FAILURE)
    assert caught.value.__suppress_context__
    assert TOKEN not in str(caught.value.response)
