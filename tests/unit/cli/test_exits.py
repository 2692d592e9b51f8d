"""What a person is told of an error, and the exit code that a script reads."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError, SSOTokenLoadError

from gaitway.cli.exits import Exit, explain, tell
from gaitway.cli.watch import RunFailedError
from gaitway.client.deployment import NotDeployedError
from gaitway.client.runs import RunNotFoundError
from gaitway.contracts.errors import RequestError


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "its words"}}, "ListExecutions")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RunFailedError("it failed"), Exit.FAILED, "it failed"),
        (RequestError("numEnvs is 0"), Exit.USAGE, "numEnvs is 0"),
        (RunNotFoundError("no run"), Exit.NOT_FOUND, "no run"),
        (NotDeployedError("no stack"), Exit.NOT_FOUND, "no stack"),
        (refused("ExpiredTokenException"), Exit.AWS, "have expired: log in again"),
        (refused("InvalidClientTokenId"), Exit.AWS, "does not know these credentials"),
        (refused("AccessDeniedException"), Exit.AWS, "may not call ListExecutions (its words)"),
        (refused("ThrottlingException"), Exit.AWS, "ListExecutions was refused (ThrottlingException: its words)"),
        (NoCredentialsError(), Exit.AWS, "give --profile"),
        (SSOTokenLoadError(error_msg="none"), Exit.AWS, "aws sso login"),
        (ConnectTimeoutError(endpoint_url="https://x"), Exit.AWS, "check the network"),
        (PermissionError(13, "Permission denied", "/results"), Exit.USAGE, "/results: Permission denied"),
    ],
)
def test_every_error_has_a_code_and_a_next_step(error: Exception, code: Exit, words: str) -> None:
    ended, message = explain(error)
    assert ended is code
    assert words in message


def test_an_error_is_one_line_and_what_looks_like_markup_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    tell("[red] " + "word " * 100)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: [red] word")
    assert err.count("\n") == 1
