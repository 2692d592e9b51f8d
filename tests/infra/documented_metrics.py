"""Metrics that AWS publishes, as far as dashboard and alarms name them: from AWS's documentation, entered by hand."""

from __future__ import annotations

from typing import NamedTuple


class Documented(NamedTuple):
    """Metrics with the same dimensions."""

    namespace: str
    dimensions: frozenset[str]
    names: frozenset[str]
    source: str


def _documented(namespace: str, dimensions: str, names: str, source: str) -> Documented:
    return Documented(namespace, frozenset(dimensions.split()), frozenset(names.split()), source)


_EFS = "docs.aws.amazon.com/efs/latest/ug/efs-metrics.html"

DOCUMENTED = (
    _documented(
        "AWS/States",
        "StateMachineArn",
        "ExecutionThrottled ExecutionsAborted ExecutionsFailed ExecutionsStarted ExecutionsSucceeded "
        "ExecutionsTimedOut",
        "docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html",
    ),
    _documented(
        "AWS/Lambda",
        "FunctionName",
        "Duration Errors Invocations Throttles",
        "docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html",
    ),
    _documented(
        "AWS/Events",
        # Alone it stands for the default bus.
        "RuleName",
        "FailedInvocations Invocations",
        "docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html",
    ),
    _documented(
        "AWS/SQS",
        "QueueName",
        "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesVisible",
        "docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html",
    ),
    _documented(
        "AWS/EFS",
        "FileSystemId",
        # Not BurstCreditBalance, which has a meaning in bursting mode only.
        "ClientConnections DataReadIOBytes DataWriteIOBytes MeteredIOBytes PercentIOLimit PermittedThroughput",
        _EFS,
    ),
    _documented("AWS/EFS", "FileSystemId StorageClass", "StorageBytes", _EFS),
    _documented(
        "ECS/ContainerInsights",
        "ClusterName",
        "ContainerInstanceCount",
        "docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html",
    ),
)
