"""What the emulator cannot bring about: two writers at one item in the same instant."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from gaitway.aws.run_table import RunTable


@pytest.fixture
def dynamodb() -> Any:
    return boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def cancel(stubber: Stubber, *codes: str) -> None:
    stubber.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        modeled_fields={"CancellationReasons": [{"Code": code} for code in codes]},
    )


def test_a_write_that_meets_another_one_is_repeated(dynamodb: Any) -> None:
    with Stubber(dynamodb) as stubber:
        cancel(stubber, "TransactionConflict", "None")
        stubber.add_response("transact_write_items", {})
        assert RunTable(dynamodb, "runs").give_token("run-1", "execution", "inner", "token")
        stubber.assert_no_pending_responses()


def test_a_condition_that_does_not_hold_is_an_answer_and_is_not_repeated(dynamodb: Any) -> None:
    with Stubber(dynamodb) as stubber:
        cancel(stubber, "ConditionalCheckFailed", "TransactionConflict")
        assert not RunTable(dynamodb, "runs").give_token("run-1", "execution", "inner", "token")
        stubber.assert_no_pending_responses()


def test_any_other_error_is_raised(dynamodb: Any) -> None:
    with Stubber(dynamodb) as stubber:
        cancel(stubber, "ThrottlingError", "None")
        with pytest.raises(ClientError):
            RunTable(dynamodb, "runs").give_token("run-1", "execution", "inner", "token")
