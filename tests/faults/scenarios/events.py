"""Events and calls that come twice, late, or in another order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.faults.actions import late
from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.scenarios.jobs import in_every_attempt
from tests.faults.trial import Expected, Trial, fails, succeeds
from tests.local.deployed import Json

TWICE = "call comes twice"
LATE = "call comes late"
STEPS = ("check", "publish", "conclude")
"""The steps of collect_results."""


@scenario(TWICE, "launch")
def launch_is_called_thrice_at_once(trial: Trial) -> Expected:
    token = trial.start_with(TimeoutSeconds=120)
    trial.now()
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: trial.invoke("launch", trial.message(token)), range(3)))
    assert [answer.get("statusCode") for answer in answers] == [200] * 3, answers
    return succeeds(attempts=1)


@scenario(TWICE, "submit_job")
def submit_job_is_called_again(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.5)
    trial.start()
    trial.wait_for_work()
    trial.now()
    for _ in range(2):
        trial.invoke("submit_job", _submit_event(trial))
    return succeeds(attempts=1)


@scenario(LATE, "submit_job")
def submit_job_is_called_after_the_end(trial: Trial) -> Expected:
    trial.start()
    trial.wait_for_work(1)
    event = _submit_event(trial)
    _await_end(trial)
    trial.now()
    trial.invoke("submit_job", event)
    return succeeds(attempts=1)


@scenario(LATE, "construct_run")
def construct_run_is_called_after_the_end(trial: Trial) -> Expected:
    trial.start()
    arn = trial.inner_execution()
    _await_end(trial)
    trial.now()
    message = trial.message("none")["body"]
    message.pop("TaskToken")
    trial.invoke("construct_run", {"run_id": trial.run_id, "execution_arn": arn, "message": message})
    return succeeds(attempts=1)


@scenario(LATE, "collect_results")
def collect_results_is_called_after_a_failure(trial: Trial) -> Expected:
    trial.plan(Act("diverge", trial.moment()))
    trial.start()
    arn = trial.inner_execution()
    _await_end(trial)
    trial.now()
    for step in STEPS:
        trial.invoke("collect_results", _collect_event(trial, arn, step))
    return fails("NotANumberError", attempts=1)


@scenario(TWICE, "collect_results")
def collect_results_is_called_again(trial: Trial) -> Expected:
    trial.start()
    arn = trial.inner_execution()
    _await_end(trial)
    trial.now()
    for step in (*STEPS, "publish"):
        trial.invoke("collect_results", _collect_event(trial, arn, step))
    return succeeds(attempts=1)


@scenario(TWICE, "handle_failure")
def handle_failure_is_called_again(trial: Trial) -> Expected:
    trial.plan(Act("diverge", trial.moment()))
    trial.start()
    arn = trial.inner_execution()
    _await_end(trial)
    trial.now()
    trial.invoke("handle_failure", _failure_event(trial, arn))
    return fails("NotANumberError", attempts=1)


@scenario(LATE, "handle_failure")
def handle_failure_is_called_after_a_success(trial: Trial) -> Expected:
    trial.start()
    arn = trial.inner_execution()
    _await_end(trial)
    trial.now()
    trial.invoke("handle_failure", _failure_event(trial, arn))
    return succeeds(attempts=1)


@scenario(TWICE, "job_state")
def job_event_comes_twice(trial: Trial) -> Expected:
    trial.plan(*in_every_attempt("kill_runner", trial))
    trial.start()
    job_id = trial.job_id()
    _await_end(trial)
    trial.now()
    for _ in range(2):
        trial.invoke("job_state", _job_event(trial, job_id, "FAILED"))
    return fails("InterruptedRunError", attempts=3)


@scenario(LATE, "job_state")
def event_of_an_older_job_comes_late(trial: Trial) -> Expected:
    """The event of a failed job from the caller's previous attempt arrives while the job of the next one runs."""
    trial.ask_like_vams()
    trial.plan(*in_every_attempt("kill_runner", trial), pace_seconds=0.3)
    trial.start()
    first = trial.job_id()

    def has_another_job() -> bool:
        record = trial.record
        return record is not None and record.job_id not in (None, first) and record.progress is not None

    trial.wait(has_another_job, "the caller's retry had a job")
    trial.now()
    trial.invoke("job_state", _job_event(trial, first, "FAILED"))
    return succeeds(attempts=4, callers_told=2)


@scenario(LATE, "heartbeat of the runner")
def heartbeat_comes_late(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.5)
    trial.rule(late(4), "states:SendTaskHeartbeat", source="job", skip=trial.choose(0, 1, 2), times=1)
    trial.start()
    return succeeds(attempts=1)


@scenario(LATE, "report of the runner")
def success_comes_late(trial: Trial) -> Expected:
    trial.rule(late(4), "states:SendTaskSuccess", source="job", times=1)
    trial.start()
    return succeeds(attempts=1)


def _submit_event(trial: Trial) -> Json:
    arn = trial.inner_execution()
    token = trial.world.plane.table.tokens(trial.run_id).inner
    return {"run_id": trial.run_id, "execution_arn": arn, "timeout_seconds": 600, "task_token": token}


def _collect_event(trial: Trial, execution_arn: str, step: str) -> Json:
    job = {"run_id": trial.run_id, "manifest": str(trial.outputs / "manifest.json")}
    return {"run_id": trial.run_id, "execution_arn": execution_arn, "job": job, "step": step}


def _failure_event(trial: Trial, execution_arn: str) -> Json:
    error = {"Error": "States.TaskFailed", "Cause": "it comes late"}
    return {"run_id": trial.run_id, "execution_arn": execution_arn, "error": error}


def _job_event(trial: Trial, job_id: str, status: str) -> Json:
    job = trial.world.plane.batch.describe_jobs(jobs=[job_id])["jobs"][0]
    return {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": job | {"status": status}}


def _await_end(trial: Trial) -> None:
    trial.wait(lambda: trial.caller()["status"] != "RUNNING", "the caller was told")
    trial.wait(lambda: all(found["status"] != "RUNNING" for found in trial.inner_executions()), "all had ended")
