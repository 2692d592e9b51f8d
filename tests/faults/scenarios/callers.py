"""The caller stops, gives up or retries. Also: other ways in which executions end, and queues that are stuck."""

from __future__ import annotations

from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.scenarios.jobs import in_every_attempt
from tests.faults.trial import Expected, Trial, ends_itself, fails, succeeds
from tests.faults.world import TELLING_SECONDS

CANCELLED = ("CancelledError",)


@scenario("caller stopped", "simulate")
def caller_is_stopped_in_the_middle(trial: Trial) -> Expected:
    trial.plan(pace_seconds=1)
    trial.start()
    trial.wait_for_work()
    _stop_caller(trial)
    return ends_itself("ABORTED", *CANCELLED, attempts=1)


@scenario("caller stopped", "launch")
def caller_is_stopped_at_once(trial: Trial) -> Expected:
    trial.plan(pace_seconds=1)
    trial.start()
    trial.wait(lambda: trial.record is not None, "launch took the run")
    _stop_caller(trial)
    return ends_itself("ABORTED", *CANCELLED, has_results=False)


@scenario("caller's token expired", "simulate")
def caller_gives_up(trial: Trial) -> Expected:
    trial.plan(pace_seconds=5)
    token = trial.start_with(TimeoutSeconds=8)
    trial.invoke("launch", trial.message(token))
    trial.wait(lambda: trial.caller()["status"] != "RUNNING", "the caller gave up")
    trial.now()
    _await_inner_end(trial)
    return ends_itself("FAILED", *CANCELLED, attempts=1)


@scenario("inner execution stopped", "simulate")
def inner_execution_is_stopped(trial: Trial) -> Expected:
    trial.plan(pace_seconds=1)
    trial.start()
    trial.wait_for_work()
    trial.now()
    trial.world.plane.stepfunctions.stop_execution(
        executionArn=trial.inner_execution(), error="Operator", cause="somebody stopped it"
    )
    return fails("CancelledError", "Operator", "States.Aborted", "InterruptedRunError", attempts=1)


@scenario("inner execution stopped", "submit")
def inner_execution_is_stopped_early(trial: Trial) -> Expected:
    trial.plan(pace_seconds=1)
    trial.start()
    arn = trial.inner_execution()
    trial.now()
    trial.world.plane.stepfunctions.stop_execution(executionArn=arn)
    return fails("CancelledError", "States.Aborted", "InterruptedRunError", has_results=False)


@scenario("caller tries again", "after an interruption")
def caller_tries_again(trial: Trial) -> Expected:
    trial.ask_like_vams()
    trial.plan(*in_every_attempt("kill_runner", trial))
    trial.start()
    return succeeds(attempts=4, callers_told=2)


@scenario("caller tries again", "after what no retry can mend")
def caller_tries_in_vain(trial: Trial) -> Expected:
    trial.ask_like_vams()
    trial.plan(Act("diverge", trial.moment()))
    trial.start()
    # VAMS's state machine ends with its own error.
    return fails(
        "States.TaskFailed", record_errors=frozenset({"NotANumberError"}), attempts=1, callers_told=3, told_seconds=90
    )


@scenario("queue stuck", "queue", alone=True)
def queue_is_stuck_for_longer_than_a_heartbeat(trial: Trial) -> Expected:
    with trial.world.exclusive:
        trial.world.set_capacity(enabled=False)
        try:
            trial.start()
            trial.job_id()
            trial.hold_still(trial.heartbeat_seconds * 1.5 + TELLING_SECONDS)
            assert trial.caller()["status"] == "RUNNING", "a queued run is no failure"
            trial.now()
        finally:
            trial.world.set_capacity(enabled=True)
    return succeeds(attempts=1)


@scenario("queue stuck", "queue, and terminated by hand", alone=True)
def queued_job_is_terminated(trial: Trial) -> Expected:
    with trial.world.exclusive:
        trial.world.set_capacity(enabled=False)
        try:
            trial.start()
            trial.terminate_job("not needed any more")
            trial.wait(lambda: trial.caller()["status"] != "RUNNING", "the caller was told")
        finally:
            trial.world.set_capacity(enabled=True)
    return fails("CancelledError", "InterruptedRunError", attempts=0)


@scenario("embedded AWS restarted", "simulate", alone=True)
def emulator_is_restarted(trial: Trial) -> Expected:
    """It fails all that runs in it, also the caller's execution; the run must not continue without its caller."""
    trial.plan(pace_seconds=1)
    trial.start()
    trial.wait_for_work(2)
    trial.now()
    trial.world.restart()
    _await_inner_end(trial)
    return ends_itself("FAILED", "InterruptedRunError", "CancelledError", "States.ServiceRestart")


def _stop_caller(trial: Trial) -> None:
    trial.now()
    trial.world.plane.stepfunctions.stop_execution(executionArn=trial.execution_arn)
    _await_inner_end(trial)


def _await_inner_end(trial: Trial) -> None:
    """Wait until the run that the caller has left is ended."""

    def has_ended() -> bool:
        record = trial.record
        return record is not None and record.state.ended

    trial.wait(has_ended, "the run was ended")
    trial.wait(lambda: all(found["status"] != "RUNNING" for found in trial.inner_executions()), "all had ended")
