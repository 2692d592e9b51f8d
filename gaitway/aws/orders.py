"""The queue of orders from the control plane to a cluster's agent.

It is first in, first out for each job, so that an order to stop never overtakes the submission:
docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagegroupid-property.html. An order that is
sent twice within five minutes is one message (using-messagededuplicationid-property.html); later, the agent recognises
it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

from gaitway.contracts.cluster import StopOrder, SubmitOrder, key_of

_AT_ONCE = 10
"""docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""


class Message(NamedTuple):
    """An order, as it was received."""

    text: str
    receipt: str


class Orders:
    """Sends and receives orders.

    Args:
        sqs: An SQS client.
        queue: Name of the queue.
    """

    def __init__(self, sqs: Any, queue: str) -> None:  # noqa: ANN401 - its stubs are no dependency
        self._sqs = sqs
        self._queue = queue

    @cached_property
    def _queue_url(self) -> str:
        url: str = self._sqs.get_queue_url(QueueName=self._queue)["QueueUrl"]
        return url

    def send(self, order: SubmitOrder | StopOrder) -> None:
        """Give an order."""
        key = key_of(order.job_id)
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=order.model_dump_json(by_alias=True),
            MessageGroupId=key,
            MessageDeduplicationId=f"{order.order}-{key}",
        )

    def receive(self, wait_seconds: int) -> list[Message]:
        """Wait for orders. One that is not done with stays in the queue, and is received again after a while."""
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=wait_seconds
        )
        return [Message(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", [])]

    def done(self, message: Message) -> None:
        """Remove an order from the queue."""
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message.receipt)
