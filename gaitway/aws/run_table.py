"""The run table: one record per run, and its task tokens in an item of their own.

Key: `run_id` (partition), `item` (sort: `run` or `tokens`). Nested models are kept as JSON text. The index `by_state`
finds active runs without reading those that have ended, and `by_group` the runs of a group; tokens have neither
state nor group, and so are in none of them.

A run that is tried again gets a new inner execution, and the record names the one that owns the run. A function that
acts for an execution makes its writes conditional on that, so that a late call for an older one cannot change the
outcome.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel

from gaitway.contracts.limits import JOB_CLAIM_SECONDS
from gaitway.contracts.run import RunRecord, RunState, RunTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

T = TypeVar("T")

RUN = "run"
TOKENS = "tokens"
BY_STATE = "by_state"
"""Index: `state` (partition), `created_at` (sort); it holds what `IndexedRun` has, and nothing that changes often."""
BY_GROUP = "by_group"
"""Index: `group_id` (partition), `created_at` (sort); it holds what `IndexedRun` has."""
_JSON_FIELDS = frozenset({"progress", "machine", "ran_with", "cost", "spec", "failure", "warnings"})
_NUMBER_FIELDS = frozenset({"attempt", "attempts", "live_view_port", "schema_version"})

_ENDED: dict[str, AttributeValueTypeDef] = {":succeeded": {"S": RunState.SUCCEEDED}, ":failed": {"S": RunState.FAILED}}
_NOT_ENDED = "NOT #state IN (:succeeded, :failed)"
_CONFLICT_ATTEMPTS = 8


class NoIndexError(Exception):
    """The table does not have an index, or not yet."""


class IndexedRun(NamedTuple):
    """A run as an index shows it: slightly delayed, and without the fields that change often."""

    run_id: str
    state: RunState
    created_at: datetime
    execution_arn: str | None
    job_id: str | None


class RunTable:
    """Reads and writes run records.

    Args:
        dynamodb: A DynamoDB client.
        table_name: Name of the run table.
    """

    def __init__(self, dynamodb: DynamoDBClient, table_name: str) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name

    def accept(self, record: RunRecord, caller: str, *, instead_of: RunRecord | None) -> bool:
        """Write the record of a run that starts or restarts, together with its caller's token.

        Args:
            record: The record.
            caller: Task token of the caller.
            instead_of: The existing record, as it was read; None if there is none.

        Returns:
            Whether it was written: False if there is another record now.
        """
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table_name,
                "Item": _item(record),
                "ConditionExpression": "attribute_not_exists(run_id)",
            }
        }
        if instead_of is not None:
            put["Put"] |= {
                "ConditionExpression": "#state = :state AND execution_arn = :execution",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {
                    ":state": {"S": instead_of.state},
                    ":execution": {"S": instead_of.execution_arn or ""},
                },
            }
        tokens = self._tokens_update(record.run_id, {"external": caller, "inner": None})
        return self._transact([put, {"Update": tokens}])

    def give_token(self, run_id: str, execution_arn: str, kind: Literal["external", "inner"], token: str) -> bool:
        """Replace an older token, if the run is active and belongs to this execution.

        Returns:
            Whether it was kept: False if the run has ended, or belongs to another execution.
        """
        check: TransactWriteItemTypeDef = {
            "ConditionCheck": {
                "TableName": self._table_name,
                "Key": _key(run_id, RUN),
                "ConditionExpression": f"execution_arn = :execution AND {_NOT_ENDED}",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":execution": {"S": execution_arn}, **_ENDED},
            }
        }
        return self._transact([check, {"Update": self._tokens_update(run_id, {kind: token})}])

    def caller(self, run_id: str, execution_arn: str) -> str | None:
        """Read the token of the caller that waits for this execution of a run; None if there is none.

        For a run that has ended it is final: no other caller can join it, and a restart has another execution.
        """
        return self.tokens_of(run_id, execution_arn).external

    def get(self, run_id: str) -> RunRecord | None:
        """Read a run's record; None if it does not exist."""
        item = self._get(run_id, RUN)
        return _record(item) if item else None

    def list_in(self, *states: RunState, newest_first: bool = False) -> Iterator[IndexedRun]:
        """Find the runs in some states, within each state oldest or newest first.

        Its cost does not grow with the runs in other states. The result may be out of date: before acting on a run,
        read its record.
        """
        for state in states:
            yield from self._query(BY_STATE, "state", state, newest_first=newest_first)

    def list_group(self, group_id: str, *, newest_first: bool = False) -> Iterator[IndexedRun]:
        """Find the runs of a group, oldest or newest first. The result may be slightly out of date.

        Raises:
            NoIndexError: The table was deployed before there were groups, or DynamoDB still builds the index.
        """
        try:
            yield from self._query(BY_GROUP, "group_id", group_id, newest_first=newest_first)
        except ClientError as error:
            # As seen in github.com/awslabs/aws-sdk-ios-samples/issues/58: there is no code for it alone.
            if "specified index" not in error.response["Error"].get("Message", ""):
                raise
            raise NoIndexError(f"the run table {self._table_name} has no index of groups") from error

    def _query(self, index: str, key: str, value: str, *, newest_first: bool) -> Iterator[IndexedRun]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table_name,
            IndexName=index,
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": key},
            ExpressionAttributeValues={":value": {"S": value}},
            ScanIndexForward=not newest_first,
        )
        for page in pages:
            for item in page["Items"]:
                yield _indexed(item)

    def update(
        self,
        run_id: str,
        *,
        unless_ended: bool = True,
        of_execution: str | None = None,
        where: Mapping[str, object] | None = None,
        **fields: object,
    ) -> bool:
        """Change fields of a run's record.

        Args:
            run_id: The run.
            unless_ended: Do not change the record of a run that has ended, so that a late call changes no outcome.
            of_execution: Do not change the record of a run that belongs to another execution.
            where: Do not change a record if one of these fields has another value now.
            fields: Names and values of RunRecord's fields; None removes one.

        Returns:
            Whether the record was changed.
        """
        conditions = ["attribute_exists(run_id)"]
        values: dict[str, AttributeValueTypeDef] = {}
        if unless_ended:
            conditions.append(_NOT_ENDED)
            values |= _ENDED
        if of_execution is not None:
            conditions.append("execution_arn = :execution")
            values[":execution"] = {"S": of_execution}
        arguments = _changes({**fields, "updated_at": datetime.now(UTC)})
        for name, value in (where or {}).items():
            conditions.append(f"#{name} = :old_{name}")
            arguments["ExpressionAttributeNames"][f"#{name}"] = name
            values[f":old_{name}"] = _attribute(value)
        arguments["ExpressionAttributeValues"] |= values
        if unless_ended:
            arguments["ExpressionAttributeNames"]["#state"] = "state"
        try:
            _despite_conflicts(
                lambda: self._dynamodb.update_item(
                    TableName=self._table_name,
                    Key=_key(run_id, RUN),
                    ConditionExpression=" AND ".join(conditions),
                    **arguments,
                )
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def claim_job(self, run_id: str, execution_arn: str) -> datetime | None:
        """Claim the right to submit a run's job, which only one call has at a time.

        Returns:
            The claim, to be given back as `job_claimed_at`; None if another call has it, or if the run has a job,
            has ended, or belongs to another execution.
        """
        now = datetime.now(UTC)
        try:
            _despite_conflicts(
                lambda: self._dynamodb.update_item(
                    TableName=self._table_name,
                    Key=_key(run_id, RUN),
                    UpdateExpression="SET job_claimed_at = :now",
                    ConditionExpression=f"execution_arn = :execution AND {_NOT_ENDED} AND attribute_not_exists(job_id) "
                    "AND (attribute_not_exists(job_claimed_at) OR job_claimed_at < :over)",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={
                        ":execution": {"S": execution_arn},
                        ":now": _attribute(now),
                        ":over": _attribute(now - timedelta(seconds=JOB_CLAIM_SECONDS)),
                        **_ENDED,
                    },
                )
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        return now

    def begin_attempt(self, record: RunRecord, job_id: str, **fields: object) -> bool:
        """Claim a run for an attempt, numbered after the one before: from then on it is the run's only one.

        Args:
            record: The run's record, as it was read.
            job_id: The attempt's job. It becomes the run's if the run has none: that of a submission whose answer was
                lost, or has not arrived yet.
            fields: Names and values of other fields to write.

        Returns:
            Whether it was claimed: False if the run has ended, belongs to another execution, has another job, or was
            claimed by another attempt since the record was read.
        """
        before = record.attempts
        conditions = [
            "execution_arn = :execution" if record.execution_arn else "attribute_not_exists(execution_arn)",
            _NOT_ENDED,
            "(attribute_not_exists(job_id) OR job_id = :job)",
            "attribute_not_exists(attempts)" if before is None else "attempts = :before",
        ]
        changed = {**fields, "job_id": job_id, "job_claimed_at": None, "attempts": (before or 0) + 1}
        arguments = _changes({**changed, "state": RunState.RUNNING, "updated_at": datetime.now(UTC)})
        arguments["ExpressionAttributeValues"] |= {":job": {"S": job_id}, **_ENDED}
        if record.execution_arn:
            arguments["ExpressionAttributeValues"][":execution"] = {"S": record.execution_arn}
        if before is not None:
            arguments["ExpressionAttributeValues"][":before"] = _attribute(before)
        try:
            _despite_conflicts(
                lambda: self._dynamodb.update_item(
                    TableName=self._table_name,
                    Key=_key(record.run_id, RUN),
                    ConditionExpression=" AND ".join(["attribute_exists(run_id)", *conditions]),
                    **arguments,
                )
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def tokens(self, run_id: str) -> RunTokens:
        """Read a run's task tokens."""
        item = self._get(run_id, TOKENS) or {}
        return RunTokens(**{name: item[name]["S"] for name in RunTokens.model_fields if name in item})

    def tokens_of(self, run_id: str, execution_arn: str | None) -> RunTokens:
        """Read a run's task tokens; none if the run now belongs to another execution."""
        return self.owned(run_id, execution_arn)[1]

    def owned(self, run_id: str, execution_arn: str | None) -> tuple[RunRecord | None, RunTokens]:
        """Read a run's record with its task tokens; nothing if the run now belongs to another execution."""
        tokens = self.tokens(run_id)
        # Read after the tokens. If the record still names the execution, the tokens belong to it. If it names a job,
        # the inner token is the one that this job was given, and not a later job's.
        record = self.get(run_id)
        if record is None or record.execution_arn != execution_arn:
            return None, RunTokens()
        return record, tokens

    def _get(self, run_id: str, item: str) -> Mapping[str, AttributeValueTypeDef] | None:
        answer = self._dynamodb.get_item(TableName=self._table_name, Key=_key(run_id, item), ConsistentRead=True)
        return answer.get("Item")

    def _tokens_update(self, run_id: str, tokens: Mapping[str, str | None]) -> Any:  # noqa: ANN401 - two shapes of boto3
        return {"TableName": self._table_name, "Key": _key(run_id, TOKENS), **_changes(tokens)}

    def _transact(self, items: Sequence[TransactWriteItemTypeDef]) -> bool:
        """Write all or nothing; False if a condition does not hold."""
        try:
            _despite_conflicts(lambda: self._dynamodb.transact_write_items(TransactItems=items))
        except self._dynamodb.exceptions.TransactionCanceledException as error:
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in error.response["CancellationReasons"]):
                return False
            raise
        return True


def _key(run_id: str, item: str) -> dict[str, AttributeValueTypeDef]:
    return {"run_id": {"S": run_id}, "item": {"S": item}}


def _item(record: RunRecord) -> dict[str, AttributeValueTypeDef]:
    fields = {name: _attribute(value) for name, value in record if value is not None}
    return {**fields, "item": {"S": RUN}}


def _changes(fields: Mapping[str, object]) -> dict[str, Any]:
    """Return an update expression for changes of fields; None removes a field."""
    present = {name: value for name, value in fields.items() if value is not None}
    parts = []
    if present:
        parts.append("SET " + ", ".join(f"#{name} = :new_{name}" for name in present))
    if absent := fields.keys() - present.keys():
        parts.append("REMOVE " + ", ".join(f"#{name}" for name in sorted(absent)))
    changes: dict[str, Any] = {
        "UpdateExpression": " ".join(parts),
        "ExpressionAttributeNames": {f"#{name}": name for name in fields},
    }
    if present:
        changes["ExpressionAttributeValues"] = {f":new_{name}": _attribute(value) for name, value in present.items()}
    return changes


def _despite_conflicts(call: Callable[[], T]) -> T:
    """Call again if another writer changes the same item at the same moment, which boto3 does not retry.

    docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
    """
    for attempt in range(1, _CONFLICT_ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            if not _is_conflict(error):
                raise
            time.sleep(0.02 * 2**attempt)
    return call()


def _is_conflict(error: ClientError) -> bool:
    if error.response["Error"]["Code"] == "TransactionConflictException":
        return True
    codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", ())}
    return "TransactionConflict" in codes and "ConditionalCheckFailed" not in codes


def _attribute(value: object) -> AttributeValueTypeDef:
    if isinstance(value, BaseModel):
        return {"S": value.model_dump_json()}
    if isinstance(value, list):
        return {"S": json.dumps(value)}
    if isinstance(value, datetime):
        return {"S": value.isoformat()}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"S": str(value)}


def _indexed(item: Mapping[str, AttributeValueTypeDef]) -> IndexedRun:
    texts = {name: value.get("S") for name, value in item.items()}
    return IndexedRun(
        run_id=item["run_id"]["S"],
        state=RunState(item["state"]["S"]),
        created_at=datetime.fromisoformat(item["created_at"]["S"]),
        execution_arn=texts.get("execution_arn"),
        job_id=texts.get("job_id"),
    )


def _record(item: Mapping[str, AttributeValueTypeDef]) -> RunRecord:
    fields: dict[str, object] = {}
    for name in RunRecord.model_fields.keys() & item.keys():
        value = item[name]
        text = value["N"] if name in _NUMBER_FIELDS else value["S"]
        fields[name] = json.loads(text) if name in _JSON_FIELDS | _NUMBER_FIELDS else text
    return RunRecord.read(fields)
