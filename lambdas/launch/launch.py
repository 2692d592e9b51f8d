"""Take a request: validate it, and start its run, join it, begin it anew, or answer at once with how it ended.

A crash between any two steps leaves nobody waiting for ever. The record and the caller's token are written in one
transaction, and the record names the execution before that is started; StartExecution does nothing for an execution
that runs. So whoever comes next with the same message, with the same token or a new one, completes what was begun.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gaitway.contracts.errors import Failure, RequestError
from gaitway.contracts.request import ReceivedMessage, VamsMessage, find_task_token, parse_message, parse_request
from gaitway.contracts.run import (
    LaunchAnswer,
    PipelineInput,
    RunRecord,
    RunResult,
    RunState,
    message_digest,
    run_id_of_message,
    to_json,
)
from lambdas.launch.manifest import with_manifest
from lambdas.observability import Json, logger

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens

MAX_MESSAGE_BYTES = 131_072
"""With an error of 32 KiB beside it, a state's data stay below the 256 KiB that Step Functions allows."""
_ATTEMPTS = 5
"""Each one after the first means that the run changed while it was looked at."""


class Launch:
    """The launch function.

    Args:
        runs: The run table.
        callers: Answers the callers' tokens.
        stepfunctions: A Step Functions client.
        s3: An S3 client.
        pipeline_arn: The inner state machine.
    """

    def __init__(
        self, runs: RunTable, callers: TaskTokens, stepfunctions: SFNClient, s3: S3Client, pipeline_arn: str
    ) -> None:
        self._runs = runs
        self._callers = callers
        self._stepfunctions = stepfunctions
        self._s3 = s3
        self._pipeline_arn = pipeline_arn

    def handle(self, event: Json) -> Json:
        """Take a request.

        Returns:
            200 with a `LaunchAnswer`; or 400 with error and cause, of which the caller has been told on its token.

        Raises:
            RequestError: The request is wrong, and holds no token on which to say so.
        """
        try:
            received = parse_message(with_manifest(event, self._s3))
            _check(received.message)
            answer = self._take(received)
        except RequestError as error:
            token = find_task_token(event)
            if token is None:
                raise
            failure = Failure.of(error)
            logger.warning("refused: %s", failure.error)
            self._callers.fail(token, failure)
            return {"statusCode": 400, "body": json.dumps({"error": failure.error, "cause": failure.cause})}
        return {"statusCode": 200, "body": json.dumps(to_json(answer))}

    def _take(self, received: ReceivedMessage) -> LaunchAnswer:
        run_id = run_id_of_message(received.message)
        digest = message_digest(received.message)
        for _ in range(_ATTEMPTS):
            record = self._runs.get(run_id)
            if record is not None and record.message_digest != digest:
                raise RequestError(
                    f"outputS3AssetFilesPath is {received.message.output_s3_asset_files_path}, allowed: a path of its "
                    f"own for each run; there, {run_id} writes its outputs, which was asked for something else"
                )
            if record is None:
                answer = self._begin(received, digest, instead_of=None)
            elif record.state.ended:
                answer = self._take_ended(received, digest, record)
            else:
                answer = self._join(received, digest, record)
            if answer is not None:
                logger.info("%s: %s", run_id, answer.status)
                return answer
        raise RuntimeError(f"{run_id} changes faster than it can be looked at: try again")

    def _take_ended(self, received: ReceivedMessage, digest: str, record: RunRecord) -> LaunchAnswer | None:
        """Tell how the run ended, or begin it anew."""
        failure = record.failure
        if record.state is RunState.SUCCEEDED:
            self._callers.succeed(received.task_token, to_json(RunResult.of(record)))
            return _answer(record)
        if failure is None:
            raise RuntimeError(f"{record.run_id} failed, and its record does not tell why")
        if not failure.retryable:
            failure = failure.model_copy(
                update={"cause": f"refused, since this run failed before and no retry can mend it: {failure.cause}"}
            )
        elif self._runs.tokens(record.run_id).external != received.task_token:
            return self._begin(received, digest, instead_of=record)
        # With the token that failed before, this is the same call again: it changes nothing.
        self._callers.fail(received.task_token, failure)
        return _answer(record)

    def _join(self, received: ReceivedMessage, digest: str, record: RunRecord) -> LaunchAnswer | None:
        """Let the caller wait for a run that goes on, whoever waited for it before."""
        if not self._runs.give_token(record.run_id, record.execution_arn or "", "external", received.task_token):
            return None
        if self._start(record, received.message):
            return _answer(record)
        # Its execution is over. Either the run ended a moment ago, and the record shows that by now; or the execution
        # was stopped from outside, and nobody but this caller will bring the run to its end.
        latest = self._runs.get(record.run_id)
        if latest is None or latest.state.ended or latest.execution_arn != record.execution_arn:
            return None
        return self._begin(received, digest, instead_of=latest)

    def _begin(self, received: ReceivedMessage, digest: str, *, instead_of: RunRecord | None) -> LaunchAnswer | None:
        """Write down that the run begins, and start its execution; None where somebody else was faster."""
        run_id = run_id_of_message(received.message)
        now = datetime.now(UTC)
        record = RunRecord(
            run_id=run_id,
            state=RunState.ACCEPTED,
            created_at=instead_of.created_at if instead_of else now,
            updated_at=now,
            started_at=instead_of.started_at if instead_of else None,
            attempts=instead_of.attempts if instead_of else None,
            cost=instead_of.cost if instead_of else None,
            execution_arn=_execution_arn(self._pipeline_arn, run_id, received.task_token),
            message_digest=digest,
        )
        if not self._runs.accept(record, received.task_token, instead_of=instead_of):
            return None
        return _answer(record) if self._start(record, received.message) else None

    def _start(self, record: RunRecord, message: VamsMessage) -> bool:
        """Start the record's execution unless it runs; False where it is over."""
        document = to_json(PipelineInput(run_id=record.run_id, message=message))
        try:
            self._stepfunctions.start_execution(
                stateMachineArn=self._pipeline_arn,
                name=(record.execution_arn or "").rpartition(":")[2],
                # In one order always, since the same name with another input would be refused.
                input=json.dumps(document, sort_keys=True),
            )
        except self._stepfunctions.exceptions.ExecutionAlreadyExists:
            return False
        return True


def _check(message: VamsMessage) -> None:
    """Refuse what cannot run; what stands in a file, ConstructRun will read.

    Raises:
        RequestError: Names every wrong field with its value and what is allowed.
    """
    if message.config_file is None:
        parse_request(message.input_parameters)
    size = len(json.dumps(to_json(message)))
    if size > MAX_MESSAGE_BYTES:
        raise RequestError(
            f"the message is {size} bytes long, allowed: {MAX_MESSAGE_BYTES}; put long inputParameters into a JSON "
            "file, and name that as inputS3AssetFilePath"
        )


def _answer(record: RunRecord) -> LaunchAnswer:
    return LaunchAnswer(job_id=record.run_id, execution_arn=record.execution_arn, status=record.state.name)


def _execution_arn(pipeline_arn: str, run_id: str, task_token: str) -> str:
    """Name the execution that a caller's token begins: the same token again begins nothing new."""
    executions = pipeline_arn.replace(":stateMachine:", ":execution:")
    return f"{executions}:{run_id}-{hashlib.sha256(task_token.encode()).hexdigest()[:12]}"
