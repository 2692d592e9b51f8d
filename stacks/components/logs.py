"""Log groups: all of them expire, and all but one go with their stack."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct


def log_group(scope: Construct, construct_id: str, name: str) -> logs.LogGroup:
    """Make a log group that keeps its lines for three months."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention=logs.RetentionDays.THREE_MONTHS,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


def lasting_log_group(scope: Construct, construct_id: str) -> logs.LogGroup:
    """Create a log group that stays when its stack is rolled back: if a first deployment fails, it has the reason.

    It has a generated name, because the next deployment could not use the same name again.
    docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
    """
    return logs.LogGroup(
        scope, construct_id, retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.RETAIN
    )
