"""What a caller reads when a run fails."""

import json
from datetime import UTC, datetime

import pytest

from gaitway.contracts.errors import MAX_CAUSE_BYTES, Failure
from gaitway.contracts.pipeline import ReportedError
from gaitway.contracts.run import Progress, RunRecord, RunState
from lambdas.handle_failure.explain import explain


def failure(error: str, cause: str, record: RunRecord | None = None) -> Failure:
    return explain(ReportedError.model_validate({"Error": error, "Cause": cause}), record)


def test_a_lambdas_exception_is_told_as_its_message_without_its_traceback() -> None:
    cause = json.dumps(
        {
            "errorMessage": "trainingConfig.numEnvs is 0, allowed: greater than or equal to 1",
            "errorType": "RequestError",
            "requestId": "1",
            "stackTrace": ["  File ..."],
        }
    )
    told = failure("RequestError", cause)
    assert told.cause == "trainingConfig.numEnvs is 0, allowed: greater than or equal to 1"
    assert (told.error, told.retryable) == ("RequestError", False)


@pytest.mark.parametrize("cause", ["the loss is NaN", '{"a": 1}', "[1]", '"text"', "[" * 100_000, "3"])
def test_the_jobs_own_words_are_told_as_they_are(cause: str) -> None:
    assert failure("SimulationError", cause).cause == cause[-MAX_CAUSE_BYTES:]


def test_an_unknown_error_may_be_tried_again() -> None:
    assert failure("Sandbox.Timedout", "Task timed out after 30.00 seconds").retryable


def test_a_missing_cause_does_not_leave_the_caller_without_a_word() -> None:
    event = ReportedError.model_validate({"Error": "States.TaskFailed"})
    assert explain(event, None).cause.startswith("States.TaskFailed, and no cause was given\n")


def test_an_error_that_is_not_ours_says_what_to_do() -> None:
    assert "Start the run again" in failure("Lambda.Unknown", "it died").cause
    assert failure("ArtifactError", "metrics.csv is missing").cause == "metrics.csv is missing"


def test_what_the_machine_passed_on_when_its_failure_was_not_handled_is_unwrapped() -> None:
    cause = json.dumps({"Error": "RequestError", "Cause": json.dumps({"errorMessage": "numEnvs is 0"})})
    assert failure("RequestError", cause).cause == "numEnvs is 0"


def test_a_cause_with_other_letters_fits_as_well() -> None:
    told = failure("SimulationError", "ü" * 40_000).cause
    assert MAX_CAUSE_BYTES - 2 < len(told.encode()) <= MAX_CAUSE_BYTES


@pytest.mark.parametrize(
    ("error", "said"),
    [("States.HeartbeatTimeout", "no sign of progress for 25 minutes"), ("States.Timeout", "did not end in the time")],
)
def test_a_timeout_says_what_it_means_what_to_do_and_where_the_run_stood(error: str, said: str) -> None:
    now = datetime.now(UTC)
    record = RunRecord(
        run_id="run-1",
        state=RunState.RUNNING,
        created_at=now,
        updated_at=now,
        phase="simulate",
        progress=Progress(done=40, total=100),
        job_id="job-1",
    )
    told = failure(error, "", record)
    assert told.error == error
    assert told.retryable
    assert said in told.cause
    assert "again" in told.cause
    assert told.cause.endswith("(it was running, in its step simulate, 40 of 100 done, job job-1)")


def test_a_timeout_is_explained_even_where_no_record_was_written() -> None:
    assert failure("States.Timeout", "").cause
