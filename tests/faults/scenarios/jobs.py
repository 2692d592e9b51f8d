"""The job: its machine and its runner."""

from __future__ import annotations

import json

from tests.faults.actions import before, kill_asker, kill_asker_after
from tests.faults.campaign import scenario
from tests.faults.plan import START, Act
from tests.faults.proxy import Action, Answer, Exchange
from tests.faults.trial import Expected, Trial, fails, succeeds
from tests.local.deployed import Json

ATTEMPTS = 3
"""The attempts in the job definition."""
KILLED = "runner killed -9"
TOLD_TO_STOP = "runner told to stop (SIGTERM)"


@scenario("nothing", "")
def nothing_goes_wrong(trial: Trial) -> Expected:
    trial.start()
    return succeeds(attempts=1)


@scenario(KILLED, "start")
def runner_killed_before_it_reads_its_run(trial: Trial) -> Expected:
    trial.rule(kill_asker, "dynamodb:GetItem", source="job", times=1)
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "start")
def runner_killed_as_it_begins(trial: Trial) -> Expected:
    trial.rule(trial.choose(kill_asker, kill_asker_after), "dynamodb:UpdateItem", source="job", times=1)
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "simulate", weight=2)
def runner_killed_in_the_middle(trial: Trial) -> Expected:
    trial.plan(Act("kill_runner", trial.moment(), attempts=(1,)))
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "checkpoint", "train")
def runner_killed_while_it_uploads_a_checkpoint(trial: Trial) -> Expected:
    action = trial.choose(kill_asker, kill_asker_after)
    trial.rule(action, "s3:PutObject", source="job", key="checkpoints/", skip=trial.random.randrange(3), times=1)
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "upload")
def runner_killed_while_it_uploads_results(trial: Trial) -> Expected:
    action, key = trial.choose(kill_asker, kill_asker_after), trial.choose("results.json", "manifest.json")
    trial.rule(action, "s3:PutObject", source="job", key=key, times=1)
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "report")
def runner_killed_before_its_success_arrives(trial: Trial) -> Expected:
    trial.rule(kill_asker, "states:SendTaskSuccess", source="job", times=1)
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "report")
def runner_killed_after_its_success_arrived(trial: Trial) -> Expected:
    trial.rule(kill_asker_after, "states:SendTaskSuccess", source="job", times=1)
    trial.start()
    return succeeds()


@scenario(f"{KILLED} in every attempt", "simulate", weight=2)
def runner_killed_in_every_attempt(trial: Trial) -> Expected:
    trial.plan(*in_every_attempt("kill_runner", trial))
    trial.start()
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario(f"{KILLED} in every attempt", "start")
def runner_never_comes_to_begin(trial: Trial) -> Expected:
    trial.rule(kill_asker, "dynamodb:GetItem", source="job")
    trial.start()
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario(f"{KILLED} in every attempt", "report")
def runner_killed_whenever_it_reports_its_success(trial: Trial) -> Expected:
    trial.rule(kill_asker, "states:SendTaskSuccess", source="job")
    trial.start()
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario(f"{KILLED} as it reports a failure", "report")
def runner_killed_before_its_failure_arrives(trial: Trial) -> Expected:
    # A training that diverges once does so again.
    trial.plan(Act("diverge", trial.moment(), attempts=(1,)), Act("diverge", START, attempts=(2,)))
    trial.rule(kill_asker, "states:SendTaskFailure", source="job", times=1)
    trial.start()
    return fails("NotANumberError", attempts=2)


@scenario(TOLD_TO_STOP, "simulate")
def machine_taken_away_in_the_middle(trial: Trial) -> Expected:
    trial.plan(Act("terminate_runner", trial.moment(), attempts=(1,)))
    trial.start()
    return succeeds(attempts=2)


@scenario(TOLD_TO_STOP, "start")
def machine_taken_away_as_the_runner_begins(trial: Trial) -> Expected:
    skip = trial.choose(0, 1, 2)
    trial.rule(before(trial.terminate_runner), "dynamodb:GetItem", source="job", skip=skip, times=1)
    trial.start()
    return succeeds(attempts=2)


@scenario(TOLD_TO_STOP, "upload")
def machine_taken_away_while_it_uploads(trial: Trial) -> Expected:
    trial.rule(before(trial.terminate_runner), "s3:PutObject", source="job", key="results.json", times=1)
    trial.start()
    # The rest takes less time than a job has after its SIGTERM.
    return succeeds(attempts=1)


@scenario(f"{TOLD_TO_STOP} in every attempt", "simulate")
def machine_taken_away_in_every_attempt(trial: Trial) -> Expected:
    trial.plan(*in_every_attempt("terminate_runner", trial))
    trial.start()
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario("job terminated by hand", "simulate")
def job_terminated_by_hand(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.5)
    trial.start()
    trial.wait_for_work()
    trial.terminate_job("somebody ends it")
    return fails("InterruptedRunError", "CancelledError", attempts=1)


@scenario("job's time is over", "simulate")
def job_exceeds_its_time(trial: Trial) -> Expected:
    trial.plan(pace_seconds=2)
    trial.rule(_submit(trial, timeout={"attemptDurationSeconds": 7}), "batch:submitjob")
    trial.start()
    return fails("InterruptedRunError", "States.Timeout", attempts=1)


@scenario("image cannot be pulled", "start")
def image_that_does_not_exist(trial: Trial) -> Expected:
    plane = trial.world.plane
    definitions = plane.batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    container = next(item["containerProperties"] for item in definitions if "containerProperties" in item)
    broken = plane.batch.register_job_definition(
        jobDefinitionName="faults-no-image", type="container",
        containerProperties=container | {"image": "nobody/nowhere:1"},
    )["jobDefinitionArn"]  # fmt: skip
    trial.rule(_submit(trial, jobDefinition=broken), "batch:submitjob")
    trial.start()
    return fails("PlatformError", "InterruptedRunError", attempts=0)


def _submit(trial: Trial, **changes: object) -> Action:
    """Submit a different job than the requested one."""

    def act(exchange: Exchange) -> Answer:
        return submitted(trial, trial.world.plane.batch.submit_job(**json.loads(exchange.body) | changes))

    return act


def submitted(trial: Trial, job: Json) -> Answer:
    """Answer a submission with a job that was submitted in its place."""
    trial.world.proxy.names.note(job["jobId"], trial.run_id)
    answer = {name: job[name] for name in ("jobArn", "jobId", "jobName")}
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())


def in_every_attempt(do: str, trial: Trial) -> list[Act]:
    """Let a training fail a little later each time, because it resumes; an evaluation starts again."""
    step = 1 if trial.mode == "train" else 0
    # After the last iteration's checkpoint the work is done, and no later fault matters.
    first = trial.moment(before=step * (ATTEMPTS - 1))
    return [Act(do, first + step * (n - 1), attempts=(n,)) for n in range(1, ATTEMPTS + 1)]
