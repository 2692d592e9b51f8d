"""The dashboard: what is wrong now, what runs, on what it runs, and what it costs; from the top to the bottom."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from gaitway.contracts.limits import QUEUED_ALARM_SECONDS, SILENT_ALARM_SECONDS
from gaitway.contracts.metrics import (
    COST,
    FAILED_RUNS,
    FAILURES,
    GPU_MEMORY_UTILIZATION,
    GPU_UTILIZATION,
    MEAN_REWARD,
    OLDEST_QUEUED_SECONDS,
    QUEUED_RUNS,
    RUNS,
    SILENT_SECONDS,
    STEPS_PER_SECOND,
    SUCCEEDED_RUNS,
    TIME_TO_FIRST_ITERATION,
)
from stacks.components.metrics import OwnMetrics, search
from stacks.components.monitored import Monitored, WatchedMachine
from stacks.components.monitoring_alarms import IO_LIMIT_PERCENT, PERIOD
from stacks.components.monitoring_graphs import HEIGHT, WIDTH, graph, text
from stacks.components.monitoring_links import links

_MINUTE = cdk.Duration.minutes(1)
_DAY = cdk.Duration.days(1)


class PipelineDashboard(Construct):
    """One page from which the pipeline is run."""

    def __init__(
        self, scope: Construct, construct_id: str, monitored: Monitored, alarms: Sequence[cloudwatch.IAlarm]
    ) -> None:
        super().__init__(scope, construct_id)
        self._monitored = monitored
        self._own = OwnMetrics(monitored.names)
        dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=monitored.names.dashboard(cdk.Aws.REGION),
            default_interval=cdk.Duration.hours(12),
        )
        dashboard.add_widgets(text(links(self, monitored), height=5))
        dashboard.add_widgets(text("## What is wrong now"))
        dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms",
                alarms=[*alarms],
                sort_by=cloudwatch.AlarmStatusWidgetSortBy.STATE_UPDATED_TIMESTAMP,
                width=WIDTH,
                height=5,
            )
        )
        for row in (self._failures(), self._troubles()):
            dashboard.add_widgets(*row)
        dashboard.add_widgets(text("## What runs"))
        for row in (self._runs(), self._trainings()):
            dashboard.add_widgets(*row)
        dashboard.add_widgets(text("## Machines"))
        for row in (self._gpus(), self._file_system(), self._functions()):
            dashboard.add_widgets(*row)
        dashboard.add_widgets(text("## Money"))
        dashboard.add_widgets(*self._money())

    def _failures(self) -> list[cloudwatch.IWidget]:
        return [
            graph("Failed runs by error", [self._own.each(FAILURES, "Sum", PERIOD)], unit="runs", stacked=True),
            self._executions("Runs", self._monitored.pipeline),
            self._executions("Callers", self._monitored.workflow),
        ]

    def _executions(self, what: str, watched: WatchedMachine) -> cloudwatch.IWidget:
        machine = watched.machine
        return graph(
            f"{what}: executions of the machine {watched.definition}",
            [
                machine.metric_started(statistic="Sum", period=PERIOD, label="started"),
                machine.metric_succeeded(statistic="Sum", period=PERIOD, label="succeeded"),
                machine.metric_failed(statistic="Sum", period=PERIOD, label="failed"),
                machine.metric_aborted(statistic="Sum", period=PERIOD, label="stopped"),
                machine.metric_timed_out(statistic="Sum", period=PERIOD, label="timed out"),
                machine.metric_throttled(statistic="Sum", period=PERIOD, label="slowed down"),
            ],
            unit="executions",
        )

    def _troubles(self) -> list[cloudwatch.IWidget]:
        watched, called = self._monitored, self._monitored.names.function
        return [
            graph(
                "Longest silence of a run that runs",
                [self._own.one(SILENT_SECONDS, "Maximum", PERIOD, label="seconds since it last wrote its record")],
                unit="seconds",
                limit=(SILENT_ALARM_SECONDS, "stalled"),
            ),
            graph(
                "Errors of functions",
                [
                    one.function.metric_errors(statistic="Sum", period=PERIOD, label=called(one.verb))
                    for one in watched.functions
                ],
                unit="failed calls",
                stacked=True,
            ),
            graph(
                "Events that are lost, and calls by rules that failed",
                [
                    watched.lost_events.metric_approximate_number_of_messages_visible(
                        statistic="Maximum", period=PERIOD, label="events in the queue LostEvents"
                    ),
                    *(
                        cloudwatch.Metric(
                            namespace="AWS/Events",
                            metric_name="FailedInvocations",
                            dimensions_map={"RuleName": rule.rule_name},
                            statistic="Sum",
                            period=PERIOD,
                            label=f"rule {name}",
                        )
                        for name, rule in watched.rules.items()
                    ),
                ],
                unit="events",
            ),
        ]

    def _runs(self) -> list[cloudwatch.IWidget]:
        return [
            graph("Runs by state", [self._own.each(RUNS, "Maximum", PERIOD)], unit="runs", stacked=True),
            graph(
                "Jobs that wait for a machine",
                [self._own.one(QUEUED_RUNS, "Maximum", PERIOD, label="jobs")],
                unit="jobs",
                right=[self._own.one(OLDEST_QUEUED_SECONDS, "Maximum", PERIOD, label="the oldest has waited")],
                right_unit="seconds",
                right_limit=(QUEUED_ALARM_SECONDS, "stuck"),
            ),
            graph(
                "Runs that ended",
                [
                    self._own.one(SUCCEEDED_RUNS, "Sum", PERIOD, label="succeeded"),
                    self._own.one(FAILED_RUNS, "Sum", PERIOD, label="failed"),
                ],
                unit="runs",
                stacked=True,
            ),
        ]

    def _trainings(self) -> list[cloudwatch.IWidget]:
        return [
            graph(
                "Steps per second, by run",
                [self._own.each(STEPS_PER_SECOND, "Average", _MINUTE)],
                unit="steps per second",
            ),
            graph(
                "Mean reward, by run", [self._own.each(MEAN_REWARD, "Average", _MINUTE)], unit="return", from_zero=False
            ),
            graph(
                "Time from a run's acceptance to its first iteration",
                [
                    self._own.one(TIME_TO_FIRST_ITERATION, statistic, PERIOD, label=label)
                    for statistic, label in (("Average", "average"), ("Maximum", "longest"))
                ],
                unit="seconds",
            ),
        ]

    def _gpus(self) -> list[cloudwatch.IWidget]:
        each = self._own.each
        return [
            graph("GPU utilisation, by run", [each(GPU_UTILIZATION, "Average", _MINUTE)], unit="percent"),
            graph(
                "GPU memory in use, by run",
                [self._own.each(GPU_MEMORY_UTILIZATION, "Average", _MINUTE)],
                unit="percent",
            ),
            graph(
                "Instances, by cluster of AWS Batch",
                [
                    # Batch names its clusters <compute environment>_Batch_<uuid>, so the names are not known here.
                    search(
                        "ECS/ContainerInsights",
                        "ContainerInstanceCount",
                        "ClusterName",
                        "Average",
                        PERIOD,
                        value="Batch",
                    )
                ],
                unit="instances",
                stacked=True,
            ),
        ]

    def _file_system(self) -> list[cloudwatch.IWidget]:
        return [
            graph(
                "File system: throughput",
                [
                    self._per_second("DataReadIOBytes", "read"),
                    self._per_second("DataWriteIOBytes", "written"),
                    self._per_second("MeteredIOBytes", "paid for"),
                ],
                unit="bytes per second",
                right=[self._efs("PermittedThroughput", "Average", label="limit of writing")],
                right_unit="bytes per second",
            ),
            graph(
                "File system: share of its limit of operations",
                [self._efs("PercentIOLimit", "Maximum", label="of the limit")],
                unit="percent",
                limit=(IO_LIMIT_PERCENT, "slow"),
                right=[self._efs("ClientConnections", "Sum", label="clients")],
                right_unit="connections",
            ),
            graph(
                "File system: what it holds",
                [
                    self._efs("StorageBytes", "Average", label=label, StorageClass=storage_class)
                    for storage_class, label in (("Standard", "standard"), ("IA", "infrequent access"))
                ],
                unit="bytes",
                stacked=True,
            ),
        ]

    def _per_second(self, name: str, label: str) -> cloudwatch.MathExpression:
        metric = name[0].lower() + name[1:]
        return cloudwatch.MathExpression(
            expression=f"{metric}/PERIOD({metric})",
            using_metrics={metric: self._efs(name, "Sum")},
            period=PERIOD,
            label=label,
        )

    def _efs(self, name: str, statistic: str, *, label: str | None = None, **dimensions: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/EFS",
            metric_name=name,
            dimensions_map={"FileSystemId": self._monitored.file_system.file_system_id, **dimensions},
            statistic=statistic,
            period=PERIOD,
            label=label,
        )

    def _functions(self) -> list[cloudwatch.IWidget]:
        functions, called = self._monitored.functions, self._monitored.names.function
        return [
            graph(
                "Functions: 95 of 100 calls are faster",
                [
                    one.function.metric_duration(statistic="p95", period=PERIOD, label=called(one.verb))
                    for one in functions
                ],
                unit="milliseconds",
            ),
            graph(
                "Functions: calls",
                [
                    one.function.metric_invocations(statistic="Sum", period=PERIOD, label=called(one.verb))
                    for one in functions
                ],
                unit="calls",
            ),
            graph(
                "Functions: calls refused, since too many ran at once",
                [
                    one.function.metric_throttles(statistic="Sum", period=PERIOD, label=called(one.verb))
                    for one in functions
                ],
                unit="calls",
                stacked=True,
            ),
        ]

    def _money(self) -> list[cloudwatch.IWidget]:
        return [
            graph(
                "Cost of runs, by day (UTC)",
                [self._own.one(COST, "Sum", _DAY, label="machines of runs")],
                unit="USD",
                start="-P30D",
                width=16,
            ),
            text(
                "**What is in it**: the price of each run's machines, times how long it had them; on demand, also for "
                "Spot instances, which cost less. **What is not**: instances before and after a run, a warm instance, "
                "and what the deployment costs while nothing runs (docs/deploy.md).",
                width=8,
                height=HEIGHT,
            ),
        ]
