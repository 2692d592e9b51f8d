"""Answer the task tokens that callers wait for. A token is a secret: it is never logged."""

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
    """Reports the state of a task to the execution behind its token.

    Every method returns False if nothing waits for the token any more: the task or its execution has ended.

    Args:
        stepfunctions: A Step Functions client.
    """

    def __init__(self, stepfunctions: SFNClient) -> None:
        self._stepfunctions = stepfunctions

    def heartbeat(self, token: str) -> bool:
        """Report that the task is active."""
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
    """Remove the token from an error's message: a validation error quotes the refused value."""
    description = dict(error.response["Error"])
    description["Message"] = str(description.get("Message", "")).replace(token, "<task token>")
    response: Any = {**error.response, "Error": description}
    return ClientError(response, error.operation_name)
