"""Tell the inner machine how the job ended: once, and without giving up early."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from container.runner.retry import retrying
from container.runner.tokens import JobTokens
from gaitway.aws.errors import AWS_ERRORS
from gaitway.aws.task_tokens import TaskTokens
from gaitway.contracts.errors import Failure
from gaitway.contracts.run import JobResult, to_json

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 600.0
"""An outcome that is not reported costs the whole run: better to try long."""


class Reporter:
    """Answers the task token that the inner machine waits on.

    Args:
        tokens: Who waits.
        task_tokens: Where the answer goes.
    """

    def __init__(self, tokens: JobTokens, task_tokens: TaskTokens) -> None:
        self._tokens = tokens
        self._task_tokens = task_tokens

    def succeed(self, result: JobResult) -> None:
        """Report the run's results."""
        self._answer(lambda token: self._task_tokens.succeed(token, to_json(result)))

    def fail(self, failure: Failure) -> None:
        """Report why the run failed."""
        self._answer(lambda token: self._task_tokens.fail(token, failure))

    def _answer(self, answer: Callable[[str], bool]) -> None:
        def read_token_and_answer() -> bool:
            token = self._tokens.read().inner
            return token is not None and answer(token)

        # Not told twice: an answer that arrived while its acknowledgement was lost makes the next one find nobody.
        if not retrying(AWS_ERRORS, time.sleep, _RETRY_SECONDS)(read_token_and_answer):
            logger.warning("nobody waits for the outcome any more")
