"""Log groups: all of them expire, and go with their stack."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct

JOB_LOGS = "/gaitway/job"
"""Log group of the jobs."""


def log_group(scope: Construct, construct_id: str, name: str) -> logs.LogGroup:
    """Make a log group that keeps its lines for three months."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention=logs.RetentionDays.THREE_MONTHS,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
