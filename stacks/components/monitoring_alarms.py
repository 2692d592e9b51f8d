"""What somebody should hear of, and what it means: each alarm says what to do."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from gaitway.contracts.metrics import FAILED_RUNS, FAILURES, OLDEST_QUEUED_SECONDS, SILENT_SECONDS
from stacks.components.metrics import own_metric
from stacks.components.monitored import Monitored, WatchedFunction, WatchedMachine

PERIOD = cdk.Duration.minutes(5)
"""As often as the heartbeat function looks."""
SILENT_LIMIT_SECONDS = 1200
"""A runner ends a simulator that makes no progress for 900 seconds, and a run without heartbeats is given up after
1500: between the two, it is the runner that does not move."""
QUEUED_LIMIT_SECONDS = 3600
"""An instance starts within minutes where there is room for it."""
IO_LIMIT_PERCENT = 90
_FAILED_RUNS = 3
"""In an hour: one run fails by its own fault, several by ours."""
_USERS_ERRORS = {"gaitway-construct-run": 5}
"""How many errors in five minutes are too many, of a function that also fails by what a user asked for."""

_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_SILENCE_IS_GOOD = cloudwatch.TreatMissingData.NOT_BREACHING
"""Of metrics that are published only when something happens."""
_SILENCE_IS_BAD = cloudwatch.TreatMissingData.BREACHING
_SILENCE_SAYS_NOTHING = cloudwatch.TreatMissingData.IGNORE
"""Of what the heartbeat function publishes: another alarm says that it does not."""


class Alarms(Construct):
    """The alarms, all of which tell one topic.

    Attributes:
        alarms: They, the most urgent first.
    """

    def __init__(self, scope: Construct, construct_id: str, monitored: Monitored, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._action = actions.SnsAction(topic)
        self.alarms: list[cloudwatch.Alarm] = []
        self._on_runs()
        self._on_watchers(monitored)
        for function in monitored.functions:
            self._on_function(function)
        for machine in (monitored.pipeline, monitored.workflow):
            self._on_machine(machine)
        self._on_file_system(monitored)

    def _on_runs(self) -> None:
        self._alarm(
            "failed-runs",
            own_metric(FAILED_RUNS, "Sum", cdk.Duration.hours(1)),
            threshold=_FAILED_RUNS,
            says=f"{_FAILED_RUNS} runs or more failed within an hour. The dashboard shows by which errors, the saved "
            "query gaitway/why-runs-failed which runs.",
        )
        self._alarm(
            "platform-error",
            own_metric(FAILURES, "Sum", PERIOD, dimension="PlatformError"),
            threshold=1,
            says="A run failed because no simulator can run on the machine or in the image: every run will. Look at "
            "its failure (gaitway show RUN) and mend the image or the instance types.",
        )
        self._alarm(
            "stalled-run",
            own_metric(SILENT_SECONDS, "Maximum", PERIOD),
            threshold=SILENT_LIMIT_SECONDS,
            missing=_SILENCE_SAYS_NOTHING,
            lasts=True,
            says=f"A run that runs has said nothing for {SILENT_LIMIT_SECONDS // 60} minutes. It is given up after 25 "
            "minutes without a heartbeat; gaitway ls shows which it is, gaitway logs RUN where it stands.",
        )
        self._alarm(
            "stuck-queue",
            own_metric(OLDEST_QUEUED_SECONDS, "Maximum", PERIOD),
            threshold=QUEUED_LIMIT_SECONDS,
            missing=_SILENCE_SAYS_NOTHING,
            lasts=True,
            says=f"A job has waited for a machine for {QUEUED_LIMIT_SECONDS // 60} minutes: maxVcpus is used up, the "
            "quota of G instances is, or the region has none free. gaitway doctor tells which.",
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
            "its function with it again once the reason is mended, and delete it.",
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
        limit = _USERS_ERRORS.get(watched.name, 1)
        # A failed call of this one is made good by the next, minutes later.
        is_repeated = watched.name.endswith("heartbeat")
        self._alarm(
            f"errors-{_short(watched.name)}",
            watched.function.metric_errors(statistic="Sum", period=PERIOD),
            threshold=limit,
            periods=3 if is_repeated else 1,
            anchor="function-errors",
            says=f"{watched.name} raised errors: {limit} or more in five minutes"
            f"{', three times on end' if is_repeated else ''}. The saved query gaitway/errors shows which.",
        )
        self._alarm(
            f"throttles-{_short(watched.name)}",
            watched.function.metric_throttles(statistic="Sum", period=PERIOD),
            threshold=1,
            # A burst of runs is refused, and tried again, for minutes where an account has room for ten functions.
            periods=3,
            anchor="function-throttles",
            says=f"Calls of {watched.name} have been refused for 15 minutes: the account's Lambda concurrency is used "
            "up. Callers try again, but not for ever; raise the quota, or find what uses it.",
        )

    def _on_machine(self, watched: WatchedMachine) -> None:
        self._alarm(
            f"timeouts-{_short(watched.name)}",
            watched.machine.metric_timed_out(statistic="Sum", period=PERIOD),
            threshold=1,
            anchor="machine-timeouts",
            says=f"An execution of {watched.name} came to the machine's own limit, which no single step does: look at "
            "the execution's history for the step that did not end.",
        )
        self._alarm(
            f"throttles-{_short(watched.name)}",
            watched.machine.metric_throttled(statistic="Sum", period=PERIOD),
            threshold=1,
            periods=3,
            anchor="machine-throttles",
            says=f"Step Functions slows {watched.name} down for 15 minutes by now: runs start late. Start fewer at "
            "once, or ask for a higher quota of state transitions.",
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
            metric: What it looks at.
            threshold: In the metric's unit.
            says: What it means, and what to do.
            periods: In how many periods on end.
            comparison: How the metric stands to the threshold then.
            missing: What it means that the metric has no value.
            lasts: Whether it is about a state, whose end is told, too.
            anchor: Heading in docs/dashboard.md, unless that is the name.
        """
        alarm = cloudwatch.Alarm(
            self,
            "".join(part.title() for part in name.split("-")),
            alarm_name=f"gaitway-{name}",
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


def _short(name: str) -> str:
    return name.removeprefix("gaitway-")


def _of_rule(rule_name: str) -> cloudwatch.Metric:
    """Name the calls of a rule's targets that failed for good; published only where there were any."""
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name="FailedInvocations",
        dimensions_map={"RuleName": rule_name},
        statistic="Sum",
        period=PERIOD,
    )
