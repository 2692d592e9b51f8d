"""What the pipeline's dashboards and alarms are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gaitway.contracts.run import RunState
from lambdas.batch_job import Job

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

    from gaitway.aws.run_table import IndexedRun


def measure(runs: Sequence[IndexedRun], jobs: Mapping[str, Job], now: datetime) -> list[MetricDatumTypeDef]:
    """Count the runs that go on.

    Args:
        runs: They.
        jobs: Their jobs, by id.
        now: The current time.

    Returns:
        `QueuedRuns`, runs whose job waits; `OldestQueuedSeconds`, the age of the oldest such job; and `Runs` for each
        state in which a run goes on.
    """
    waiting = [job for run in runs if (job := jobs.get(run.job_id or "")) is not None and job.waits]
    by_state = Counter(run.state for run in runs)
    return [
        {"MetricName": "QueuedRuns", "Value": len(waiting), "Unit": "Count", "Timestamp": now},
        {
            "MetricName": "OldestQueuedSeconds",
            "Value": max((job.age_seconds(now) for job in waiting), default=0.0),
            "Unit": "Seconds",
            "Timestamp": now,
        },
        *(_in_state(state, by_state[state], now) for state in (RunState.ACCEPTED, RunState.QUEUED, RunState.RUNNING)),
    ]


def _in_state(state: RunState, count: int, now: datetime) -> MetricDatumTypeDef:
    return {
        "MetricName": "Runs",
        "Dimensions": [{"Name": "State", "Value": state.value}],
        "Value": count,
        "Unit": "Count",
        "Timestamp": now,
    }
