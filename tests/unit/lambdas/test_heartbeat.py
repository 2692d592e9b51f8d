"""What the heartbeat function makes of how a run stands, and what it counts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gaitway.aws.run_table import IndexedRun
from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.limits import QUIET_SECONDS
from gaitway.contracts.run import RunRecord, RunState
from lambdas.heartbeat.decide import Need, decide
from lambdas.heartbeat.measure import measure

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
A_MOMENT = timedelta(seconds=QUIET_SECONDS - 1)
LONG = timedelta(seconds=QUIET_SECONDS + 1)


def record(job_id: str | None, updated: timedelta = timedelta()) -> RunRecord:
    return RunRecord(
        run_id="run-1", state=RunState.QUEUED, created_at=NOW - LONG, updated_at=NOW - updated, job_id=job_id
    )


def job(state: JobState, ended: timedelta | None = None, created: timedelta = timedelta()) -> Job:
    return Job(
        id="job-1",
        name="n",
        state=state,
        service="a cluster",
        created_at=NOW - created,
        ended_at=NOW - ended if ended is not None else None,
    )


def test_a_run_whose_job_waits_is_kept_alive() -> None:
    assert decide(record("job-1", LONG), job(JobState.WAITING), NOW) is Need.HEARTBEAT


def test_a_run_whose_job_runs_is_left_to_its_runner() -> None:
    assert decide(record("job-1", LONG), job(JobState.RUNNING), NOW) is Need.NOTHING


@pytest.mark.parametrize("status", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_job_that_ended_is_missed_once_nobody_can_still_be_telling_of_it(status: JobState) -> None:
    assert decide(record("job-1"), job(status, ended=A_MOMENT), NOW) is Need.NOTHING
    assert decide(record("job-1"), job(status, ended=LONG), NOW) is Need.JOB_IS_OVER


def test_a_job_that_is_not_known_any_more_is_missed_once_its_record_is_quiet() -> None:
    assert decide(record("job-1", A_MOMENT), None, NOW) is Need.NOTHING
    assert decide(record("job-1", LONG), None, NOW) is Need.JOB_IS_GONE


def test_a_run_without_a_job_must_have_an_execution() -> None:
    assert decide(record(None, A_MOMENT), None, NOW) is Need.NOTHING
    assert decide(record(None, LONG), None, NOW) is Need.EXECUTION


def test_runs_are_counted_by_state_and_the_longest_wait_and_silence_are_told() -> None:
    runs = [
        IndexedRun(f"run-{index}", state, NOW, "arn", job_id)
        for index, (state, job_id) in enumerate(
            [(RunState.ACCEPTED, None), (RunState.QUEUED, "a"), (RunState.QUEUED, "b"), (RunState.RUNNING, "c")]
        )
    ]
    jobs = {
        "a": job(JobState.WAITING, created=timedelta(minutes=3)),
        "b": replace(job(JobState.WAITING, created=timedelta(minutes=7)), id="b"),
        "c": job(JobState.RUNNING, created=timedelta(hours=2)),
    }
    records = [
        record("c", timedelta(seconds=30)).model_copy(update={"state": RunState.RUNNING}),
        record("d", timedelta(seconds=90)).model_copy(update={"state": RunState.RUNNING}),
        # Nobody writes while a job waits for a machine, be it the first or the next.
        record("a", timedelta(minutes=3)),
        record("b", timedelta(minutes=7)).model_copy(update={"state": RunState.RUNNING}),
    ]
    published = {
        (datum["MetricName"], *(dimension["Value"] for dimension in datum.get("Dimensions", []))): datum["Value"]
        for datum in measure(runs, jobs, records, NOW)
    }
    assert published == {
        ("QueuedRuns",): 2,
        ("OldestQueuedSeconds",): 420,
        ("SilentSeconds",): 90,
        ("Runs", "accepted"): 1,
        ("Runs", "queued"): 2,
        ("Runs", "running"): 1,
    }


def test_where_there_is_no_run_the_metrics_say_so() -> None:
    assert {datum["Value"] for datum in measure([], {}, [], NOW)} == {0}
