"""What `gaitway doctor` says of clusters: whether their agents take the orders of a deployment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gaitway.cli.findings import Finding
from gaitway.contracts.backends import CLUSTERS
from gaitway.contracts.cluster import AgentConfig

if TYPE_CHECKING:
    import boto3

    from gaitway.names import Names

_SUBJECT = "cluster"


def look_at_orders(session: boto3.Session, names: Names) -> Iterator[Finding]:
    """Look at the orders of each cluster that a deployment has.

    An order is taken within seconds by an agent that runs. What it could not do several times is in the dead-letter
    queue.

    Args:
        session: Session in the account.
        names: The deployment's names.
    """
    untyped: Any = session  # its stubs for SQS are not installed
    ssm, sqs = untyped.client("ssm"), untyped.client("sqs")
    for cluster in CLUSTERS:
        try:
            told = ssm.get_parameter(Name=names.agent_parameter(cluster))["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            continue
        config = AgentConfig.read(told)
        attributes = _attributes(sqs, config.queue, "ApproximateNumberOfMessages", "RedrivePolicy")
        waiting = int(attributes["ApproximateNumberOfMessages"])
        dead = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
        lost = int(_attributes(sqs, dead, "ApproximateNumberOfMessages")["ApproximateNumberOfMessages"])
        yield _finding(cluster, waiting, lost, dead)


def _finding(cluster: str, waiting: int, lost: int, dead: str) -> Finding:
    if lost:
        return Finding(
            subject=_SUBJECT,
            state="problem",
            detail=f"{lost} {_orders(lost)} of {cluster} could not be done by its agent, or waited too long for it: "
            f"see the queue {dead}, and the agent's log, which says why; start the runs again, and delete them there",
        )
    if waiting:
        return Finding(
            subject=_SUBJECT,
            state="note",
            detail=f"{waiting} {_orders(waiting)} of {cluster} not taken by its agent: if this does not change within "
            "a minute, start `gaitway agent` on the cluster, or look at its log",
        )
    return Finding(subject=_SUBJECT, state="ok", detail=f"{cluster}: no order waits for its agent")


def _orders(count: int) -> str:
    return "order" if count == 1 else "orders"


def _attributes(sqs: Any, name: str, *attributes: str) -> dict[str, str]:  # noqa: ANN401 - see above
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[*attributes])["Attributes"]
    return found
