"""Report the job's end to the inner machine: once, with retries for a long time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gaitway.aws.errors import AWS_ERRORS
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.errors import Failure
from gaitway.contracts.limits import ANSWER_RETRY_SECONDS
from gaitway.contracts.run import JobResult, to_json
from gaitway.runner.ownership import Ownership
from gaitway.runner.retry import retrying

logger = logging.getLogger(__name__)


class Reporter:
    """Answers the task token that the inner machine waits for.

    Args:
        ownership: Provides the task tokens of this attempt.
        task_tokens: Sends the answer.
    """

    def __init__(self, ownership: Ownership, task_tokens: TaskTokens) -> None:
        self._ownership = ownership
        self._task_tokens = task_tokens

    def succeed(self, result: JobResult) -> None:
        """Report the run's results."""
        self._answer(lambda token: self._task_tokens.succeed(token, to_json(result)))

    def fail(self, failure: Failure) -> None:
        """Report why the run failed."""
        self._answer(lambda token: self._task_tokens.fail(token, failure))

    def _answer(self, answer: Callable[[str], bool]) -> None:
        def read_token_and_answer() -> bool:
            token = self._ownership.tokens().inner
            return token is not None and answer(token)

        # If an answer arrived and only its response was lost, the retry finds no waiting task.
        if not retrying(AWS_ERRORS, time.sleep, ANSWER_RETRY_SECONDS)(read_token_and_answer):
            logger.warning("nobody waits for the outcome any more")
