"""Count how runs end, for the dashboard: a run is never held up by its being counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gaitway.aws.errors import AWS_ERRORS
from gaitway.aws.metrics import datum, publish
from gaitway.contracts.metrics import FAILED_RUNS, FAILURES, SUCCEEDED_RUNS
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

    from gaitway.contracts.errors import Failure


def count_success(cloudwatch: CloudWatchClient) -> None:
    """Count a run that succeeded."""
    _publish(cloudwatch, [datum(SUCCEEDED_RUNS, 1, datetime.now(UTC))])


def count_failure(cloudwatch: CloudWatchClient, failure: Failure) -> None:
    """Count a run that failed, and by which error."""
    now = datetime.now(UTC)
    _publish(cloudwatch, [datum(FAILED_RUNS, 1, now), datum(FAILURES, 1, now, failure.error)])


def _publish(cloudwatch: CloudWatchClient, data: list[MetricDatumTypeDef]) -> None:
    try:
        publish(cloudwatch, data)
    except AWS_ERRORS:
        logger.exception("a run's end was not counted")
