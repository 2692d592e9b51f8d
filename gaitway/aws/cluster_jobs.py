"""Jobs on clusters, as the run table keeps them: nothing can ask a scheduler that accepts no connection from outside.

An item beside its run's record, with the job's id as sort key. The control plane writes it before the job exists; from
then on only the cluster's agent reports. Until a job has ended, it is in the index of states under `LIVING`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gaitway.aws.run_table import BY_STATE
from gaitway.contracts.cluster import run_id_of_job_id

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

LIVING = "living-job"
"""In place of a run's state."""
_IS_LIVING = "#state = :living"


class JobItem(NamedTuple):
    """A job, as the table keeps it."""

    job_id: str
    created_at: datetime
    report: str | None
    """The agent's newest report, as JSON; None until there is one."""
    is_accepted: bool
    """Whether the scheduler has it."""
    has_ended: bool
    stop_reason: str | None
    """Why it was to be ended, if somebody asked for it."""


class ClusterJobTable:
    """Reads and writes jobs.

    Args:
        dynamodb: A DynamoDB client.
        table_name: Name of the run table.
    """

    def __init__(self, dynamodb: DynamoDBClient, table_name: str) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name

    def create(self, job_id: str) -> bool:
        """Write a job that is about to be ordered; False if there is one with this id."""
        return self._write(
            job_id,
            UpdateExpression="SET #state = :living, created_at = :now, job_id = :id",
            ConditionExpression="attribute_not_exists(run_id)",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":living": {"S": LIVING},
                ":now": {"S": datetime.now(UTC).isoformat()},
                ":id": {"S": job_id},
            },
        )

    def get(self, job_id: str) -> JobItem | None:
        """Read a job; None if there is none with this id."""
        answer = self._dynamodb.get_item(TableName=self._table_name, Key=_key(job_id), ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            return None
        texts = {name: value.get("S") for name, value in item.items()}
        return JobItem(
            job_id=job_id,
            created_at=datetime.fromisoformat(item["created_at"]["S"]),
            report=texts.get("report"),
            is_accepted="accepted_at" in item,
            has_ended="state" not in item,
            stop_reason=texts.get("stop_reason"),
        )

    def living(self) -> Iterator[str]:
        """List the ids of jobs that have not ended. The result may be slightly out of date."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table_name,
            IndexName=BY_STATE,
            KeyConditionExpression=_IS_LIVING,
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":living": {"S": LIVING}},
        )
        for page in pages:
            for item in page["Items"]:
                yield item["job_id"]["S"]

    def accept(self, job_id: str) -> bool:
        """Record that the scheduler has a job; False if it has ended."""
        return self._write(
            job_id,
            UpdateExpression="SET accepted_at = if_not_exists(accepted_at, :now)",
            ConditionExpression=_IS_LIVING,
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":living": {"S": LIVING}, ":now": {"S": datetime.now(UTC).isoformat()}},
        )

    def ask_to_stop(self, job_id: str, reason: str) -> bool:
        """Record that a job is to be ended; the first reason stays. False if it has ended."""
        return self._write(
            job_id,
            UpdateExpression="SET stop_reason = if_not_exists(stop_reason, :reason)",
            ConditionExpression=_IS_LIVING,
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":living": {"S": LIVING}, ":reason": {"S": reason}},
        )

    def report(self, job_id: str, report: str, *, is_end: bool) -> bool:
        """Write the agent's report.

        Args:
            job_id: The job.
            report: As JSON.
            is_end: Whether the job has ended: no report after this one changes anything.

        Returns:
            Whether it was written: False if the job has ended before, or was never ordered.
        """
        return self._write(
            job_id,
            UpdateExpression="SET report = :report" + (" REMOVE #state" if is_end else ""),
            ConditionExpression=_IS_LIVING,
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":living": {"S": LIVING}, ":report": {"S": report}},
        )

    def _write(self, job_id: str, **update: Any) -> bool:  # noqa: ANN401 - parts of an update, as boto3 types them
        try:
            self._dynamodb.update_item(TableName=self._table_name, Key=_key(job_id), **update)
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _key(job_id: str) -> dict[str, AttributeValueTypeDef]:
    return {"run_id": {"S": run_id_of_job_id(job_id)}, "item": {"S": job_id}}
