"""The topic that alarms notify."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from gaitway.settings import Settings


class AlarmTopic(Construct):
    """An encrypted topic to which only the alarms of this deployment may publish.

    Attributes:
        topic: The topic.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        """Make the topic.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment, with the address that receives alarms once it is confirmed; without
                one, the topic has no subscription at first.
        """
        super().__init__(scope, construct_id)
        cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        alarms = cdk.Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=settings.names.alarm("*"),
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        ours = {"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}, "ArnLike": {"aws:SourceArn": alarms}}
        # Alarms may not use AWS's own key for SNS: repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
        key = kms.Key(
            self,
            "Key",
            description="Gaitway: encrypts what alarms say",
            enable_key_rotation=True,
            # Nothing is kept under it: a message is gone when it is delivered.
            removal_policy=cdk.RemovalPolicy.DESTROY,
            pending_window=cdk.Duration.days(7),
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloudwatch],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                # In a key's policy this is the key.
                resources=["*"],
                conditions=ours,
            )
        )
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=settings.names.alarm_topic,
            display_name="Gaitway",
            master_key=key,
            enforce_ssl=True,
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloudwatch], actions=["sns:Publish"], resources=[self.topic.topic_arn], conditions=ours
            )
        )
        if settings.alarm_email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
