"""The metrics that widgets and alarms name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.infra.templates import Resource, Synthesis

_SEARCH = re.compile(r"SEARCH\('\{(?P<schema>[^{}']+)\} (?P<terms>[^']+)', '(?P<statistic>[A-Za-z0-9.]+)'\)")
_IN_SCHEMA = re.compile(r'"[^"]+"|[A-Za-z0-9]+(/[A-Za-z0-9]+)?')
_TERM = re.compile(r'(?P<designator>[A-Za-z]+)=("(?P<exact>[^"]+)"|(?P<word>[A-Za-z0-9]+))')
_MATH = re.compile(r"[a-z][A-Za-z0-9_]*")
STATISTIC = re.compile(r"Average|Maximum|Minimum|Sum|SampleCount|p\d{1,2}(\.\d+)?")


class NamedMetric(NamedTuple):
    """A metric, without the values of its dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[str]


def parse_search(expression: str) -> NamedMetric:
    """Read a search expression: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html.

    Raises:
        ValueError: CloudWatch would refuse it, or it does not name one metric exactly.
    """
    whole = _SEARCH.fullmatch(expression)
    if whole is None or not STATISTIC.fullmatch(whole["statistic"]):
        raise ValueError(f"no search expression: {expression}")
    parts = whole["schema"].split(",")
    if len(parts) < 2 or not all(_IN_SCHEMA.fullmatch(part) for part in parts):
        raise ValueError(f"no schema of namespace and dimensions: {whole['schema']}")
    namespace, *dimensions = (part.strip('"') for part in parts)
    terms = [_TERM.fullmatch(term) for term in whole["terms"].split(" AND ")]
    found = {term["designator"]: term["exact"] or term["word"] for term in terms if term is not None}
    if None in terms or not found.keys() <= {"MetricName", *dimensions}:
        raise ValueError(f"no terms of a search: {whole['terms']}")
    if not any(term is not None and term["designator"] == "MetricName" and term["exact"] for term in terms):
        raise ValueError(f"names no metric exactly: {whole['terms']}")
    return NamedMetric(namespace, found["MetricName"], frozenset(dimensions))


def widgets(aws: Synthesis, kind: str = "metric") -> list[dict[str, Any]]:
    """The dashboard's widgets of one kind."""
    dashboard = aws.resource("AWS::CloudWatch::Dashboard")
    body = json.loads(aws.text(dashboard.stack, dashboard.properties["DashboardBody"]))
    return [widget for widget in body["widgets"] if widget["type"] == kind]


def metrics_of(widget: dict[str, Any]) -> Iterator[NamedMetric]:
    """The metrics of a widget; an expression that refers to no metric of it is an error."""
    entries = widget["properties"]["metrics"]
    ids = {entry[-1]["id"] for entry in entries if isinstance(entry[-1], dict) and "id" in entry[-1]}
    for entry in entries:
        match entry:
            case [{"expression": str(expression)}] if expression.startswith("SEARCH"):
                yield parse_search(expression)
            case [{"expression": str(expression)}]:
                assert set(_MATH.findall(expression)) <= ids, expression
            case [str(namespace), str(name), *rest]:
                named = [part for part in rest if isinstance(part, str)]
                yield NamedMetric(namespace, name, frozenset(named[::2]))
            case _:
                raise AssertionError(f"unexpected in a widget: {entry}")


def metric_of(alarm: Resource) -> NamedMetric:
    """The metric that an alarm looks at."""
    properties = alarm.properties
    dimensions = frozenset(dimension["Name"] for dimension in properties.get("Dimensions", []))
    return NamedMetric(properties["Namespace"], properties["MetricName"], dimensions)
