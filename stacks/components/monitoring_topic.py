"""The topic that alarms notify."""

from __future__ import annotations

from typing import Any, Literal

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from gaitway.settings import Settings


class AlarmTopic(Construct):
    """An encrypted topic to which only the alarms of this deployment may publish, and Prometheus if it has one.

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
        senders = {"cloudwatch": self._from("cloudwatch", "alarm", settings.names.alarm("*"), separator=":")}
        if settings.prometheus:
            # docs.aws.amazon.com/prometheus/latest/userguide/AMP-alertmanager-receiver-AMPpermission.html. The
            # workspace, whose id is generated, is in a stack that knows this one by names only.
            senders["aps"] = self._from("aps", "workspace", "*", separator="/")
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
        for service, conditions in senders.items():
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    # In a key's policy this is the key.
                    resources=["*"],
                    conditions=conditions,
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
        # Prometheus looks at the topic before it publishes.
        actions = {"cloudwatch": ["sns:Publish"], "aps": ["sns:GetTopicAttributes", "sns:Publish"]}
        for service, conditions in senders.items():
            self.topic.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=actions[service],
                    resources=[self.topic.topic_arn],
                    conditions=conditions,
                )
            )
        if settings.alarm_email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))

    def _from(self, service: str, resource: str, name: str, *, separator: Literal[":", "/"]) -> dict[str, Any]:
        """Return the conditions by which a service is known to act for resources of this account."""
        arn = cdk.Stack.of(self).format_arn(
            service=service,
            resource=resource,
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME if separator == ":" else cdk.ArnFormat.SLASH_RESOURCE_NAME,
        )
        return {"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}, "ArnLike": {"aws:SourceArn": arn}}
