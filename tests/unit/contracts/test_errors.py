import pytest

from gaitway.contracts.errors import (
    MAX_CAUSE_BYTES,
    MAX_ERROR_CHARACTERS,
    Failure,
    InputNotFoundError,
    InterruptedRunError,
    NotANumberError,
    PlatformError,
    RequestError,
    StalledError,
)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (RequestError("wrong"), False),
        (InputNotFoundError("gone"), False),
        (InterruptedRunError("stopped"), True),
        (StalledError("no progress"), True),
        (NotANumberError("NaN in the loss"), False),
        (PlatformError("no driver"), False),
        (OSError("disk"), True),
    ],
)
def test_a_failure_is_the_same_whether_caught_here_or_reported_by_name(error: Exception, retryable: bool) -> None:
    here = Failure.of(error)
    assert here.retryable is retryable
    assert Failure.reported(type(error).__name__, str(error)) == here


def test_a_failure_fits_into_what_step_functions_takes() -> None:
    failure = Failure.reported("E" * 1000, "c" * 100_000 + "the end")
    assert len(failure.error) == MAX_ERROR_CHARACTERS
    assert len(failure.cause) == MAX_CAUSE_BYTES
    assert failure.cause.endswith("the end")


def test_a_failure_always_has_a_name_and_a_cause() -> None:
    assert Failure.reported("", "x").error
    assert Failure.of(ValueError()).cause == "ValueError"
