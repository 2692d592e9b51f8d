"""The Grafana dashboard of runs on clusters, from the metrics that they offer.

Its form is Grafana's own JSON, which Grafana imports:
grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from gaitway.contracts.metrics import (
    SCRAPED_ATTEMPTS,
    SCRAPED_BUDGET,
    SCRAPED_CHECKPOINT_AT,
    SCRAPED_COST,
    SCRAPED_DONE,
    SCRAPED_GOAL,
    SCRAPED_GPU_MEMORY,
    SCRAPED_GPU_MEMORY_USED,
    SCRAPED_GPU_UTILIZATION,
    SCRAPED_MEAN_REWARD,
    SCRAPED_PROGRESS_AT,
    SCRAPED_STEPS_PER_SECOND,
    Scraped,
)
from stacks.prometheus import rules

UID = "gaitway-runs"
_SCHEMA_VERSION = 39
"""Of Grafana 10.4 and later, which read older ones, too."""
_COLUMNS = 24
_CHOSEN = 'task=~"$task",run=~"$run"'
_OF_RUN = 'run=~"$run"'
_ALERTS = "|".join(alert.name for alert in rules.ALERTS)
_GPU = "{{run}} node {{node}} GPU {{gpu}}"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Unit = Literal["none", "short", "percentunit", "s", "currencyUSD", "bytes"]
"""Grafana's names of units."""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    expression: str
    """In PromQL, with the dashboard's variables."""
    unit: Unit
    description: str
    legend: str = "{{run}}"
    is_number: bool = False
    """Whether it shows only the latest value, in large letters."""


def _of_runs(metric: Scraped) -> str:
    return f"{metric.name}{{{_CHOSEN}}}"


def _of_gpus(metric: Scraped) -> str:
    return f"{metric.name}{{{_OF_RUN}}}"


PANELS = (
    Panel("Runs", f"count({_of_runs(SCRAPED_ATTEMPTS)})", "none", "Runs on a node now.", "runs", True),
    Panel("GPUs", f"count({_of_gpus(SCRAPED_GPU_MEMORY)})", "none", "GPUs that runs have.", "GPUs", True),
    Panel("USD per hour", rules.USD_PER_HOUR.name, "currencyUSD", "What all runs cost in an hour now.", "USD", True),
    Panel(
        "Alerts",
        f'count(ALERTS{{alertname=~"{_ALERTS}",alertstate="firing"}}) or vector(0)',
        "none",
        "Alerts that fire: the table of alerts in Grafana or Prometheus says which.",
        "alerts",
        True,
    ),
    Panel("Mean reward", _of_runs(SCRAPED_MEAN_REWARD), "short", SCRAPED_MEAN_REWARD.description),
    Panel(
        "Progress",
        f"{_of_runs(SCRAPED_DONE)} / {_of_runs(SCRAPED_GOAL)}",
        "percentunit",
        "Share of the run's iterations or episodes that is done.",
    ),
    Panel("Steps per second", _of_runs(SCRAPED_STEPS_PER_SECOND), "short", SCRAPED_STEPS_PER_SECOND.description),
    Panel(
        "Since the last progress",
        f"time() - {_of_runs(SCRAPED_PROGRESS_AT)}",
        "s",
        "Time since an iteration, an episode, an upload or a step of the runner.",
    ),
    Panel(
        "Age of the newest checkpoint",
        f"time() - {_of_runs(SCRAPED_CHECKPOINT_AT)}",
        "s",
        "What would be lost if the nodes were lost now: since when there is no newer checkpoint in S3.",
    ),
    Panel("Attempts", _of_runs(SCRAPED_ATTEMPTS), "none", SCRAPED_ATTEMPTS.description),
    Panel(
        "GPU utilisation",
        _of_gpus(SCRAPED_GPU_UTILIZATION),
        "percentunit",
        SCRAPED_GPU_UTILIZATION.description,
        _GPU,
    ),
    Panel("GPU memory in use", _of_gpus(SCRAPED_GPU_MEMORY_USED), "bytes", SCRAPED_GPU_MEMORY_USED.description, _GPU),
    Panel(
        "Share of GPU memory",
        f"{rules.GPU_MEMORY.name}{{{_OF_RUN}}}",
        "percentunit",
        "Over all GPUs of a run: what is free has room for more environments.",
    ),
    Panel("Cost", _of_runs(SCRAPED_COST), "currencyUSD", SCRAPED_COST.description),
    Panel(
        "Share of the budget",
        f"{_of_runs(SCRAPED_COST)} / {_of_runs(SCRAPED_BUDGET)}",
        "percentunit",
        "Of runs with a limit (computeConfig.maxCostUsd): at 100 percent a run saves a checkpoint and ends.",
    ),
    Panel(
        "Steps per second by task",
        rules.STEPS_PER_SECOND.name + '{task=~"$task"}',
        "short",
        "Over all runs of a task.",
        "{{task}}",
    ),
    Panel(
        "GPU utilisation by run",
        f"{rules.GPU_UTILIZATION.name}{{{_OF_RUN}}}",
        "percentunit",
        "Over all GPUs of a run.",
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    return {
        "uid": UID,
        "title": "Gaitway: runs on clusters",
        "tags": ["gaitway"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": f"{rules.INTERVAL_SECONDS}s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), _variable("task", ""), _variable("run", '{task=~"$task"}')]},
        "panels": list(_placed()),
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(label: str, of: str) -> dict[str, Any]:
    """Let people choose some values of a label, or all."""
    return {
        "name": label,
        "label": label.title(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values({SCRAPED_ATTEMPTS.name}{of}, {label})", "refId": label},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed() -> list[dict[str, Any]]:
    """Put the numbers into a row of low panels, and the others below, three in a row."""
    placed: list[dict[str, Any]] = []
    top = 0
    for is_number, group in groupby(PANELS, key=lambda panel: panel.is_number):
        panels = list(group)
        height, in_a_row = (4, len(panels)) if is_number else (8, 3)
        width = _COLUMNS // in_a_row
        for number, panel in enumerate(panels):
            row, column = divmod(number, in_a_row)
            place = {"x": column * width, "y": top + row * height, "w": width, "h": height}
            placed.append(_panel(len(placed) + 1, panel, place))
        top += -(-len(panels) // in_a_row) * height
    return placed


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "type": "stat" if panel.is_number else "timeseries",
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.is_number else {},
        "targets": [
            {"refId": "A", "datasource": _SOURCE, "expr": panel.expression, "legendFormat": panel.legend, "range": True}
        ],
    }
