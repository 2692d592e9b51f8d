"""Each alert fires when it should, and not otherwise, by promtool, Prometheus' own tool for that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gaitway.contracts.limits import IDLE_ALLOWANCE_SECONDS
from stacks.prometheus.rules import ALERTS, rules
from tests.prometheus import needs_prometheus, promtool

RUN = 'run="run-1",task="Isaac-Ant-v0",library="rsl_rl",simulator="isaaclab-3"'
OF_RUN = {"run": "run-1", "task": "Isaac-Ant-v0", "library": "rsl_rl", "simulator": "isaaclab-3"}
PROGRESS, CHECKPOINT = "gaitway_progress_timestamp_seconds", "gaitway_checkpoint_timestamp_seconds"


class Case(NamedTuple):
    """What happens to a run, a value each minute, in promtool's words."""

    alert: str
    series: dict[str, str]
    minute: int
    """When it is looked at."""
    labels: dict[str, str] | None = None
    """Of the alert that fires; None if none does."""
    summary: str = ""


def gpu(number: int, values: str) -> dict[str, str]:
    return {f'gaitway_gpu_utilization_ratio{{run="run-1",node="0",gpu="{number}"}}': values}


CASES = {
    "no progress for 22 minutes": Case(
        "GaitwayRunStalled",
        {f"{PROGRESS}{{{RUN}}}": "0x40"},
        22,
        OF_RUN,
        "run-1 has made no progress for 22m 0s",
    ),
    "no progress for 19 minutes": Case("GaitwayRunStalled", {f"{PROGRESS}{{{RUN}}}": "0x40"}, 19),
    "an iteration a minute": Case("GaitwayRunStalled", {f"{PROGRESS}{{{RUN}}}": "0+60x60"}, 60),
    "a run that starts has no progress yet": Case(
        "GaitwayRunStalled", {f"gaitway_attempts_total{{{RUN}}}": "1x60"}, 60
    ),
    "the newest checkpoint is 70 minutes old": Case(
        "GaitwayCheckpointOld",
        {f"{CHECKPOINT}{{{RUN}}}": "0x80"},
        70,
        OF_RUN,
        "run-1 would lose the work of 1h 10m 0s",
    ),
    "a checkpoint each half hour": Case("GaitwayCheckpointOld", {f"{CHECKPOINT}{{{RUN}}}": "0x30 1800x30 3600x30"}, 89),
    "an evaluation has no checkpoint": Case("GaitwayCheckpointOld", {f"{PROGRESS}{{{RUN}}}": "0+60x80"}, 80),
    "a third attempt": Case(
        "GaitwayRunRestarts",
        {f"gaitway_attempts_total{{{RUN}}}": "3x5"},
        2,
        {"run": "run-1", "task": "Isaac-Ant-v0"},
        "run-1 is on its attempt 3",
    ),
    "a second attempt": Case("GaitwayRunRestarts", {f"gaitway_attempts_total{{{RUN}}}": "1x5 2x5"}, 10),
    "GPUs without work for half an hour": Case(
        "GaitwayGpusIdle",
        gpu(0, "0.01x60") | gpu(1, "0.03x60"),
        35,
        {"run": "run-1"},
        "The GPUs of run-1 are busy for 2% of the time",
    ),
    "one GPU of two without work": Case("GaitwayGpusIdle", gpu(0, "0.01x60") | gpu(1, "0.9x60"), 60),
    "GPUs without work for twenty minutes": Case("GaitwayGpusIdle", gpu(0, "0.01x20 0.8x40"), 60),
    "nearly all of the budget": Case(
        "GaitwayBudgetNearlySpent",
        {f"gaitway_cost_usd_total{{{RUN}}}": "0+1x20", f"gaitway_budget_usd{{{RUN}}}": "20x20"},
        19,
        OF_RUN,
        "run-1 has used 95% of what it may cost",
    ),
    "half of the budget": Case(
        "GaitwayBudgetNearlySpent",
        {f"gaitway_cost_usd_total{{{RUN}}}": "0+1x20", f"gaitway_budget_usd{{{RUN}}}": "40x20"},
        20,
    ),
    "a run without a budget": Case("GaitwayBudgetNearlySpent", {f"gaitway_cost_usd_total{{{RUN}}}": "0+1x20"}, 20),
    "a node that does not answer": Case(
        "GaitwayMetricsMissing",
        {'up{job="gaitway",instance="10.0.0.1:29401"}': "0x30"},
        20,
        {"job": "gaitway", "instance": "10.0.0.1:29401"},
        "10.0.0.1:29401 offers no metrics",
    ),
    "a node that did not answer for ten minutes": Case(
        "GaitwayMetricsMissing", {'up{job="gaitway",instance="10.0.0.1:29401"}': "0x10 1x20"}, 30
    ),
    "somebody else's target": Case("GaitwayMetricsMissing", {'up{job="other",instance="10.0.0.1:9100"}': "0x30"}, 20),
}


def expected(case: Case) -> list[dict[str, Any]]:
    if case.labels is None:
        return []
    [alert] = [alert for alert in ALERTS if alert.name == case.alert]
    labels = {**case.labels, "severity": alert.severity}
    return [{"exp_labels": labels, "exp_annotations": {"summary": case.summary, "description": alert.next_step}}]


@needs_prometheus
def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path: Path) -> None:
    # JSON is YAML.
    (tmp_path / "rules.json").write_text(json.dumps(rules()))
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [
                {"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": expected(case)}
            ],
        }
        for name, case in CASES.items()
    ]
    (tmp_path / "tests.json").write_text(json.dumps({"rule_files": ["rules.json"], "tests": tests}))
    promtool("test", "rules", str(tmp_path / "tests.json"))


@needs_prometheus
def test_the_rules_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(rules()))
    assert "10 rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.json"))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_alert_is_shown_to_fire_and_to_be_silent(alert: Any) -> None:
    cases = [case for case in CASES.values() if case.alert == alert.name]
    assert {case.labels is None for case in cases} == {True, False}


def test_the_runner_has_its_turn_before_an_alert_calls_somebody() -> None:
    [stalled] = [alert for alert in ALERTS if alert.name == "GaitwayRunStalled"]
    assert int(stalled.expression.rpartition(" ")[2]) > IDLE_ALLOWANCE_SECONDS
