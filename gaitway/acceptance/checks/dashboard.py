"""Each graph of the dashboard has values after the runs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings, NotShownError
from gaitway.acceptance.checks.training import FIRST
from gaitway.acceptance.links import dashboard_link
from gaitway.contracts.metrics import (
    COST,
    FAILED_RUNS,
    FAILURES,
    GPU_MEMORY_UTILIZATION,
    GPU_UTILIZATION,
    STEPS_PER_SECOND,
)
from gaitway.names import DEFAULT_NAMES

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_SEARCH = re.compile(r"SEARCH\('\{\"?(?P<namespace>[^\",]+)\"?,(?P<dimension>\w+)\} MetricName=\"(?P<name>\w+)\"")
"""As stacks/components/metrics.py writes it."""
_QUIET = {
    ("AWS/Events", "FailedInvocations"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
}
"""AWS publishes them only where something went wrong, or a queue was used within six hours:
docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html,
docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html.
"""
_OF_FAILURES = {FAILURES.name, FAILED_RUNS.name}
_NOT_EMBEDDED = {metric.name for metric in (GPU_UTILIZATION, GPU_MEMORY_UTILIZATION, COST)}
"""This machine has no GPU that is measured, and no price."""
_WAIT = timedelta(minutes=20)
"""CloudWatch finds a new metric within 15 minutes (docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/
API_ListMetrics.html), and EFS publishes what it stores every 15.
"""
_WAIT_EMBEDDED = timedelta(seconds=20)
_POLL_SECONDS = 20.0
_MOST_SEARCHED = 20


@dataclass(frozen=True)
class Series:
    """A metric that a graph shows."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    searched: str | None = None
    """Name of a dimension: the graph has a line for each of its values."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def is_ours(self) -> bool:
        """Whether it is one of the deployment's own metrics: AWS's are in namespaces with the service's name."""
        return self.namespace.partition("/")[0] == DEFAULT_NAMES.metrics_namespace

    def __str__(self) -> str:
        return f"{self.namespace} {self.name}"


@dataclass(frozen=True)
class Graph:
    """A graph of the dashboard."""

    title: str
    series: tuple[Series, ...]


def graphs_of(body: str) -> list[Graph]:
    """Read the graphs from a dashboard's body.

    docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    graphs = []
    for widget in json.loads(body)["widgets"]:
        properties = widget.get("properties", {})
        if widget["type"] == "metric" and "metrics" in properties:
            graphs.append(Graph(properties.get("title", "without a title"), tuple(_series(properties["metrics"]))))
    return graphs


def _series(metrics: Sequence[list[Any]]) -> Iterator[Series]:
    for metric in metrics:
        if isinstance(metric[0], Mapping):
            # Other expressions combine metrics that are also in the list.
            if match := _SEARCH.match(metric[0].get("expression", "")):
                yield Series(match["namespace"], match["name"], searched=match["dimension"])
            continue
        words = [word for word in metric if isinstance(word, str)]
        yield Series(words[0], words[1], tuple(zip(words[2::2], words[3::2], strict=True)))


@dataclass(frozen=True)
class Looked:
    """The result of a graph."""

    graph: Graph
    state: str
    """`has values`, `quiet`, `not here` or `empty`."""


def look(graph: Graph, has_values: Callable[[Series], bool], *, is_embedded: bool, a_run_failed: bool) -> Looked:
    """Decide whether a graph passes.

    Args:
        graph: The graph.
        has_values: Returns whether a metric has had a value since the checks began.
        is_embedded: Whether it is the embedded AWS, where only our own metrics are published.
        a_run_failed: Whether a run has failed since then.
    """
    here = [one for one in graph.series if not is_embedded or _is_published_here(one)]
    if not here:
        return Looked(graph, "not here")
    if any(has_values(one) for one in here):
        return Looked(graph, "has values")
    return Looked(graph, "quiet" if all(_may_be_quiet(one, a_run_failed) for one in here) else "empty")


def _is_published_here(series: Series) -> bool:
    return series.is_ours and series.name not in _NOT_EMBEDDED


def _may_be_quiet(series: Series, a_run_failed: bool) -> bool:
    if series.is_ours:
        return series.name in _OF_FAILURES and not a_run_failed
    return series.key in _QUIET


def judge_dashboard(looked: Collection[Looked]) -> str | None:
    """Say which graphs are empty that should not be; None where none is."""
    if not looked:
        return "the dashboard has no graph"
    empty = [one.graph for one in looked if one.state == "empty"]
    if empty:
        what = "; ".join(f"{graph.title!r} ({', '.join(dict.fromkeys(map(str, graph.series)))})" for graph in empty)
        return f"{len(empty)} graphs have no values though runs have ended: {what}"
    return None


def _run(site: Site, findings: Findings) -> None:
    names = site.resources("AWS::CloudWatch::Dashboard")
    if not names:
        raise CheckFailedError(f"the stacks have no dashboard: run `{site.commands.deploy}`")
    cloudwatch = site.client("cloudwatch")
    findings.note("dashboard", names[0], dashboard_link(site, names[0]))
    graphs = graphs_of(cloudwatch.get_dashboard(DashboardName=names[0])["DashboardBody"])
    if site.is_embedded:
        _call_what_is_scheduled(site)
    records = [site.runs.record(run.run_id) for run in site.started]
    a_run_failed = any(record is not None and record.failure is not None for record in records)
    give_up_at = datetime.now(UTC) + (_WAIT_EMBEDDED if site.is_embedded else _WAIT)
    values = _Values(cloudwatch, site.began_at, [run.run_id for run in site.started])
    with site.progress.waiting("Waiting for the values of the dashboard's graphs"):
        while True:
            looked = [look(graph, values, is_embedded=site.is_embedded, a_run_failed=a_run_failed) for graph in graphs]
            problem = judge_dashboard(looked)
            if problem is None or datetime.now(UTC) > give_up_at:
                break
            time.sleep(1 if site.is_embedded else _POLL_SECONDS)
    for one in looked:
        findings.note(one.graph.title, one.state)
    if problem is not None:
        raise CheckFailedError(problem)
    if not any(one.state == "has values" for one in looked):
        raise NotShownError("none of its graphs shows anything that this place publishes")


def _call_what_is_scheduled(site: Site) -> None:
    """On the embedded AWS a check does not wait five minutes for what is counted every five minutes."""
    events, functions = site.client("events"), site.client("lambda")
    for rule in site.resources("AWS::Events::Rule"):
        if events.describe_rule(Name=rule).get("ScheduleExpression"):
            for target in events.list_targets_by_rule(Rule=rule)["Targets"]:
                functions.invoke(FunctionName=target["Arn"], Payload=target.get("Input", "{}"))


class _Values:
    """Finds out whether metrics have had values, and asks again only for those that had none.

    Args:
        cloudwatch: A client.
        since: Start of the period.
        run_ids: The runs whose metrics count: other runs may be active at the same time.
    """

    def __init__(self, cloudwatch: Any, since: datetime, run_ids: Sequence[str]) -> None:  # noqa: ANN401
        self._cloudwatch = cloudwatch
        # Values of a period count from its beginning.
        self._since = since.replace(second=0, microsecond=0)
        self._run_ids = run_ids
        self._found: set[Series] = set()

    def __call__(self, series: Series) -> bool:
        if series not in self._found and any(self._has_points(series, one) for one in self._dimensions(series)):
            self._found.add(series)
        return series in self._found

    def _dimensions(self, series: Series) -> Iterator[list[dict[str, str]]]:
        if series.searched is None:
            yield [{"Name": name, "Value": value} for name, value in series.dimensions]
            return
        if series.searched == STEPS_PER_SECOND.dimension:
            yield from ([{"Name": series.searched, "Value": run_id}] for run_id in self._run_ids)
            return
        page = self._cloudwatch.list_metrics(
            Namespace=series.namespace, MetricName=series.name, Dimensions=[{"Name": series.searched}]
        )
        # What was published last comes anywhere.
        for metric in page["Metrics"][-_MOST_SEARCHED:]:
            if [dimension["Name"] for dimension in metric["Dimensions"]] == [series.searched]:
                yield metric["Dimensions"]

    def _has_points(self, series: Series, dimensions: list[dict[str, str]]) -> bool:
        points = self._cloudwatch.get_metric_statistics(
            Namespace=series.namespace,
            MetricName=series.name,
            Dimensions=dimensions,
            StartTime=self._since,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["SampleCount"],
        )
        return bool(points["Datapoints"])


CHECK = Check(
    name="dashboard",
    title="The dashboard shows the runs",
    effort=Effort(minutes=10),
    leaves="nothing",
    run=_run,
    needs=(FIRST,),
)
