"""The metrics of the heartbeat function for dashboard and alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gaitway.aws.metrics import datum
from gaitway.compute.jobs import Job
from gaitway.contracts.metrics import OLDEST_QUEUED_SECONDS, QUEUED_RUNS, RUNS, SILENT_SECONDS
from gaitway.contracts.run import RunRecord, RunState

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

    from gaitway.aws.run_table import IndexedRun

LIVE = (RunState.ACCEPTED, RunState.QUEUED, RunState.RUNNING)
"""The states of active runs."""


def measure(
    runs: Sequence[IndexedRun], jobs: Mapping[str, Job], records: Iterable[RunRecord], now: datetime
) -> list[MetricDatumTypeDef]:
    """Measure the active runs.

    Args:
        runs: The active runs.
        jobs: Their jobs, by id.
        records: Their records, if they could be read.
        now: The current time.

    Returns:
        Each metric of this function once, and `Runs` for each state of active runs; 0 if there is no run.
    """
    waiting = [job for run in runs if (job := jobs.get(run.job_id or "")) is not None and job.waits]
    by_state = Counter(run.state for run in runs)
    waiting_ids = {job.id for job in waiting}
    silent = [
        (now - record.updated_at).total_seconds()
        for record in records
        # Between two attempts a run still counts as running, although no runner writes.
        if record.state is RunState.RUNNING and record.job_id not in waiting_ids
    ]
    return [
        datum(QUEUED_RUNS, len(waiting), now),
        datum(OLDEST_QUEUED_SECONDS, max((job.age_seconds(now) for job in waiting), default=0.0), now),
        # A record may have been written after this function looked at the clock.
        datum(SILENT_SECONDS, max([0.0, *silent]), now),
        *(datum(RUNS, by_state[state], now, state.value) for state in LIVE),
    ]
