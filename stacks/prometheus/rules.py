"""The recording and alerting rules of Prometheus.

Their form: prometheus.io/docs/prometheus/latest/configuration/recording_rules and .../alerting_rules. Recorded names
follow prometheus.io/docs/practices/rules: level, metric, operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gaitway.contracts.limits import IDLE_ALLOWANCE_SECONDS
from gaitway.contracts.metrics import (
    SCRAPED_ATTEMPTS,
    SCRAPED_BUDGET,
    SCRAPED_CHECKPOINT_AT,
    SCRAPED_COST,
    SCRAPED_GPU_MEMORY,
    SCRAPED_GPU_MEMORY_USED,
    SCRAPED_GPU_UTILIZATION,
    SCRAPED_PROGRESS_AT,
    SCRAPED_STEPS_PER_SECOND,
)

JOB = "gaitway"
"""The name of the job that scrapes runs."""
INTERVAL_SECONDS = 30
"""Between two scrapes, and two evaluations of the rules."""
_STALLED_SECONDS = IDLE_ALLOWANCE_SECONDS + 300
"""The runner ends a simulator that stands still before that."""
_CHECKPOINT_SECONDS = 3600
_IDLE_SHARE, _BUDGET_SHARE, _MANY_ATTEMPTS = 0.05, 0.9, 3


@dataclass(frozen=True)
class Recording:
    """A series that Prometheus computes from others."""

    name: str
    expression: str


@dataclass(frozen=True)
class Alert:
    """What somebody should look at."""

    name: str
    expression: str
    lasts: str
    """For how long it must hold, as Prometheus writes durations."""
    severity: Literal["warning", "critical"]
    summary: str
    """One line, in which Prometheus fills in labels."""
    next_step: str


GPU_UTILIZATION = Recording(f"run:{SCRAPED_GPU_UTILIZATION.name}:avg", f"avg by (run) ({SCRAPED_GPU_UTILIZATION.name})")
GPU_MEMORY = Recording(
    "run:gaitway_gpu_memory_used_ratio:sum",
    f"sum by (run) ({SCRAPED_GPU_MEMORY_USED.name}) / sum by (run) ({SCRAPED_GPU_MEMORY.name})",
)
STEPS_PER_SECOND = Recording(
    f"task:{SCRAPED_STEPS_PER_SECOND.name}:sum", f"sum by (task) ({SCRAPED_STEPS_PER_SECOND.name})"
)
USD_PER_HOUR = Recording("gaitway:cost_usd_per_hour:sum", f"sum (rate({SCRAPED_COST.name}[10m])) * 3600")
RECORDINGS = (GPU_UTILIZATION, GPU_MEMORY, STEPS_PER_SECOND, USD_PER_HOUR)

ALERTS = (
    Alert(
        "GaitwayRunStalled",
        f"time() - {SCRAPED_PROGRESS_AT.name} > {_STALLED_SECONDS}",
        "1m",
        "critical",
        "{{ $labels.run }} has made no progress for {{ $value | humanizeDuration }}",
        "The runner ends a simulator that stands still, so that now the runner or the file system hangs: look at the "
        "node, and end the job if it does not go on; the next attempt resumes from the newest checkpoint.",
    ),
    Alert(
        "GaitwayCheckpointOld",
        f"time() - {SCRAPED_CHECKPOINT_AT.name} > {_CHECKPOINT_SECONDS}",
        "5m",
        "warning",
        "{{ $labels.run }} would lose the work of {{ $value | humanizeDuration }}",
        "Give the request a smaller checkpointInterval; if it has one, look in the run's log for uploads that fail.",
    ),
    Alert(
        "GaitwayRunRestarts",
        f"max by (run, task) ({SCRAPED_ATTEMPTS.name}) >= {_MANY_ATTEMPTS}",
        "0m",
        "warning",
        "{{ $labels.run }} is on its attempt {{ $value }}",
        "`gaitway show RUN` says why each attempt ended: nodes that are lost or taken, or a simulator that crashes.",
    ),
    Alert(
        "GaitwayGpusIdle",
        f"{GPU_UTILIZATION.name} < {_IDLE_SHARE}",
        "30m",
        "warning",
        "The GPUs of {{ $labels.run }} are busy for {{ $value | humanizePercentage }} of the time",
        "Give it more environments (numEnvs), or fewer GPUs: they wait for the CPU, or for the file system.",
    ),
    Alert(
        "GaitwayBudgetNearlySpent",
        f"{SCRAPED_COST.name} / {SCRAPED_BUDGET.name} > {_BUDGET_SHARE}",
        "0m",
        "warning",
        "{{ $labels.run }} has used {{ $value | humanizePercentage }} of what it may cost",
        "At its limit it saves a checkpoint and ends; a new run with resumeFrom, and a limit of its own, goes on.",
    ),
    Alert(
        "GaitwayMetricsMissing",
        f'up{{job="{JOB}"}} == 0',
        "15m",
        "warning",
        "{{ $labels.instance }} offers no metrics",
        "Its run goes on without them. Its log says why (`no metrics for Prometheus`): its port is taken, or the image "
        "lacks prometheus-client; or Prometheus cannot reach the node.",
    ),
)


def rules() -> dict[str, Any]:
    """Return the document that Prometheus reads as a file of rules."""
    interval = f"{INTERVAL_SECONDS}s"
    recordings = [{"record": one.name, "expr": one.expression} for one in RECORDINGS]
    alerts = [
        {
            "alert": one.name,
            "expr": one.expression,
            "for": one.lasts,
            "labels": {"severity": one.severity},
            "annotations": {"summary": one.summary, "description": one.next_step},
        }
        for one in ALERTS
    ]
    return {
        "groups": [
            {"name": "gaitway-recordings", "interval": interval, "rules": recordings},
            {"name": "gaitway-alerts", "interval": interval, "rules": alerts},
        ]
    }
