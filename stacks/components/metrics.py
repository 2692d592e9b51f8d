"""Metrics of ours: who may publish them, and how widgets and alarms name them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam

from gaitway.contracts.metrics import NAMESPACE, Metric
from stacks.components.findings import acknowledge


def grant_metrics(role: iam.Role) -> None:
    """Let a role publish metrics in our namespace, and in no other."""
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        )
    )
    acknowledge(role, "IAM5[Resource::*]", "CloudWatch's PutMetricData takes no resource; a condition limits it.")


def own_metric(
    metric: Metric, statistic: str, period: cdk.Duration, *, dimension: str | None = None, label: str | None = None
) -> cloudwatch.Metric:
    """Name one of our metrics.

    Args:
        metric: The metric.
        statistic: How the values of a period become one: `Sum`, `Maximum`.
        period: That period.
        dimension: Value of the metric's dimension, where it has one.
        label: What a graph calls it.
    """
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric.name,
        statistic=statistic,
        period=period,
        dimensions_map={metric.dimension: dimension} if metric.dimension and dimension else None,
        label=label,
    )


def each(metric: Metric, statistic: str, period: cdk.Duration) -> cloudwatch.MathExpression:
    """Name one of our metrics for every value that its dimension has had lately: a line for each."""
    return search(NAMESPACE, metric.name, metric.dimension or "", statistic, period)


def search(
    namespace: str, name: str, dimension: str, statistic: str, period: cdk.Duration, *, value: str | None = None
) -> cloudwatch.MathExpression:
    """Name a metric for every value of a dimension, of which a graph then shows the hundred that were found first.

    docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html

    Args:
        namespace: Its namespace.
        name: Its name.
        dimension: Its one dimension.
        statistic: How the values of a period become one.
        period: That period.
        value: A word that the dimension's value has to hold.
    """
    schema = ",".join(f'"{part}"' if "/" in part else part for part in (namespace, dimension))
    terms = [f'MetricName="{name}"', *([f"{dimension}={value}"] if value else [])]
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{{{schema}}} {' AND '.join(terms)}', '{statistic}')",
        using_metrics={},
        period=period,
        label="${PROP('Dim." + dimension + "')}",
    )
