"""Count how runs end, for the dashboard; counting never delays a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gaitway.aws.errors import AWS_ERRORS
from gaitway.aws.metrics import Metrics, datum
from gaitway.contracts.metrics import FAILED_RUNS, FAILURES, SUCCEEDED_RUNS
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

    from gaitway.contracts.errors import Failure


def count_success(metrics: Metrics) -> None:
    """Count a run that succeeded."""
    _publish(metrics, [datum(SUCCEEDED_RUNS, 1, datetime.now(UTC))])


def count_failure(metrics: Metrics, failure: Failure) -> None:
    """Count a run that failed, and its error."""
    now = datetime.now(UTC)
    _publish(metrics, [datum(FAILED_RUNS, 1, now), datum(FAILURES, 1, now, failure.error)])


def _publish(metrics: Metrics, data: list[MetricDatumTypeDef]) -> None:
    try:
        metrics.publish(data)
    except AWS_ERRORS:
        logger.exception("a run's end was not counted")
