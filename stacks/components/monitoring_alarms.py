"""The alarms: each description says what happened and what to do."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from gaitway.contracts.limits import (
    HEARTBEAT_CALL_SECONDS,
    JOB_HEARTBEAT_TIMEOUT_SECONDS,
    ORDER_ALARM_SECONDS,
    QUEUED_ALARM_SECONDS,
    SILENT_ALARM_SECONDS,
)
from gaitway.contracts.metrics import FAILED_RUNS, FAILURES, OLDEST_QUEUED_SECONDS, SILENT_SECONDS
from stacks.components.metrics import OwnMetrics
from stacks.components.monitored import Monitored, WatchedFunction, WatchedMachine
from stacks.components.watchers import FAILED_TRAININGS

PERIOD = cdk.Duration.seconds(HEARTBEAT_CALL_SECONDS)
"""As often as the heartbeat function looks."""
IO_LIMIT_PERCENT = 90
_FAILED_RUNS = 3
"""In an hour: one run usually fails for its own reason, several for a common one."""
_USERS_ERRORS = {"construct_run": 5}
"""How many errors in five minutes are too many, for a function that also fails because of wrong requests."""

_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_SILENCE_IS_GOOD = cloudwatch.TreatMissingData.NOT_BREACHING
"""Of metrics that are published only when something happens."""
_SILENCE_IS_BAD = cloudwatch.TreatMissingData.BREACHING
_SILENCE_SAYS_NOTHING = cloudwatch.TreatMissingData.IGNORE
"""Alarms on the heartbeat function's metrics: if it does not run, another alarm reports that."""


class Alarms(Construct):
    """The alarms, all of which notify one topic.

    Attributes:
        alarms: All alarms, most urgent first.
    """

    def __init__(self, scope: Construct, construct_id: str, monitored: Monitored, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._names = monitored.names
        self._own = OwnMetrics(self._names)
        self._action = actions.SnsAction(topic)
        self.alarms: list[cloudwatch.Alarm] = []
        self._on_runs()
        self._on_watchers(monitored)
        for function in monitored.functions:
            self._on_function(function)
        for machine in (monitored.pipeline, monitored.workflow):
            self._on_machine(machine)
        self._on_file_system(monitored)
        if FAILED_TRAININGS in monitored.rules:
            self._on_trainings(monitored.rules[FAILED_TRAININGS])
        for cluster in monitored.clusters:
            self._on_cluster(cluster)

    def _on_runs(self) -> None:
        self._alarm(
            "failed-runs",
            self._own.one(FAILED_RUNS, "Sum", cdk.Duration.hours(1)),
            threshold=_FAILED_RUNS,
            says=f"{_FAILED_RUNS} runs or more failed within an hour. The dashboard shows by which errors, the saved "
            f"query {self._names.query('why-runs-failed')} which runs.",
        )
        self._alarm(
            "platform-error",
            self._own.one(FAILURES, "Sum", PERIOD, dimension="PlatformError"),
            threshold=1,
            says="A run failed because no simulator can run on the machine or in the image: every run will. Look at "
            f"its failure (gaitway show RUN{self._names.option}) and fix the image or the instance types.",
        )
        self._alarm(
            "stalled-run",
            self._own.one(SILENT_SECONDS, "Maximum", PERIOD),
            threshold=SILENT_ALARM_SECONDS,
            missing=_SILENCE_SAYS_NOTHING,
            lasts=True,
            says=f"A run that runs has said nothing for {SILENT_ALARM_SECONDS // 60} minutes. It is given up after "
            f"{JOB_HEARTBEAT_TIMEOUT_SECONDS // 60} minutes without a heartbeat; gaitway ls{self._names.option} "
            "shows which it is, gaitway logs RUN where it stopped.",
        )
        self._alarm(
            "stuck-queue",
            self._own.one(OLDEST_QUEUED_SECONDS, "Maximum", PERIOD),
            threshold=QUEUED_ALARM_SECONDS,
            missing=_SILENCE_SAYS_NOTHING,
            lasts=True,
            says=f"A job has waited for a machine for {QUEUED_ALARM_SECONDS // 60} minutes. On AWS Batch, maxVcpus or "
            "the quota of G instances is used up, or the region has none free; on SageMaker, sagemakerMaxInstances or "
            "the quota of training jobs is; on a cluster, its nodes or its team's quota are, or its agent is away. "
            f"gaitway doctor{self._names.option} reports which.",
        )

    def _on_watchers(self, monitored: Monitored) -> None:
        self._alarm(
            "heartbeat-missing",
            monitored.heartbeat.function.metric_invocations(statistic="Sum", period=PERIOD),
            threshold=1,
            periods=3,
            comparison=_BELOW,
            missing=_SILENCE_IS_BAD,
            lasts=True,
            says="The heartbeat function was not called for 15 minutes: queued runs end after 25 without it. See "
            "that its EventBridge rule is enabled, and that the account's Lambda concurrency is not used up.",
        )
        self._alarm(
            "lost-events",
            monitored.lost_events.metric_approximate_number_of_messages_visible(statistic="Maximum", period=PERIOD),
            threshold=1,
            lasts=True,
            says="An event could not be delivered or handled, and is kept for two weeks. Read it in the queue, call "
            "its function with it again once the reason is fixed, and delete it.",
        )
        for name, rule in monitored.rules.items():
            self._alarm(
                f"rule-{name}",
                _of_rule(rule.rule_name),
                threshold=1,
                anchor="rules",
                says=f"EventBridge could not call the function of the rule {name}: see that the function exists and "
                "permits it. Deploying again restores both.",
            )

    def _on_function(self, watched: WatchedFunction) -> None:
        name, limit = self._names.function(watched.verb), _USERS_ERRORS.get(watched.verb, 1)
        # A failed call of this one is made good by the next, minutes later.
        is_repeated = watched.verb == "heartbeat"
        self._alarm(
            f"errors-{watched.verb.replace('_', '-')}",
            watched.function.metric_errors(statistic="Sum", period=PERIOD),
            threshold=limit,
            periods=3 if is_repeated else 1,
            anchor="function-errors",
            says=f"{name} raised errors: {limit} or more in five minutes"
            f"{', three times on end' if is_repeated else ''}. The saved query {self._names.query('errors')} shows "
            "which.",
        )
        self._alarm(
            f"throttles-{watched.verb.replace('_', '-')}",
            watched.function.metric_throttles(statistic="Sum", period=PERIOD),
            threshold=1,
            # A burst of runs is refused, and tried again, for minutes where an account has room for ten functions.
            periods=3,
            anchor="function-throttles",
            says=f"Calls of {name} have been refused for 15 minutes: the account's Lambda concurrency is used "
            "up. Callers try again, but not for ever; raise the quota, or find what uses it.",
        )

    def _on_machine(self, watched: WatchedMachine) -> None:
        name = self._names.machine(watched.definition)
        self._alarm(
            f"timeouts-{watched.definition}",
            watched.machine.metric_timed_out(statistic="Sum", period=PERIOD),
            threshold=1,
            anchor="machine-timeouts",
            says=f"An execution of {name} reached the machine's own timeout, which no single step does: look at "
            "the execution's history for the step that did not end.",
        )
        self._alarm(
            f"throttles-{watched.definition}",
            watched.machine.metric_throttled(statistic="Sum", period=PERIOD),
            threshold=1,
            periods=3,
            anchor="machine-throttles",
            says=f"Step Functions slows {name} down for 15 minutes by now: runs start late. Start fewer at "
            "once, or request a higher quota of state transitions.",
        )

    def _on_file_system(self, monitored: Monitored) -> None:
        self._alarm(
            "file-system",
            cloudwatch.Metric(
                namespace="AWS/EFS",
                metric_name="PercentIOLimit",
                dimensions_map={"FileSystemId": monitored.file_system.file_system_id},
                statistic="Average",
                period=PERIOD,
            ),
            threshold=IO_LIMIT_PERCENT,
            periods=3,
            lasts=True,
            says=f"The file system works at {IO_LIMIT_PERCENT} percent of its limit of operations: checkpoints are "
            "written slowly. Write them less often (checkpointInterval), or run less at once.",
        )

    def _on_trainings(self, failed: events.Rule) -> None:
        self._alarm(
            "failed-trainings",
            _of_rule(failed.rule_name, "Invocations", cdk.Duration.hours(1)),
            threshold=_FAILED_RUNS,
            says=f"{_FAILED_RUNS} jobs or more failed on SageMaker within an hour, after all their attempts. Batch's "
            f"console shows the reason of each in the queue {self._names.training_queue}: often the account's quota "
            "for training jobs, no capacity, or a role.",
        )

    def _on_cluster(self, cluster: str) -> None:
        self._alarm(
            f"agent-away-{cluster}",
            _of_queue(self._names.orders(cluster), "ApproximateAgeOfOldestMessage"),
            threshold=ORDER_ALARM_SECONDS,
            lasts=True,
            anchor="agent-away",
            says=f"An order for {cluster} has waited for {ORDER_ALARM_SECONDS // 60} minutes: the cluster's agent does "
            "not run, or its scheduler does not answer. Jobs that run go on. The agent's log says which; start it "
            "again, and it takes what waits.",
        )
        self._alarm(
            f"refused-orders-{cluster}",
            _of_queue(self._names.refused_orders(cluster), "ApproximateNumberOfMessagesVisible"),
            threshold=1,
            lasts=True,
            anchor="refused-orders",
            says=f"The agent of {cluster} could not carry out an order in 20 attempts, and it was put aside: its run "
            "waits for a job that nobody submits. Mend what the agent's log says, then move the order back from "
            f"{self._names.refused_orders(cluster)} with SQS's redrive, or delete it.",
        )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.Metric,
        *,
        threshold: float,
        says: str,
        periods: int = 1,
        comparison: cloudwatch.ComparisonOperator = _AT_LEAST,
        missing: cloudwatch.TreatMissingData = _SILENCE_IS_GOOD,
        lasts: bool = False,
        anchor: str | None = None,
    ) -> None:
        """Add an alarm.

        Args:
            name: Its name, without the prefix.
            metric: The metric.
            threshold: In the metric's unit.
            says: Its description: what happened, and what to do.
            periods: For how many periods in a row.
            comparison: How the metric is compared with the threshold.
            missing: How a missing value is treated.
            lasts: Whether it is about a state, whose end is also notified.
            anchor: Heading in docs/dashboard.md, if it differs from the name.
        """
        alarm = cloudwatch.Alarm(
            self,
            "".join(part.title() for part in name.split("-")),
            alarm_name=self._names.alarm(name),
            alarm_description=f"{says}\ndocs/dashboard.md#{anchor or name}",
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._action)
        if lasts:
            alarm.add_ok_action(self._action)
        self.alarms.append(alarm)


def _of_rule(rule_name: str, metric: str = "FailedInvocations", period: cdk.Duration = PERIOD) -> cloudwatch.Metric:
    """The calls of a rule's targets that failed permanently, or others; published only if there were any."""
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name=metric,
        dimensions_map={"RuleName": rule_name},
        statistic="Sum",
        period=period,
    )


def _of_queue(queue_name: str, metric: str) -> cloudwatch.Metric:
    """A metric of a queue of GaitwayCompute; nothing is published of one that nobody uses."""
    return cloudwatch.Metric(
        namespace="AWS/SQS",
        metric_name=metric,
        dimensions_map={"QueueName": queue_name},
        statistic="Maximum",
        period=PERIOD,
    )
