"""Handle a message: validate its request, and start its run, join it, restart it, or answer at once with how it ended.

No crash between two steps leaves a caller waiting for ever. The record and the caller's token are written in one
transaction, and the record names the execution before that is started; StartExecution does nothing for an execution
that is running. So the next call with the same message, with the same token or a new one, completes the start.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from gaitway.compute.sizes import check_backend
from gaitway.contracts.backends import DEFAULT_BACKEND
from gaitway.contracts.errors import Failure, RequestError
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.run import (
    LaunchAnswer,
    PipelineInput,
    RunExecution,
    RunRecord,
    RunResult,
    RunState,
    to_json,
)
from gaitway.workloads.simulators import choose_simulator
from lambdas.live_view import check_live_view
from lambdas.observability import Json, logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.contracts.backends import Backend
    from gaitway.contracts.message import Message, ReceivedMessage
    from gaitway.workloads.simulators import Simulators

MAX_MESSAGE_BYTES = 131_072
"""With an error of 32 KiB beside it, a state's data stay below the 256 KiB that Step Functions allows."""
_ATTEMPTS = 5
"""Each one after the first means that the run changed during the one before."""


class CallerAdapter(Protocol):
    """Reads the messages of one kind of caller."""

    def read(self, event: Json) -> ReceivedMessage:
        """Read what the function received.

        Raises:
            RequestError: It is not what such a caller sends.
        """

    def find_token(self, event: Json) -> str | None:
        """Find the caller's task token, even in an otherwise unreadable event, so that the caller gets an answer."""


class Launch:
    """The launch function.

    Args:
        runs: The run table.
        callers: Answers the callers' tokens.
        stepfunctions: A Step Functions client.
        adapter: Reads what callers send.
        pipeline_arn: The inner state machine.
        simulators: The deployed simulators.
        backends: The deployed back ends.
        allow_live_view: Whether simulations can be looked into.
    """

    def __init__(
        self,
        runs: RunTable,
        callers: TaskTokens,
        stepfunctions: SFNClient,
        adapter: CallerAdapter,
        pipeline_arn: str,
        simulators: Simulators,
        backends: Collection[Backend] = (DEFAULT_BACKEND,),
        *,
        allow_live_view: bool = False,
    ) -> None:
        self._runs = runs
        self._callers = callers
        self._stepfunctions = stepfunctions
        self._adapter = adapter
        self._pipeline_arn = pipeline_arn
        self._simulators = simulators
        self._backends = backends
        self._allow_live_view = allow_live_view

    def handle(self, event: Json) -> Json:
        """Handle a message.

        Returns:
            200 with a `LaunchAnswer`; or 400 with error and cause, which the caller has received on its token.

        Raises:
            RequestError: The request is wrong, and has no token on which to report that.
        """
        try:
            received = self._adapter.read(event)
            self._check(received.message)
            answer = self._take(received)
        except RequestError as error:
            token = self._adapter.find_token(event)
            if token is None:
                raise
            failure = Failure.of(error)
            logger.warning("refused: %s", failure.error)
            self._callers.fail(token, failure)
            return {"statusCode": 400, "body": json.dumps({"error": failure.error, "cause": failure.cause})}
        return {"statusCode": 200, "body": json.dumps(to_json(answer))}

    def _check(self, message: Message) -> None:
        """Refuse requests that cannot run; ConstructRun will check a request in a file.

        Raises:
            RequestError: Names every wrong field with its value and what is allowed.
        """
        request = _request_of(message)
        if request is not None:
            simulator = choose_simulator(request.training_config, self._simulators).simulator
            check_backend(request.compute_config, self._backends)
            check_live_view(request.training_config, simulator, allowed=self._allow_live_view)
        size = len(json.dumps(to_json(message)))
        if size > MAX_MESSAGE_BYTES:
            raise RequestError(
                f"the message is {size} bytes long, allowed: {MAX_MESSAGE_BYTES}; put a long request into a JSON "
                "file, and give that as the input file"
            )

    def _take(self, received: ReceivedMessage) -> LaunchAnswer:
        run_id = received.run_id
        for _ in range(_ATTEMPTS):
            record = self._runs.get(run_id)
            if record is not None and record.message_digest != received.digest:
                raise RequestError(
                    f"the outputs would go to {received.message.output_files}, allowed: a separate path for each "
                    f"run; there, {run_id} writes its outputs, which has another request"
                )
            if record is None:
                answer = self._begin(received, instead_of=None)
            elif record.state.ended:
                answer = self._take_ended(received, record)
            else:
                answer = self._join(received, record)
            if answer is not None:
                logger.info("%s: %s", run_id, answer.status)
                return answer
        raise RuntimeError(f"{run_id} changes faster than it can be looked at: try again")

    def _take_ended(self, received: ReceivedMessage, record: RunRecord) -> LaunchAnswer | None:
        """Report how the run ended, or restart it."""
        failure = record.failure
        if record.state is RunState.SUCCEEDED:
            self._callers.succeed(received.task_token, to_json(RunResult.of(record)))
            return _answer(record)
        if failure is None:
            raise RuntimeError(f"{record.run_id} failed, and its record does not say why")
        if not failure.retryable:
            failure = failure.model_copy(
                update={"cause": f"refused, since this run failed before and no retry can help: {failure.cause}"}
            )
        elif self._runs.tokens(record.run_id).external != received.task_token:
            return self._begin(received, instead_of=record)
        # With the token that failed before, this is the same call again: it changes nothing.
        self._callers.fail(received.task_token, failure)
        return _answer(record)

    def _join(self, received: ReceivedMessage, record: RunRecord) -> LaunchAnswer | None:
        """Let the caller wait for an active run, instead of an earlier caller."""
        if not self._runs.give_token(record.run_id, record.execution_arn or "", "external", received.task_token):
            return None
        if self._start(record, received.message):
            return _answer(record)
        # Its execution has ended. Either the run ended a moment ago, and the record shows that by now; or the execution
        # was stopped from outside, and only this caller will bring the run to its end.
        latest = self._runs.get(record.run_id)
        if latest is None or latest.state.ended or latest.execution_arn != record.execution_arn:
            return None
        return self._begin(received, instead_of=latest)

    def _begin(self, received: ReceivedMessage, *, instead_of: RunRecord | None) -> LaunchAnswer | None:
        """Record the start of the run, and start its execution; None if another call was faster."""
        run_id = received.run_id
        now = datetime.now(UTC)
        asked = _request_of(received.message) or instead_of
        record = RunRecord(
            run_id=run_id,
            state=RunState.ACCEPTED,
            created_at=instead_of.created_at if instead_of else now,
            updated_at=now,
            started_at=instead_of.started_at if instead_of else None,
            attempts=instead_of.attempts if instead_of else None,
            cost=instead_of.cost if instead_of else None,
            # Its checkpoints are that simulator's.
            simulator=instead_of.simulator if instead_of else None,
            # Recorded here already, so that a group's list also has the runs that fail before they are constructed.
            group_id=asked.group_id if asked else None,
            parent_run_id=asked.parent_run_id if asked else None,
            execution_arn=RunExecution.begun_by(received.task_token, run_id, self._pipeline_arn).arn,
            message_digest=received.digest,
        )
        if not self._runs.accept(record, received.task_token, instead_of=instead_of):
            return None
        return _answer(record) if self._start(record, received.message) else None

    def _start(self, record: RunRecord, message: Message) -> bool:
        """Start the record's execution unless it runs; False if it has ended."""
        document = to_json(PipelineInput(run_id=record.run_id, message=message))
        try:
            self._stepfunctions.start_execution(
                stateMachineArn=self._pipeline_arn,
                name=RunExecution(record.execution_arn or "").name,
                input=json.dumps(document, sort_keys=True),
            )
        except self._stepfunctions.exceptions.ExecutionAlreadyExists:
            # It has ended; or it runs with a different input, which an older version of this function wrote:
            # docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
            execution = self._stepfunctions.describe_execution(executionArn=record.execution_arn or "")
            return execution["status"] == "RUNNING"
        return True


def _request_of(message: Message) -> Request | None:
    """Read the request; None if a file completes it, which ConstructRun reads."""
    return parse_request(message.request) if message.request_file is None else None


def _answer(record: RunRecord) -> LaunchAnswer:
    return LaunchAnswer(job_id=record.run_id, execution_arn=record.execution_arn, status=record.state.name)
