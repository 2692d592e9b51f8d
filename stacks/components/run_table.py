"""The run table: one record per run, and its task tokens."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from constructs import Construct

_BY_STATE = "by_state"
_BY_GROUP = "by_group"


class RunTable(Construct):
    """The table that `gaitway.aws.run_table` reads and writes.

    Attributes:
        table: The table.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.table = dynamodb.Table(
            self,
            "Runs",
            partition_key=dynamodb.Attribute(name="run_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="item", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            # It holds task tokens: reading it at rest leaves a trace in KMS.
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        self.table.add_global_secondary_index(
            index_name=_BY_STATE,
            partition_key=dynamodb.Attribute(name="state", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="created_at", type=dynamodb.AttributeType.STRING),
            # Neither progress nor updated_at: a running job writes them every second, and each write of an attribute in
            # an index is billed twice.
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["execution_arn", "job_id"],
        )
        # An update of a deployed table can create or delete only one index:
        # docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
        self.table.add_global_secondary_index(
            index_name=_BY_GROUP,
            partition_key=dynamodb.Attribute(name="group_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="created_at", type=dynamodb.AttributeType.STRING),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["state", "execution_arn", "job_id"],
        )

    def grant_list(self, role: iam.IRole) -> None:
        """Let a role find runs by their state."""
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=["dynamodb:Query"], resources=[f"{self.table.table_arn}/index/{_BY_STATE}"])
        )

    def grant(self, role: iam.IRole, *actions: str) -> None:
        """Allow a role some actions on the table: `GetItem`, `PutItem`, `UpdateItem`."""
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=[f"dynamodb:{action}" for action in actions], resources=[self.table.table_arn])
        )
