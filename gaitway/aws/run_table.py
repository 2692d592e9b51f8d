"""The run table: one record per run, and its task tokens in an item of their own.

Key: `run_id` (partition), `item` (sort: `run` or `tokens`). Nested models are kept as JSON text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from gaitway.contracts.run import RunRecord, RunState, RunTokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

RUN = "run"
TOKENS = "tokens"
_JSON_FIELDS = frozenset({"progress", "spec", "failure"})
_NUMBER_FIELDS = frozenset({"attempt"})


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
                TableName=self._table_name,
                Item={"item": {"S": RUN}} | {name: _attribute(value) for name, value in record if value is not None},
                ConditionExpression="attribute_not_exists(run_id)",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

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

    def update(self, run_id: str, *, unless_ended: bool = True, **fields: object) -> bool:
        """Change fields of a run's record.

        Args:
            run_id: The run.
            unless_ended: Leave a record alone whose run has ended, so that a late word changes no outcome.
            fields: Names and values of RunRecord's fields; None removes one.

        Returns:
            Whether the record was changed: False where there is none, or the run has ended.
        """
        conditions = ["attribute_exists(run_id)"]
        values: dict[str, AttributeValueTypeDef] = {}
        if unless_ended:
            conditions.append("NOT #state IN (:succeeded, :failed)")
            values |= {":succeeded": {"S": RunState.SUCCEEDED}, ":failed": {"S": RunState.FAILED}}
        return self._update(run_id, RUN, {**fields, "updated_at": datetime.now(UTC)}, conditions, values)

    def tokens(self, run_id: str) -> RunTokens:
        """Read a run's task tokens."""
        item = self._get(run_id, TOKENS) or {}
        return RunTokens(**{name: item[name]["S"] for name in RunTokens.model_fields if name in item})

    def set_tokens(self, run_id: str, **tokens: str) -> None:
        """Keep `external` or `inner`, in the place of an older one."""
        self._update(run_id, TOKENS, tokens, [], {})

    def _get(self, run_id: str, item: str) -> Mapping[str, AttributeValueTypeDef] | None:
        answer = self._dynamodb.get_item(
            TableName=self._table_name, Key={"run_id": {"S": run_id}, "item": {"S": item}}, ConsistentRead=True
        )
        return answer.get("Item")

    def _update(
        self,
        run_id: str,
        item: str,
        fields: Mapping[str, object],
        conditions: list[str],
        values: dict[str, AttributeValueTypeDef],
    ) -> bool:
        present = {name: value for name, value in fields.items() if value is not None}
        absent = [name for name, value in fields.items() if value is None]
        expression = "SET " + ", ".join(f"#{name} = :new_{name}" for name in present) if present else ""
        if absent:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in absent)
        names = {f"#{name}": name for name in fields} | ({"#state": "state"} if values else {})
        arguments: dict[str, Any] = {"ConditionExpression": " AND ".join(conditions)} if conditions else {}
        try:
            self._dynamodb.update_item(
                TableName=self._table_name,
                Key={"run_id": {"S": run_id}, "item": {"S": item}},
                UpdateExpression=expression.strip(),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values
                | {f":new_{name}": _attribute(value) for name, value in present.items()},
                **arguments,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _attribute(value: object) -> AttributeValueTypeDef:
    if isinstance(value, BaseModel):
        return {"S": value.model_dump_json()}
    if isinstance(value, datetime):
        return {"S": value.isoformat()}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"S": str(value)}


def _record(item: Mapping[str, AttributeValueTypeDef]) -> RunRecord:
    fields: dict[str, object] = {}
    for name in RunRecord.model_fields.keys() & item.keys():
        value = item[name]
        text = value["N"] if name in _NUMBER_FIELDS else value["S"]
        fields[name] = json.loads(text) if name in _JSON_FIELDS | _NUMBER_FIELDS else text
    return RunRecord.model_validate(fields, strict=False)
