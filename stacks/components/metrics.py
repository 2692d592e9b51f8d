"""Our own metrics: permissions to publish them, and their names in widgets and alarms."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam

from gaitway.contracts.metrics import Metric
from gaitway.names import Names
from stacks.components.findings import acknowledge


def grant_metrics(role: iam.Role, names: Names) -> None:
    """Let a role publish metrics in the deployment's namespace, and in no other."""
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringEquals": {"cloudwatch:namespace": names.metrics_namespace}},
        )
    )
    acknowledge(role, "IAM5[Resource::*]", "CloudWatch's PutMetricData takes no resource; a condition limits it.")


class OwnMetrics:
    """Names the metrics of a deployment.

    Args:
        names: Names of the deployment.
    """

    def __init__(self, names: Names) -> None:
        self._namespace = names.metrics_namespace

    def one(
        self,
        metric: Metric,
        statistic: str,
        period: cdk.Duration,
        *,
        dimension: str | None = None,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Name a metric.

        Args:
            metric: The metric.
            statistic: How the values of a period are combined: `Sum`, `Maximum`.
            period: That period.
            dimension: Value of the metric's dimension, if it has one.
            label: Its name in a graph.
        """
        return cloudwatch.Metric(
            namespace=self._namespace,
            metric_name=metric.name,
            statistic=statistic,
            period=period,
            dimensions_map={metric.dimension: dimension} if metric.dimension and dimension else None,
            label=label,
        )

    def each(self, metric: Metric, statistic: str, period: cdk.Duration) -> cloudwatch.MathExpression:
        """Name a metric for every value that its dimension has had lately: a line for each."""
        return search(self._namespace, metric.name, metric.dimension or "", statistic, period)


def search(
    namespace: str, name: str, dimension: str, statistic: str, period: cdk.Duration, *, value: str | None = None
) -> cloudwatch.MathExpression:
    """Name a metric for every value of a dimension; a graph shows the first hundred that are found.

    docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html

    Args:
        namespace: Its namespace.
        name: Its name.
        dimension: Its one dimension.
        statistic: How the values of a period are combined.
        period: That period.
        value: A word that the dimension's value must contain.
    """
    schema = ",".join(f'"{part}"' if "/" in part else part for part in (namespace, dimension))
    terms = [f'MetricName="{name}"', *([f"{dimension}={value}"] if value else [])]
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{{{schema}}} {' AND '.join(terms)}', '{statistic}')",
        using_metrics={},
        period=period,
        label="${PROP('Dim." + dimension + "')}",
    )
