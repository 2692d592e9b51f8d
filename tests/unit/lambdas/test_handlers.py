"""What holds for every function: no call at import, and no secret in an error or a log."""

import importlib
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from gaitway.contracts.pipeline import SubmitJobEvent
from lambdas.environment import Environment
from lambdas.observability import Json, logger, observed

TOKEN = "AQCoAAAAKgAAAAMAAAAAAAAAASecret+marker/of=the=task"
CONTEXT = cast(
    "LambdaContext",
    SimpleNamespace(
        function_name="launch",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:launch",
        aws_request_id="1",
    ),
)


@pytest.mark.parametrize(
    "verb",
    ["launch", "construct_run", "submit_job", "collect_results", "handle_failure", "heartbeat", "job_state"],
)
def test_a_function_is_loaded_without_its_environment_and_fails_clearly_when_called(
    verb: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("GAITWAY_RUN_TABLE", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-environment")
    handler = importlib.import_module(f"lambdas.{verb}.handler").handler
    with pytest.raises(ValidationError, match="GAITWAY_RUN_TABLE") as caught:
        handler({"task_token": TOKEN, "body": {"TaskToken": TOKEN}}, CONTEXT)
    for text in (str(caught.value), caplog.text):
        assert TOKEN not in text
        assert "a-secret-of-the-environment" not in text


def test_an_event_is_not_logged_even_where_the_environment_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")

    @observed
    def handler(event: Json, context: LambdaContext) -> Json:
        logger.info("at work")
        return event

    with caplog.at_level(logging.DEBUG):
        assert handler({"TaskToken": TOKEN}, CONTEXT) == {"TaskToken": TOKEN}
    assert "at work" in caplog.text
    assert TOKEN not in "".join(str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("wrong", [{"timeout_seconds": "soon"}, {"surprise": TOKEN}, {"run_id": None}])
def test_an_event_that_is_no_event_is_refused_without_showing_it(wrong: dict[str, Any]) -> None:
    event = {"run_id": "run-1", "execution_arn": "arn", "timeout_seconds": 600, "task_token": TOKEN}
    assert TOKEN not in repr(SubmitJobEvent.model_validate(event))
    with pytest.raises(ValidationError) as caught:
        SubmitJobEvent.model_validate(event | wrong)
    assert TOKEN not in str(caught.value)


def test_an_environment_says_which_table_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITWAY_RUN_TABLE", "runs")
    assert Environment.read().run_table == "runs"


def test_a_function_logs_that_it_was_called_and_for_which_run(caplog: pytest.LogCaptureFixture) -> None:
    @observed
    def handler(event: Json, context: LambdaContext) -> Json:
        logger.info("at work")
        return event

    with caplog.at_level(logging.INFO):
        handler({"run_id": "run-1", "TaskToken": TOKEN}, CONTEXT)
        handler({"source": "aws.batch"}, CONTEXT)
    assert [record.message for record in caplog.records] == ["called", "at work"] * 2
