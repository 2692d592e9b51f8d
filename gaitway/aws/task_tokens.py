"""Answering the task tokens that callers wait on. A token is a secret: it is logged nowhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from types_boto3_stepfunctions import SFNClient

    from gaitway.contracts.errors import Failure

_NOBODY_WAITS = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})


class TaskTokens:
    """Tells the execution behind a token how its task goes.

    Every method returns False where nobody waits on the token any more: it ended before, or its execution did.

    Args:
        stepfunctions: A Step Functions client.
    """

    def __init__(self, stepfunctions: SFNClient) -> None:
        self._stepfunctions = stepfunctions

    def heartbeat(self, token: str) -> bool:
        """Tell that the task goes on."""
        return _anybody_waits(token, lambda: self._stepfunctions.send_task_heartbeat(taskToken=token))

    def succeed(self, token: str, output: Mapping[str, object]) -> bool:
        """End the task with its result."""
        return _anybody_waits(
            token, lambda: self._stepfunctions.send_task_success(taskToken=token, output=json.dumps(output))
        )

    def fail(self, token: str, failure: Failure) -> bool:
        """End the task with an error."""
        return _anybody_waits(
            token,
            lambda: self._stepfunctions.send_task_failure(taskToken=token, error=failure.error, cause=failure.cause),
        )


def _anybody_waits(token: str, call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOBODY_WAITS:
            return False
        raise _without(token, error) from None
    return True


def _without(token: str, error: ClientError) -> ClientError:
    """Take the token out of an error's message: a validation error quotes the value that it refuses."""
    description = dict(error.response["Error"])
    description["Message"] = str(description.get("Message", "")).replace(token, "<task token>")
    response: Any = {**error.response, "Error": description}
    return ClientError(response, error.operation_name)
