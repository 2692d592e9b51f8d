"""An alarm reaches a subscriber of the topic of alarms."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.contracts.metrics import SILENT_SECONDS

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_SECONDS = 120.0
_SECONDS_EMBEDDED = 20.0
_REASON = "gaitway acceptance: a test, nothing is wrong"


def judge_alarm(messages: list[dict[str, Any]], alarm: str) -> str | None:
    """Return what is wrong with what a subscriber received; None if nothing is.

    Args:
        messages: Alarm messages: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
            Notify_Users_Alarm_Changes.html.
        alarm: Name of the alarm that was set.
    """
    of_it = [message for message in messages if message.get("AlarmName") == alarm]
    if not of_it:
        return (
            f"{alarm} was set to ALARM, and a queue that subscribes to its topic received nothing of it: look at the "
            "policies of the topic and of its key"
        )
    if not any(message.get("NewStateValue") == "ALARM" for message in of_it):
        return f"what arrived of {alarm} does not say ALARM: {of_it[0].get('NewStateValue')}"
    return None


def _run(site: Site, findings: Findings) -> None:
    cloudwatch = site.client("cloudwatch")
    alarm = _alarm(site)
    name = alarm["AlarmName"]
    topics = alarm.get("AlarmActions", [])
    findings.note("alarm", name)
    if not topics:
        raise CheckFailedError(f"{name} has no action, so that no subscriber receives it: run `{site.commands.deploy}`")
    findings.note("topic", topics[0])
    findings.note("subscribers of the deployment", _subscribers(site, topics[0]))
    with _queue(site, topics[0]) as url, site.progress.waiting(f"Setting {name}, and waiting for what it says"):
        # It is evaluated again within minutes, and is then what it was; without values it stays.
        # docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html

        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason=_REASON)
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=_REASON)
        try:
            messages = _received(site, url, name)
        finally:
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=alarm["StateValue"], StateReason=_REASON)
    for message in messages:
        findings.note("received", f"{message.get('AlarmName')}: {message.get('NewStateValue')}")
    if problem := judge_alarm(messages, name):
        raise CheckFailedError(problem)


def _alarm(site: Site) -> dict[str, Any]:
    names = site.resources("AWS::CloudWatch::Alarm")
    pages = site.client("cloudwatch").get_paginator("describe_alarms")
    # docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html: a hundred at a time.
    alarms = [
        alarm
        for start in range(0, len(names), 100)
        for page in pages.paginate(AlarmNames=names[start : start + 100])
        for alarm in page["MetricAlarms"]
    ]
    for alarm in alarms:
        if alarm.get("MetricName") == SILENT_SECONDS.name:
            found: dict[str, Any] = alarm
            return found
    raise CheckFailedError(f"none of the stacks' {len(names)} alarms is about {SILENT_SECONDS.name}")


def _subscribers(site: Site, topic: str) -> str:
    subscriptions = site.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    said = []
    for one in subscriptions:
        # docs.aws.amazon.com/sns/latest/api/API_Subscription.html: PendingConfirmation instead of the ARN.
        is_confirmed = one["SubscriptionArn"].startswith("arn:")
        said.append(f"{one['Protocol']} {one['Endpoint']}{'' if is_confirmed else ' (not confirmed)'}")
    return ", ".join(said) or "none: set alarmEmail"


@contextmanager
def _queue(site: Site, topic: str) -> Iterator[str]:
    """Make a queue that subscribes to a topic, and take both away again."""
    sqs, sns = site.client("sqs"), site.client("sns")
    url = sqs.create_queue(QueueName=f"gaitway-acceptance-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    subscription = None
    try:
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        # docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
        yield url
    finally:
        if subscription is not None:
            sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        sqs.delete_queue(QueueUrl=url)


def _received(site: Site, url: str, alarm: str) -> list[dict[str, Any]]:
    """Read what arrives, until it is what was set."""
    sqs = site.client("sqs")
    give_up_at = time.monotonic() + (_SECONDS_EMBEDDED if site.is_embedded else _SECONDS)
    found: list[dict[str, Any]] = []
    while judge_alarm(found, alarm) is not None and time.monotonic() < give_up_at:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages", []):
            found.append(json.loads(json.loads(message["Body"])["Message"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


CHECK = Check(
    name="alarm",
    title="An alarm reaches its subscribers",
    effort=Effort(minutes=2),
    leaves="nothing; subscribers receive a test message",
    run=_run,
)
