"""Publish the metrics of `gaitway.contracts.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gaitway.contracts.metrics import NAMESPACE, Metric

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef


def datum(metric: Metric, value: float, at: datetime, dimension: str | None = None) -> MetricDatumTypeDef:
    """Describe one value.

    Args:
        metric: What was measured.
        value: In the metric's unit.
        at: When.
        dimension: Value of the metric's dimension, where it has one.

    Raises:
        ValueError: The metric has a dimension and none was given, or the other way round.
    """
    if (metric.dimension is None) != (dimension is None):
        raise ValueError(f"{metric.name} has the dimension {metric.dimension}, and was given {dimension!r}")
    described: MetricDatumTypeDef = {
        "MetricName": metric.name,
        "Value": value,
        "Unit": metric.unit,
        "Timestamp": at,
    }
    if metric.dimension is not None and dimension is not None:
        described["Dimensions"] = [{"Name": metric.dimension, "Value": dimension}]
    return described


def publish(cloudwatch: CloudWatchClient, data: Sequence[MetricDatumTypeDef]) -> None:
    """Publish values, a thousand at most.

    docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html

    Raises:
        ClientError: CloudWatch refuses them.
    """
    if data:
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)
