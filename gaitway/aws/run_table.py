"""The run table: one record per run, and its task tokens in an item of their own.

Key: `run_id` (partition), `item` (sort: `run` or `tokens`). Nested models are kept as JSON text. The index `by_state`
finds the runs that go on without reading those that have ended; tokens have no state, and so are not in it.

A run that is tried again goes to a new inner execution, and the record says to which one it belongs. Who acts for an
execution makes its writes conditional on that, so that nothing late of an older one changes the newer one's outcome.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel

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
_JSON_FIELDS = frozenset({"progress", "machine", "cost", "spec", "failure"})
_NUMBER_FIELDS = frozenset({"attempt", "attempts"})

CLAIM_SECONDS = 10.0
"""After this time a call that claimed a run's job counts as cut off: it takes a fraction of a second."""

_ENDED: dict[str, AttributeValueTypeDef] = {":succeeded": {"S": RunState.SUCCEEDED}, ":failed": {"S": RunState.FAILED}}
_NOT_ENDED = "NOT #state IN (:succeeded, :failed)"
_CONFLICT_ATTEMPTS = 8


class IndexedRun(NamedTuple):
    """A run as the index shows it: a moment late, and without what changes all the time."""

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

    def create(self, record: RunRecord) -> bool:
        """Write a record unless the run has one already.

        Returns:
            Whether it was written.
        """
        try:
            self._dynamodb.put_item(
                TableName=self._table_name, Item=_item(record), ConditionExpression="attribute_not_exists(run_id)"
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def accept(self, record: RunRecord, caller: str, *, instead_of: RunRecord | None) -> bool:
        """Write the record of a run that begins, or begins anew, together with its caller's token.

        Args:
            record: The record.
            caller: Task token of who waits for the run.
            instead_of: The record that stands there, as it was read; None where there is none.

        Returns:
            Whether it was written: False where another record stands there by now.
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
        """Keep a token in the place of an older one, if the run goes on and belongs to this execution.

        Returns:
            Whether it was kept: False where the run has ended, or belongs to another execution.
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
        """Read the token of who waits for this execution of a run; None where nobody does.

        Of a run that has ended it is final: nobody joins it any more, and whoever begins it anew has another execution.
        """
        return self.tokens_of(run_id, execution_arn).external

    def get(self, run_id: str) -> RunRecord | None:
        """Read a run's record; None where there is no such run."""
        item = self._get(run_id, RUN)
        return _record(item) if item else None

    def list_records(self) -> Iterator[RunRecord]:
        """Read every record, in no order."""
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table_name,
            FilterExpression="#item = :run",
            ExpressionAttributeNames={"#item": "item"},
            ExpressionAttributeValues={":run": {"S": RUN}},
        )
        for page in pages:
            for item in page["Items"]:
                yield _record(item)

    def list_in(self, *states: RunState, newest_first: bool = False) -> Iterator[IndexedRun]:
        """Find the runs in some states, within each state the oldest first, or the newest.

        What it reads does not grow with the runs in other states. It may be a moment late: who acts on a run reads its
        record first.
        """
        query = self._dynamodb.get_paginator("query")
        for state in states:
            pages = query.paginate(
                TableName=self._table_name,
                IndexName=BY_STATE,
                KeyConditionExpression="#state = :state",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":state": {"S": state}},
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
            unless_ended: Leave a record alone whose run has ended, so that a late word changes no outcome.
            of_execution: Leave a record alone whose run belongs to another execution.
            where: Leave a record alone in which one of these fields has another value by now.
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
        """Take the right to submit a run's job, which one call has at a time.

        Returns:
            The claim, to be given back as `job_claimed_at`; None where another call has it, or where the run has a job,
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
                        ":over": _attribute(now - timedelta(seconds=CLAIM_SECONDS)),
                        **_ENDED,
                    },
                )
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        return now

    def tokens(self, run_id: str) -> RunTokens:
        """Read a run's task tokens."""
        item = self._get(run_id, TOKENS) or {}
        return RunTokens(**{name: item[name]["S"] for name in RunTokens.model_fields if name in item})

    def tokens_of(self, run_id: str, execution_arn: str | None) -> RunTokens:
        """Read a run's task tokens; none where the run belongs to another execution by now."""
        return self.owned(run_id, execution_arn)[1]

    def owned(self, run_id: str, execution_arn: str | None) -> tuple[RunRecord | None, RunTokens]:
        """Read a run's record with its task tokens; nothing where the run belongs to another execution by now."""
        tokens = self.tokens(run_id)
        # Read after the tokens: if this still names the execution, so did they; and if it names a job, the inner token
        # is one that this job, and not one after it, was given.
        record = self.get(run_id)
        if record is None or record.execution_arn != execution_arn:
            return None, RunTokens()
        return record, tokens

    def set_tokens(self, run_id: str, **tokens: str) -> None:
        """Keep `external` or `inner`, in the place of an older one."""
        update = self._tokens_update(run_id, tokens)
        _despite_conflicts(lambda: self._dynamodb.update_item(**update))

    def _get(self, run_id: str, item: str) -> Mapping[str, AttributeValueTypeDef] | None:
        answer = self._dynamodb.get_item(TableName=self._table_name, Key=_key(run_id, item), ConsistentRead=True)
        return answer.get("Item")

    def _tokens_update(self, run_id: str, tokens: Mapping[str, str | None]) -> Any:  # noqa: ANN401 - two shapes of boto3
        return {"TableName": self._table_name, "Key": _key(run_id, TOKENS), **_changes(tokens)}

    def _transact(self, items: Sequence[TransactWriteItemTypeDef]) -> bool:
        """Write all or nothing; False where a condition does not hold."""
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
    """Express changes of fields; None removes one."""
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
    """Call again where another writer is at the same item at the same moment, which boto3 does not retry.

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
    return RunRecord.model_validate(fields, strict=False)
