"""Publish the metrics of `gaitway.contracts.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gaitway.contracts.metrics import Metric

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef


def datum(metric: Metric, value: float, at: datetime, dimension: str | None = None) -> MetricDatumTypeDef:
    """Describe one value.

    Args:
        metric: The metric.
        value: The value in the metric's unit.
        at: The time of the value.
        dimension: Value of the metric's dimension, if it has one.

    Raises:
        ValueError: The metric has a dimension and none was given, or vice versa.
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


@dataclass(frozen=True)
class Metrics:
    """The metrics of a deployment in CloudWatch."""

    cloudwatch: CloudWatchClient
    namespace: str
    """Namespace of the metrics; each deployment has its own."""

    def publish(self, data: Sequence[MetricDatumTypeDef]) -> None:
        """Publish values, at most a thousand.

        docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html

        Raises:
            ClientError: CloudWatch refuses them.
        """
        if data:
            self.cloudwatch.put_metric_data(Namespace=self.namespace, MetricData=data)
